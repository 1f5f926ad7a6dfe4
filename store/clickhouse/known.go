package clickhouse

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// spans says where the ids of a batch lie: those of version 7 between two of
// them, all others anywhere.
type spans struct {
	low, high audit.ID // of those of version 7
	timed     []*audit.Record
	others    []*audit.Record
}

func spansOf(recs []*audit.Record) (sp spans) {
	for _, r := range recs {
		if born(r.ID) == 0 {
			sp.others = append(sp.others, r)
			continue
		}
		if len(sp.timed) == 0 || r.ID.Compare(sp.low) < 0 {
			sp.low = r.ID
		}
		if len(sp.timed) == 0 || r.ID.Compare(sp.high) > 0 {
			sp.high = r.ID
		}
		sp.timed = append(sp.timed, r)
	}
	return sp
}

// between is the condition that leaves the range of the ids of version 7. The
// bounds of the granules are those of their milliseconds; batches that follow
// each other within one are told apart by the whole ids.
func (sp *spans) between() string {
	return "born BETWEEN " + strconv.FormatUint(born(sp.low), 10) + " AND " + strconv.FormatUint(born(sp.high), 10) +
		" AND id BETWEEN " + identity(sp.low) + " AND " + identity(sp.high)
}

// mostNear is how many ids one look fetches to compare them here. Servers that
// record at the same time have ids between each other's.
const mostNear = 20_000

// near gives those of the ids of version 7 that are also the id of a row, of
// those that the condition leaves: none, mostly, by one look at their range. Where
// too many rows are in it, it gives all of them.
func (s *Store) near(ctx context.Context, sp *spans, cond string) ([]*audit.Record, error) {
	if len(sp.timed) == 0 {
		return nil, nil
	}
	there, rows := map[audit.ID]bool{}, 0
	var id string
	err := s.rows(ctx, "SELECT id FROM "+s.records+" WHERE "+sp.between()+cond+" LIMIT "+strconv.Itoa(mostNear+1), func(r *row) error {
		if err := r.Scan(&id); err != nil {
			return err
		}
		there[audit.ID([]byte(id))] = true
		rows++
		return nil
	})
	switch {
	case err != nil || rows == 0:
		return nil, err
	case rows > mostNear:
		return sp.timed, nil
	}
	var out []*audit.Record
	for _, r := range sp.timed {
		if there[r.ID] {
			out = append(out, r)
		}
	}
	return out, nil
}

// lookChunk is how many ids one look names.
const lookChunk = 2000

// stored are rows by their names.
type stored struct {
	first  map[audit.Ref]*audit.Record // the row that was committed first
	extras []*audit.Record             // others of the same name, which a killed process left
	rows   []place                     // of the extras
}

// known gives those of the records' names that are stored.
func (s *Store) known(ctx context.Context, recs []*audit.Record) (*stored, error) {
	found := &stored{first: map[audit.Ref]*audit.Record{}}
	sp := spansOf(recs)
	near, err := s.near(ctx, &sp, "")
	if err != nil {
		return nil, err
	}
	if err := s.look(ctx, near, sp.between()+" AND ", found); err != nil {
		return nil, err
	}
	return found, s.look(ctx, sp.others, "", found)
}

func (s *Store) look(ctx context.Context, recs []*audit.Record, within string, found *stored) error {
	wanted := make(map[audit.Ref]bool, len(recs))
	for _, r := range recs {
		wanted[r.Ref()] = true
	}
	for some := range slices.Chunk(recs, lookChunk) {
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
	near, err := s.near(ctx, &sp, " AND ins!="+strconv.FormatUint(insert, 10))
	if err != nil {
		return nil, err
	}
	var conds []string
	within := sp.between() + " AND "
	for _, met := range [][]*audit.Record{near, sp.others} {
		for some := range slices.Chunk(met, lookChunk) {
			conds = append(conds, within+"id IN "+idList(some))
		}
		within = ""
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
