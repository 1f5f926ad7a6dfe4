package postgres

import (
	"context"
	"encoding/binary"
	"math/big"
	"math/bits"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/annals-dev/annals/analytics"
)

// sumColumns are the columns of the table of sums.
var sumColumns = []string{
	"hours", "scope", "start", "whole",
	"calls", "success", "measured", "micros", "max_micros", "enriched",
	"requests", "request_bytes", "responses", "response_bytes",
	"with_full", "tokens_full", "with_dedup", "tokens_dedup", "tokens_saved",
	"durations", "dimensions", "tools", "actors", "actor_ids", "kinds", "sessions",
}

// The places in sumColumns of the totals and of what is packed.
const (
	firstTotal  = 4
	firstPacked = 19
)

// totalColumns are those that totals.scan reads.
var totalColumns = strings.Join(sumColumns[firstTotal:firstPacked], ", ")

// row gives the values of sumColumns.
func (s *sums) row(hours int16, scope int32, start time.Time, whole bool) []any {
	kinds, sessions := s.sessions.pack(start.UnixMicro())
	return []any{
		hours, scope, start, whole,
		s.Calls, s.Success, s.Measured, numeric(s.Micros), s.maxMicros, s.enriched,
		s.requests, numeric(s.requestBytes), s.responses, numeric(s.responseBytes),
		s.withFull, numeric(s.tokensFull), s.withDedup, numeric(s.tokensDedup), numeric(s.tokensSaved),
		s.durations.pack(), packDimensions(s.dimensions), s.tools.pack(), s.actors.pack(), packActorIDs(&s.actors),
		kinds, sessions,
	}
}

// scan reads totalColumns in binary form.
func (t *totals) scan(raw [][]byte) (err error) {
	sum := func(i int) analytics.Sum {
		n, e := numericSum(raw[i])
		if e != nil {
			err = e
		}
		return n
	}
	t.Calls, t.Success, t.Measured = bigint(raw[0]), bigint(raw[1]), bigint(raw[2])
	t.Micros, t.maxMicros, t.enriched = sum(3), bigint(raw[4]), bigint(raw[5])
	t.requests, t.requestBytes, t.responses, t.responseBytes = bigint(raw[6]), sum(7), bigint(raw[8]), sum(9)
	t.withFull, t.tokensFull, t.withDedup, t.tokensDedup = bigint(raw[10]), sum(11), bigint(raw[12]), sum(13)
	t.tokensSaved = sum(14)
	return err
}

// unpack adds what is packed in a row of the columns from durations on.
func (s *sums) unpack(raw [][]byte, start int64) error {
	if err := s.durations.unpack(raw[0]); err != nil {
		return err
	}
	if err := unpackDimensions(s.dimensions, raw[1]); err != nil {
		return err
	}
	if err := s.tools.unpack(raw[2]); err != nil {
		return err
	}
	if err := s.actors.unpack(raw[3]); err != nil {
		return err
	}
	return s.sessions.unpack(raw[5], raw[6], start) // the ids come from the actors
}

// loadSums gives the sums of every scope for the hours of a time.
func (s *Store) loadSums(ctx context.Context, tx pgx.Tx, from, to time.Time, fn func(scope int32, hour *sums)) error {
	rows, err := tx.Query(ctx, s.sql(`SELECT scope, start, `+strings.Join(sumColumns[firstTotal:], ", ")+` FROM @rollup_sums
		WHERE hours = 1 AND scope > 0 AND start >= $1 AND start < $2`), pgx.QueryResultFormats{pgx.BinaryFormatCode}, from, to)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		hour := newSums()
		if err := hour.scan(raw[2:]); err != nil {
			return err
		}
		if err := hour.unpack(raw[2+firstPacked-firstTotal:], microsOf(raw[1])); err != nil {
			return err
		}
		fn(int32(binary.BigEndian.Uint32(raw[0])), hour)
	}
	return rows.Err()
}

// numeric gives a sum as a numeric.
func numeric(s analytics.Sum) pgtype.Numeric {
	high, low := s.Words()
	n := new(big.Int).SetUint64(high)
	return pgtype.Numeric{Int: n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(low)), Valid: true}
}

// numericSum reads a whole numeric in binary form (PostgreSQL, numeric_send): a
// header, then digits to the base of 10,000. NULL is 0, as the sum of no rows.
func numericSum(b []byte) (analytics.Sum, error) {
	if len(b) == 0 {
		return analytics.Sum{}, nil
	}
	const header, positive = 8, 0
	if len(b) < header || binary.BigEndian.Uint16(b[4:]) != positive {
		return analytics.Sum{}, errPacked
	}
	digits, weight := int(binary.BigEndian.Uint16(b)), int(int16(binary.BigEndian.Uint16(b[2:])))
	if len(b) != header+2*digits {
		return analytics.Sum{}, errPacked
	}
	var high, low uint64
	for i := 0; i <= weight; i++ { // digits that are left out at the end are zero
		digit := uint64(0)
		if i < digits {
			digit = uint64(binary.BigEndian.Uint16(b[header+2*i:]))
		}
		over, shifted := bits.Mul64(low, 10_000)
		var carry uint64
		low, carry = bits.Add64(shifted, digit, 0)
		high = high*10_000 + over + carry
	}
	return analytics.SumOfWords(high, low), nil
}
