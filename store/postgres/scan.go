package postgres

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Sizes of the pieces in which a scan reads.
const (
	pieceFirst   = 128 // records, while it is not known how large they are
	pieceRecords = 2000
	pieceBytes   = 4 << 20
)

// Scan implements audit.Scanner; it starts after q.After. Each piece is read in
// a transaction of its own, and none is open while the caller has the records:
// a slow caller neither holds back VACUUM nor has its question cancelled on a
// replica, and a question of hours needs no snapshot of hours. Records are never
// changed, so what a piece gives is as it was at the beginning; those that are
// stored or deleted meanwhile may be given or not.
func (s *Store) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	start, n := startOf(q), pieceFirst
	var before *plan
	for {
		var recs []*audit.Record
		ended := false
		err := s.ask(ctx, func(a *ask) error {
			p, err := a.prepare(q)
			if err != nil || p.none {
				ended = true
				return err
			}
			if before != nil {
				p.lead, p.rivals = before.lead, before.rivals
			}
			hits, err := a.find(p, start, n)
			if err != nil {
				return err
			}
			if err := a.fetch(hits); err != nil {
				return err
			}
			if err := a.name(hits); err != nil {
				return err
			}
			recs = make([]*audit.Record, len(hits))
			for i := range hits {
				recs[i] = hits[i].rec
			}
			if before, ended = p, len(hits) < n; !ended {
				start = hits[len(hits)-1].place
			}
			return nil
		})
		if err != nil {
			return err
		}
		orderTies(recs, q.Order)
		n = nextPiece(recs)
		for _, rec := range recs {
			if err := fn(rec); err != nil {
				return err
			}
		}
		if ended {
			return nil
		}
	}
}

// nextPiece gives how many records like these a piece may have.
func nextPiece(recs []*audit.Record) int {
	size := 1
	for _, r := range recs {
		size += 512 + len(r.Payload) + len(r.Metadata) + len(r.Changes.Before) + len(r.Changes.After) + len(r.Details) + len(r.Tool.Parameters)
	}
	return max(1, min(pieceRecords, pieceBytes*len(recs)/size))
}
