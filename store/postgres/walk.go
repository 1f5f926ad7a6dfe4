package postgres

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// walkRecords and walkBytes bound a piece of a walk; two of them are in memory
// at a time.
const (
	walkRecords = 1000
	walkFirst   = 128 // as many at first, while it is not known how large they are
	walkBytes   = 4 << 20
)

// walkPage reads the next links. Where somebody put a sequence twice, the rest
// of the primary key gives the two an order. The last columns are the record's
// block and the newest there is.
var walkPage = `SELECT ` + rowColumns + `, r.block, (SELECT last_value / $7::bigint FROM @units)
	FROM @records r WHERE r.scope = $1 AND r.sequence >= $2 AND r.sequence <= $3
		AND (r.sequence, r.id, r.occurred_at) > ($2, $4::text::uuid, $5::timestamptz)`

// walkOwn and walkSegment are the pages of the one and of the other.
var (
	walkOwn     = walkPage + inOwn + walkOrder
	walkSegment = walkPage + ` AND r.segment = $8` + walkOrder
)

const walkOrder = ` ORDER BY r.sequence, r.id, r.occurred_at LIMIT $6`

// step is where a walk has come to.
type step struct {
	sequence int64
	id       audit.ID
	at       time.Time
}

// before is a place that no record after it is left out for.
func before(sequence int64) step {
	return step{sequence - 1, audit.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		time.Date(200_000, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// Walk implements chain.Reader; the next piece is read while fn works on the
// last. What is stored beside a record and is not part of its hash is checked
// here: a record that the bounds of its block, or an empty value in the place of
// NULL, would hide from questions comes with an empty Hash, so that it does not
// verify. The words for full text are not checked.
func (s *Store) Walk(ctx context.Context, key chain.Key, from, to int64, fn func(recs []*audit.Record) error) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	if from > to {
		return nil
	}
	number, ok, err := s.scopeNumber(ctx, s.main, key.Scope)
	if refused(err) || err == nil && !ok {
		return nil
	}
	if err != nil {
		return s.fail(ctx, err)
	}
	bounds, err := s.allBounds(ctx)
	if err != nil {
		return s.fail(ctx, err)
	}
	reading, stop := context.WithCancel(ctx)
	pieces := make(chan []*audit.Record)
	var failed error
	go func() {
		defer close(pieces)
		failed = s.pieces(reading, &walk{number, key.Segment, before(max(from, 1)), to, bounds}, pieces)
	}()
	for piece := range pieces {
		if err = fn(piece); err != nil {
			break
		}
	}
	stop()
	for range pieces { // until the reader has ended
	}
	if err != nil {
		return err
	}
	return s.fail(ctx, failed)
}

// walk is a walk under way.
type walk struct {
	scope   int32
	segment string
	at      step // it goes on after
	to      int64
	bounds  map[int32][2]int64 // of the blocks that had some when it began, in microseconds
}

// allBounds reads the bounds of every block.
func (s *Store) allBounds(ctx context.Context) (map[int32][2]int64, error) {
	bounds := map[int32][2]int64{}
	err := s.read(ctx, true, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, s.sql(`SELECT block, min_occurred, max_occurred FROM @blocks`))
		if err != nil {
			return err
		}
		var block int32
		var low, high time.Time
		_, err = pgx.ForEachRow(rows, []any{&block, &low, &high}, func() error {
			bounds[block] = [2]int64{low.UnixMicro(), high.UnixMicro()}
			return nil
		})
		return err
	})
	return bounds, err
}

// pieces reads the links, piece by piece.
func (s *Store) pieces(ctx context.Context, w *walk, out chan<- []*audit.Record) error {
	for limit := walkFirst; ; {
		piece, more, err := s.piece(ctx, w, limit)
		if err != nil {
			return err
		}
		if len(piece) > 0 {
			select {
			case out <- piece:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if !more {
			return nil
		}
		limit = walkRecords
		if len(piece) < limit/2 {
			limit = 2 * len(piece) // they are large
		}
	}
}

// piece reads at most limit links, less where they are large; more says that
// there may be others.
func (s *Store) piece(ctx context.Context, w *walk, limit int) (piece []*audit.Record, more bool, err error) {
	err = s.read(ctx, true, func(tx pgx.Tx) error {
		name, err := s.scopeName(ctx, tx, w.scope)
		if err != nil {
			return err
		}
		// A plan made while the tables were small must still be right when they are large.
		if _, err := tx.Exec(ctx, `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`); err != nil {
			return err
		}
		page := walkOwn
		args := []any{pgx.QueryResultFormats{pgx.BinaryFormatCode}, w.scope, w.at.sequence, w.to, w.at.id.String(), w.at.at, limit, int64(s.blockUnits)}
		if w.segment != "" {
			page, args = walkSegment, append(args, w.segment)
		}
		rows, err := tx.Query(ctx, s.sql(page), args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		piece = make([]*audit.Record, 0, limit)
		size := 0
		for size < walkBytes && rows.Next() {
			raw := rows.RawValues()
			rec := new(audit.Record)
			if _, err := decodeRow(raw[:len(raw)-2], rec); err != nil {
				return err
			}
			rec.Namespace, rec.Tenant = name.Namespace, name.Tenant
			w.at = step{rec.Sequence, rec.ID, rec.OccurredAt}
			if w.at.at.IsZero() {
				w.at.at = time.Unix(0, 0)
			}
			if !w.found(raw, rec) {
				rec.Hash = audit.Digest{}
			}
			for _, v := range raw {
				size += len(v)
			}
			piece = append(piece, rec)
		}
		more = len(piece) == limit || size >= walkBytes
		rows.Close()
		return rows.Err()
	})
	return piece, more, err
}

// found reports whether questions find the record where the row says it is.
func (w *walk) found(raw [][]byte, rec *audit.Record) bool {
	block, newest := raw[len(raw)-2], raw[len(raw)-1]
	if len(block) != 4 || len(newest) != 8 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(block))
	if n < 0 || int64(n) > int64(binary.BigEndian.Uint64(newest)) {
		return false
	}
	at := audit.Micros(rec.OccurredAt)
	if b, ok := w.bounds[n]; ok && (at < b[0] || at > b[1]) {
		return false
	}
	return plainAbsence(raw, rec)
}

// plainAbsence reports whether what is absent is NULL. An empty text, and a
// zero, would read alike and yet not be found.
func plainAbsence(raw [][]byte, rec *audit.Record) bool {
	for i, f := range columns {
		if raw[firstColumn+i] != nil && f.Absent(rec) && f != occurredAt && f != recordedAt {
			return false
		}
	}
	return true
}
