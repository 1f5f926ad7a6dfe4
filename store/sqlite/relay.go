package sqlite

import (
	"context"
	"fmt"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var _ audit.Relayer = (*Store)(nil)

// relayBytes is how much of the outbox is moved at a time at most.
const relayBytes = 16 << 20

// captured is a row of the outbox.
type captured struct {
	id  int64
	rec *audit.Record
	why error // why it cannot be stored
}

// Relay implements audit.Relayer. Looking into an empty outbox does not wait
// for writers.
func (s *Store) Relay(ctx context.Context, limit int, chained bool) (out audit.Relayed, err error) {
	if s.opt.ReadOnly {
		return out, audit.Unsupported("the database was opened for reading only")
	}
	some := false
	err = s.read(ctx, func(v *view) (err error) {
		some, err = v.conns[0].one(s.sql("SELECT 1 FROM @outbox WHERE refused IS NULL LIMIT 1"), nil)
		return err
	})
	if err != nil || !some {
		return out, err
	}
	err = s.write(ctx, func(w *writer) error {
		b, err := w.batch()
		if err != nil {
			return err
		}
		rows, err := b.captured(limit)
		if err != nil {
			return err
		}
		out, err = b.relay(rows, chained)
		return err
	})
	if err != nil {
		return audit.Relayed{}, err
	}
	return out, nil
}

// captured reads the oldest rows.
func (b *batch) captured(limit int) (rows []*captured, err error) {
	st, err := b.stmt(b.s.sql("SELECT id, record FROM @outbox WHERE refused IS NULL ORDER BY id LIMIT ?"))
	if err != nil {
		return nil, err
	}
	st.BindInt64(1, int64(limit))
	for size := 0; size < relayBytes; {
		more, err := st.Step()
		if err != nil || !more {
			return rows, err
		}
		encoded := make([]byte, st.ColumnLen(1))
		st.ColumnBytes(1, encoded)
		c := &captured{id: st.ColumnInt64(0), rec: new(audit.Record)}
		c.why = chain.DecodeEncoding(encoded, c.rec)
		c.rec.Segment, c.rec.Sequence, c.rec.PrevHash = "", 0, audit.Digest{}
		rows = append(rows, c)
		size += len(encoded)
	}
	return rows, st.Reset()
}

// relay moves the rows.
func (b *batch) relay(rows []*captured, chained bool) (out audit.Relayed, err error) {
	var recs []*audit.Record
	var from []*captured
	for _, c := range rows {
		if c.why == nil {
			recs, from = append(recs, c.rec), append(from, c)
		}
	}
	results, err := b.take(recs, chained)
	if err != nil {
		return out, err
	}
	for i, r := range results {
		if r.Err != nil {
			from[i].why = r.Err
		} else if !r.Duplicate {
			out.Stored = append(out.Stored, recs[i])
		}
	}
	for _, c := range rows {
		if c.why == nil {
			err = b.run(b.s.sql("DELETE FROM @outbox WHERE id = ?"), c.id)
		} else {
			out.Refused = append(out.Refused, &audit.Error{
				Code: audit.CodeOf(c.why), Message: fmt.Sprintf("it stays in the outbox, row %d, record %s", c.id, c.rec.ID), Cause: c.why,
			})
			err = b.run(b.s.sql("UPDATE @outbox SET refused = ? WHERE id = ?"), c.why.Error(), c.id)
		}
		if err != nil {
			return out, err
		}
	}
	out.Records = len(rows)
	return out, nil
}

// take stores the records of the outbox, which are nobody else's.
func (b *batch) take(recs []*audit.Record, chained bool) ([]audit.Result, error) {
	if !chained {
		return b.plain(recs)
	}
	c := b.chained(recs)
	err := c.append(recs)
	return c.results, err
}
