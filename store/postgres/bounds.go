package postgres

import (
	"context"
	"encoding/binary"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// earliest and latest are bounds, in microseconds, that no record lies outside
// of: the years 1 to 9999.
const (
	earliest = -62_135_596_800_000_000
	latest   = 253_402_300_800_000_000
)

// block is a run of records in about the order of their arrival, with the
// bounds of their times; those of a block that is still filled are the widest.
type block struct {
	number   int32
	min, max int64 // of occurred_at in microseconds; min is more than max where nothing is left
}

// blocks remembers the bounds of blocks, which never change once written, and
// which blocks wait for theirs.
type blocks struct {
	mu    sync.Mutex
	known map[int32]block
	first int32     // no block before it is unknown
	since time.Time // when known was begun

	waiting map[int32]uint64 // blocks that nothing new is given, and the transaction id that must have ended
	pages   map[string]int64 // how large a table was when its indexes were last summarized
}

// blocksLife is how long bounds are remembered: after a failover that lost
// transactions a block may be filled anew.
const blocksLife = time.Minute

// selectBlocks gives the newest block, and the bounds from a block on.
const selectBlocks = `SELECT (u.last_value / $1::bigint)::int, b.block, b.min_occurred, b.max_occurred
	FROM @units u LEFT JOIN @blocks b ON b.block >= $2::int`

// loadBlocks gives all blocks, in the order of their numbers. db must be the
// transaction that reads the records: a block that begins after this statement
// holds nothing that it sees.
func (s *Store) loadBlocks(ctx context.Context, db querier) ([]block, error) {
	c := &s.blocks
	c.mu.Lock()
	if c.known == nil || time.Since(c.since) > blocksLife {
		c.known, c.first, c.since = map[int32]block{}, 0, time.Now()
	}
	first := c.first
	c.mu.Unlock()

	last := int32(-1)
	var fresh []block
	rows, err := db.Query(ctx, s.sql(selectBlocks), pgx.QueryResultFormats{pgx.BinaryFormatCode}, int64(s.blockUnits), first)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		raw := rows.RawValues()
		last = int32(binary.BigEndian.Uint32(raw[0]))
		if raw[1] != nil {
			fresh = append(fresh, block{int32(binary.BigEndian.Uint32(raw[1])), microsOf(raw[2]), microsOf(raw[3])})
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range fresh {
		c.known[b.number] = b
		last = max(last, b.number) // also where somebody set the sequence back
	}
	for _, ok := c.known[c.first]; ok; _, ok = c.known[c.first] {
		c.first++
	}
	last = max(last, c.first-1)
	out := make([]block, last+1)
	for n := range out {
		b, ok := c.known[int32(n)]
		if !ok {
			b = block{int32(n), earliest, latest}
		}
		out[n] = b
	}
	return out, nil
}

// microsOf reads a timestamptz in binary form.
func microsOf(raw []byte) int64 { return int64(binary.BigEndian.Uint64(raw)) + epoch }

// timeOf is the argument for a time in microseconds.
func timeOf(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// settleBlocks writes the bounds of blocks that nothing can be added to any
// more: the sequence has left the block, and every transaction that ran then
// has ended. A writer has its transaction id before it reads the sequence; so
// an id that is taken here, after the sequence was read, is greater than that of
// everyone who may write to the block. (The end of a snapshot would not do: it
// is only one past the last transaction that has ended.)
func (s *Store) settleBlocks(ctx context.Context) error {
	if s.closing.Err() != nil {
		return audit.ErrClosed
	}
	return translate(ctx, s.settle(ctx, s.blockUnits))
}

const (
	selectNewest    = `SELECT (last_value / $1::bigint)::int FROM @units`
	selectUnsettled = `SELECT n FROM generate_series(0, $1::int - 1) AS n WHERE NOT EXISTS(SELECT 1 FROM @blocks b WHERE b.block = n)`
	selectTaken     = `SELECT pg_current_xact_id()::text`                    // an id of its own
	selectEnded     = `SELECT pg_snapshot_xmin(pg_current_snapshot())::text` // before which all have ended
	// The sum keeps the planner from looking for the least time in the order of
	// time, through all that is older; it has to go by the block.
	insertBounds = `INSERT INTO @blocks(block, min_occurred, max_occurred)
		SELECT $1, coalesce(m.least, timestamptz '9999-12-31 00:00:00+00'), coalesce(m.greatest, timestamptz '0001-01-01 00:00:00+00')
		FROM (SELECT min(r.occurred_at + interval '0') AS least, max(r.occurred_at + interval '0') AS greatest FROM @records r WHERE r.block = $1) m
		ON CONFLICT DO NOTHING`
)

func (s *Store) settle(ctx context.Context, units int) error {
	var newest int32
	if err := s.maintenance.QueryRow(ctx, s.sql(selectNewest), int64(units)).Scan(&newest); err != nil {
		return err
	}
	rows, err := s.maintenance.Query(ctx, s.sql(selectUnsettled), newest)
	if err != nil {
		return err
	}
	unsettled, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil || len(unsettled) == 0 {
		return err
	}
	begun, err := s.transactionID(ctx, selectTaken)
	if err != nil {
		return err
	}
	ended, err := s.transactionID(ctx, selectEnded)
	if err != nil {
		return err
	}
	for _, n := range s.blocks.ended(unsettled, begun, ended) {
		if err := s.writeBounds(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// transactionID runs a statement that gives one, in a transaction of its own.
func (s *Store) transactionID(ctx context.Context, sql string) (uint64, error) {
	var text string
	if err := s.maintenance.QueryRow(ctx, sql).Scan(&text); err != nil {
		return 0, err
	}
	return strconv.ParseUint(text, 10, 64)
}

// ended gives those of the blocks whose writers have all ended, and remembers
// of the others which must end.
func (c *blocks) ended(unsettled []int32, begun, ended uint64) (out []int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := make(map[int32]uint64, len(unsettled))
	for _, n := range unsettled {
		id, seen := c.waiting[n]
		if !seen {
			id = begun
		}
		waiting[n] = id
		if id <= ended {
			out = append(out, n)
		}
	}
	c.waiting = waiting
	return out
}

func (s *Store) writeBounds(ctx context.Context, number int32) error {
	return pgx.BeginFunc(ctx, s.maintenance, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL enable_seqscan = off; SET LOCAL jit = off"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, s.sql(insertBounds), number)
		return err
	})
}
