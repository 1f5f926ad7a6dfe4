package clickhouse

import (
	"context"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// spans says where the ids of a batch lie: those of version 7 between two
// moments, all others anywhere.
type spans struct {
	low, high uint64 // of those of version 7
	timed     []*audit.Record
	others    []*audit.Record
}

func spansOf(recs []*audit.Record) (sp spans) {
	for _, r := range recs {
		at := born(r.ID)
		if at == 0 {
			sp.others = append(sp.others, r)
			continue
		}
		if len(sp.timed) == 0 || at < sp.low {
			sp.low = at
		}
		sp.high = max(sp.high, at)
		sp.timed = append(sp.timed, r)
	}
	return sp
}

// between is the condition that leaves the range of the ids of version 7.
func (sp *spans) between() string {
	return "born BETWEEN " + strconv.FormatUint(sp.low, 10) + " AND " + strconv.FormatUint(sp.high, 10)
}

// lookChunk is how many ids one look names.
const lookChunk = 2000

// stored are rows by their names.
type stored struct {
	first  map[audit.Ref]*audit.Record // the row that was committed first
	extras []*audit.Record             // others of the same name, which a killed process left
	rows   []place                     // of the extras
}

// known gives those of the records' names that are stored. For ids of our own
// making one look at their range says mostly that there is none.
func (s *Store) known(ctx context.Context, recs []*audit.Record) (*stored, error) {
	found := &stored{first: map[audit.Ref]*audit.Record{}}
	sp := spansOf(recs)
	if len(sp.timed) > 0 {
		any, err := s.number(ctx, "SELECT count() FROM (SELECT 1 FROM "+s.records+" WHERE "+sp.between()+" LIMIT 1)")
		if err != nil {
			return nil, err
		}
		if any > 0 {
			if err := s.look(ctx, sp.timed, sp.between()+" AND ", found); err != nil {
				return nil, err
			}
		}
	}
	return found, s.look(ctx, sp.others, "", found)
}

func (s *Store) look(ctx context.Context, recs []*audit.Record, within string, found *stored) error {
	wanted := make(map[audit.Ref]bool, len(recs))
	for _, r := range recs {
		wanted[r.Ref()] = true
	}
	for len(recs) > 0 {
		some := recs[:min(lookChunk, len(recs))]
		recs = recs[len(some):]
		var insert uint64
		d := newDecoder(&insert)
		err := s.rows(ctx, "SELECT "+rowColumns+",ins FROM "+s.records+" WHERE "+within+"id IN "+idList(some)+" ORDER BY _block_number", func(r *row) error {
			rec, err := d.read(r)
			if err != nil {
				return err
			}
			switch ref := rec.Ref(); {
			case !wanted[ref]:
			case found.first[ref] == nil:
				found.first[ref] = rec
			default:
				found.extras, found.rows = append(found.extras, rec), append(found.rows, place{month(rec), insert, ref})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func idList(recs []*audit.Record) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, r := range recs {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(identity(r.ID))
	}
	b.WriteByte(')')
	return b.String()
}

// rivals gives those of the records just stored by insert whose name another
// INSERT took before: the server's number of each block tells which was
// committed first, and so each of the two knows who it was.
func (s *Store) rivals(ctx context.Context, recs []*audit.Record, insert uint64) (lost []*audit.Record, err error) {
	sp := spansOf(recs)
	mine := "ins=" + strconv.FormatUint(insert, 10)
	var conds []string
	if len(sp.timed) > 0 {
		n, err := s.number(ctx, "SELECT count() FROM (SELECT 1 FROM "+s.records+" WHERE "+sp.between()+" AND NOT "+mine+" LIMIT 1)")
		if err != nil {
			return nil, err
		}
		if n > 0 {
			conds = append(conds, sp.between()+" AND (namespace,tenant,id) IN (SELECT namespace,tenant,id FROM "+s.records+" WHERE "+sp.between()+" AND "+mine+")")
		}
	}
	for others := sp.others; len(others) > 0; {
		some := others[:min(lookChunk, len(others))]
		others = others[len(some):]
		conds = append(conds, "id IN "+idList(some))
	}
	if len(conds) == 0 {
		return nil, nil
	}
	own := make(map[audit.Ref]*audit.Record, len(recs))
	for _, r := range recs {
		own[r.Ref()] = r
	}
	for _, cond := range conds {
		err := s.rows(ctx, "SELECT namespace,tenant,id,argMin(ins,_block_number) FROM "+s.records+" WHERE "+cond+
			" GROUP BY namespace,tenant,id HAVING uniqExact(ins)>1", func(r *row) error {
			var ref audit.Ref
			var id string
			var first uint64
			if err := r.Scan(&ref.Namespace, &ref.Tenant, &id, &first); err != nil {
				return err
			}
			copy(ref.ID[:], id)
			if rec := own[ref]; rec != nil && first != insert {
				lost = append(lost, rec)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return lost, nil
}
