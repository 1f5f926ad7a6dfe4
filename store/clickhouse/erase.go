package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// place names one row: a record may have two of them for a moment.
type place struct {
	month  uint32
	insert uint64
	ref    audit.Ref
}

func rowsOf(recs []*audit.Record, insert uint64) []place {
	out := make([]place, len(recs))
	for i, r := range recs {
		out[i] = place{month(r), insert, r.Ref()}
	}
	return out
}

// eraseChunk is how many rows one statement deletes.
const eraseChunk = 10_000

// erase deletes rows, one statement for each month and the oldest first, so that
// of a chain's run what is left at any moment is its end. Each statement adds a
// small part that hides the rows, in one step for everybody.
func (s *Store) erase(ctx context.Context, rows []place) error {
	slices.SortStableFunc(rows, func(a, b place) int { return cmp.Compare(a.month, b.month) })
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < eraseChunk && rows[n].month == rows[0].month {
			n++
		}
		var b strings.Builder
		b.WriteString("DELETE FROM " + s.records + " WHERE month=" + strconv.FormatUint(uint64(rows[0].month), 10) + " AND (ins,namespace,tenant,id) IN (")
		for i, r := range rows[:n] {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("(" + strconv.FormatUint(r.insert, 10) + ",")
			writeText(&b, r.ref.Namespace)
			b.WriteByte(',')
			writeText(&b, r.ref.Tenant)
			b.WriteString("," + identity(r.ref.ID) + ")")
		}
		b.WriteString(")")
		if err := s.exec(ctx, b.String()); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}
