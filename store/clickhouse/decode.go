package clickhouse

import (
	"encoding/json"

	"github.com/annals-dev/annals/audit"
)

// decoder reads rows of rowColumns.
type decoder struct {
	dest  []any
	texts []string
	nums  []int64
	flags []uint8
}

func newDecoder(extra ...any) *decoder {
	fields := audit.Fields()
	d := &decoder{texts: make([]string, len(fields)), nums: make([]int64, len(fields)), flags: make([]uint8, len(fields))}
	for i, f := range fields {
		switch f.Kind {
		case audit.Text, audit.Document, audit.Identity, audit.Hash:
			d.dest = append(d.dest, &d.texts[i])
		case audit.Flag:
			d.dest = append(d.dest, &d.flags[i])
		default:
			d.dest = append(d.dest, &d.nums[i])
		}
	}
	d.dest = append(d.dest, extra...)
	return d
}

// read gives the row as a record that shares no memory with the next one.
func (d *decoder) read(r *row) (*audit.Record, error) {
	if err := r.Scan(d.dest...); err != nil {
		return nil, err
	}
	rec := new(audit.Record)
	for i, f := range audit.Fields() {
		switch f.Kind {
		case audit.Text:
			if d.texts[i] != "" {
				f.SetText(rec, d.texts[i])
			}
		case audit.Document:
			if d.texts[i] != "" {
				f.SetBytes(rec, json.RawMessage(d.texts[i]))
			}
		case audit.Identity, audit.Hash:
			f.SetBytes(rec, []byte(d.texts[i]))
		case audit.Flag:
			f.SetInt(rec, int64(d.flags[i]))
		default:
			if d.nums[i] != 0 {
				f.SetInt(rec, d.nums[i])
			}
		}
	}
	return rec, nil
}
