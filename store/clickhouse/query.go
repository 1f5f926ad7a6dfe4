package clickhouse

import (
	"context"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// Query implements audit.Store.
func (s *Store) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	rd, err := s.reader(q)
	if err != nil {
		return nil, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	recs, more, err := rd.next(ctx, limit+1)
	if err != nil {
		return nil, err
	}
	// A page ends between two positions, as a cursor can say no more.
	for more && len(recs) > limit && recs[len(recs)-1].Position() == recs[limit-1].Position() {
		var rest []*audit.Record
		if rest, more, err = rd.next(ctx, limit+1); err != nil {
			return nil, err
		}
		recs = append(recs, rest...)
	}
	page := &audit.Page{Records: recs}
	if len(recs) > limit {
		end := limit
		for end < len(recs) && recs[end].Position() == recs[limit-1].Position() {
			end++
		}
		if end < len(recs) {
			page.Records, page.Next = recs[:end:end], recs[limit-1].Position()
		}
	}
	return page, nil
}

// reader reads the answer to a question in pieces.
type reader struct {
	s     *Store
	conds string
	order audit.Order
	after audit.Position
	with  bool // after itself may hold more
	seen  map[audit.Ref]bool
}

func (s *Store) reader(q *audit.Query) (*reader, error) {
	var w where
	if err := s.question(&w, q); err != nil {
		return nil, err
	}
	return &reader{s: s, conds: w.String(), order: q.Order, after: q.After}, nil
}

// maxPieceBytes is how much of large records one piece holds before it ends early.
const maxPieceBytes = 16 << 20

// next gives the next records, at most n or, where they are large, fewer; more
// is false at the end. A record that is stored twice, by two processes at the
// same moment, comes once: both rows lie at the same position.
func (rd *reader) next(ctx context.Context, n int) (recs []*audit.Record, more bool, err error) {
	for {
		var w where
		w.and(rd.conds)
		w.after(rd.after, rd.order, rd.with)
		direction := " DESC"
		if rd.order == audit.OldestFirst {
			direction = ""
		}
		asked := n + len(rd.seen)
		sql := "SELECT " + rowColumns + " FROM " + rd.s.records + " WHERE " + w.String() +
			" ORDER BY occurred_at" + direction + ",id" + direction + " LIMIT " + strconv.Itoa(asked)
		got, size, cut := 0, 0, false
		d := newDecoder()
		err = rd.s.rows(ctx, sql, func(r *row) error {
			rec, err := d.read(r)
			if err != nil {
				return err
			}
			got++
			if rec.Position() != rd.after || !rd.with {
				rd.after, rd.with = rec.Position(), true
				clear(rd.seen)
			}
			if rd.seen == nil {
				rd.seen = map[audit.Ref]bool{}
			}
			if rd.seen[rec.Ref()] {
				return nil
			}
			rd.seen[rec.Ref()] = true
			recs = append(recs, rec)
			if size += documents(rec); size > maxPieceBytes {
				cut = true
				return errEnough
			}
			return nil
		})
		if cut {
			return recs, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		more = got == asked
		if len(recs) > 0 || !more {
			return recs, more, nil
		}
	}
}

// errEnough ends the reading of an answer.
var errEnough = &audit.Error{Code: audit.CodeInternal, Message: "enough"}

func documents(r *audit.Record) int {
	return len(r.Payload) + len(r.Metadata) + len(r.Details) + len(r.Changes.Before) + len(r.Changes.After) + len(r.Tool.Parameters)
}
