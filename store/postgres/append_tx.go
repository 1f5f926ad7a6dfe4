package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// writing appends records on one connection in one transaction, which takes
// three round trips: locks, heads and look-ups; the rows; heads and commit.
type writing struct {
	s       *Store
	conn    *pgx.Conn
	chained bool
	// begin and commit make it a transaction of its own. Without them it is part
	// of one, which is at READ COMMITTED, and the caller's to roll back.
	begin, commit bool
	restore       *restoring // nil where the records get their places here
}

// beginWrite: what a transaction sees must not be older than its locks.
const beginWrite = `BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE`

// writeSettings are those of a writing transaction; $1 is the statement timeout.
// A client that went away must not hold its locks for long. What is answered
// for is on the disk, whatever the database's default says. And a plan made
// while a table was small must still be right when it is large, and stop where
// its LIMIT is reached, as an index scan does and a bitmap does not.
const writeSettings = `SELECT set_config('statement_timeout', $1::text, true),
	set_config('idle_in_transaction_session_timeout', '30s', true),
	set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
	CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END`

const (
	// headsOf gives the heads of the scopes that have one.
	headsOf = `SELECT s.scope, h.last_sequence, h.hash FROM unnest($1::int[]) AS s(scope) CROSS JOIN LATERAL (
		SELECT b.last_sequence, b.hash FROM @batches b WHERE b.scope = s.scope ORDER BY b.first_sequence DESC LIMIT 1) h`
	// The number of the transaction is made before its block is read, so that who
	// closes a block can see whether anybody may still write to it.
	takeNumber = `SELECT pg_current_xact_id()::text`
	takeUnits  = `SELECT min(u) FROM (SELECT nextval('@units') AS u FROM generate_series(1, $1::int)) t`
	lastUnit   = `SELECT last_value FROM @units`

	insertBatches = `INSERT INTO @batches(scope, first_sequence, last_sequence, hash)
		SELECT * FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bytea[])`
	insertStale = `INSERT INTO @stale(hour) SELECT to_timestamp(h) FROM unnest($1::bigint[]) AS u(h)`
)

// append gives the verdicts, one for each item. After an error none is known,
// and no item has a place in a chain.
func (w *writing) append(ctx context.Context, items []*item) ([]audit.Result, error) {
	k := newKnown(items)
	links, block, err := w.prepare(ctx, items, k)
	if err != nil {
		return nil, err
	}
	if err := w.restore.compare(links); err != nil {
		return nil, err
	}
	if err := k.load(ctx, w); err != nil {
		return nil, err
	}
	verdicts := make([]audit.Result, len(items))
	fresh := make([]*item, 0, len(items))
	for i, it := range items {
		if old := k.stored(it); old != nil {
			if w.restore != nil {
				return nil, chain.TakenID(it.rec)
			}
			verdicts[i] = intake.Verdict(old, it.rec)
		} else if k.first(it) {
			fresh = append(fresh, it)
		}
	}
	if err := w.rows(ctx, fresh, links, block); err != nil {
		if w.chained && w.restore == nil {
			for _, it := range fresh {
				unlink(it.rec)
			}
		}
		return nil, err
	}
	for i, it := range items {
		switch {
		case k.stored(it) != nil:
		case k.first(it):
			verdicts[i] = audit.Result{Sequence: it.rec.Sequence, Hash: it.rec.Hash}
		default: // it repeats one of the same batch
			verdicts[i] = intake.Verdict(k.firstOf(it), it.rec)
		}
	}
	return verdicts, nil
}

// links are the chains that grow, by scope.
type links map[int32]*link

type link struct {
	first int64 // the first new sequence, 0 while there is none
	head  chain.Head
}

// prepare is the first round trip.
func (w *writing) prepare(ctx context.Context, items []*item, k *known) (links, int32, error) {
	var b pgx.Batch
	if w.begin {
		b.Queue(beginWrite)
		b.Queue(writeSettings, timeoutSetting(w.s.opt.StatementTimeout))
	}
	b.Queue(lockScopes, w.s.lockIDs(w.keys(items)))
	chains := links{}
	if w.chained {
		var scopes []int32
		if r := w.restore; r != nil {
			chains[r.scope], scopes = &link{head: chain.Head{Key: r.from.Key}}, []int32{r.scope}
		}
		for _, it := range items {
			if chains[it.scope] == nil {
				chains[it.scope] = &link{head: chain.Head{Key: chain.Key{Scope: it.rec.Scope()}}}
				scopes = append(scopes, it.scope)
			}
		}
		ask, args := headsOf, []any{scopes}
		if w.restore != nil && w.restore.from.Segment != "" {
			ask, args = headOfSegment, append(args, w.restore.from.Segment)
		}
		b.Queue(w.s.sql(ask), args...).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var scope int32
				var sequence int64
				var hash []byte
				if err := rows.Scan(&scope, &sequence, &hash); err != nil {
					return err
				}
				h := &chains[scope].head
				h.Sequence = sequence
				copy(h.Hash[:], hash)
			}
			return rows.Err()
		})
	}
	k.queue(w.s, &b)
	b.Queue(takeNumber)
	var unit int64
	readUnit := func(row pgx.Row) error { return row.Scan(&unit) }
	units := len(items) / w.s.unitRows
	if rand.IntN(w.s.unitRows) < len(items)%w.s.unitRows {
		units++
	}
	if units > 0 {
		b.Queue(w.s.sql(takeUnits), units).QueryRow(readUnit)
	} else {
		b.Queue(w.s.sql(lastUnit)).QueryRow(readUnit)
	}
	if err := w.conn.SendBatch(ctx, &b).Close(); err != nil {
		return nil, 0, err
	}
	return chains, int32(unit / int64(w.s.blockUnits)), nil
}

// rows is the second round trip and the third.
func (w *writing) rows(ctx context.Context, fresh []*item, chains links, block int32) error {
	if len(fresh) > 0 {
		var place func(*item)
		if w.chained && w.restore == nil {
			var one [1]*audit.Record
			place = func(it *item) {
				l := chains[it.scope]
				if l.first == 0 {
					l.first = l.head.Sequence + 1
				}
				one[0] = it.rec
				l.head = chain.Seal(l.head, one[:])
			}
		}
		src := newCopySource(fresh, block, w.s.text, place)
		_, err := w.conn.PgConn().CopyFrom(ctx, src, w.s.copySQL)
		src.close(err == nil)
		if err != nil {
			return err
		}
	}
	var b pgx.Batch
	w.restore.advance(chains)
	if w.chained {
		w.queueHeads(&b, chains)
	}
	if len(fresh) > 0 {
		b.Queue(w.s.sql(insertStale), hoursOf(fresh))
	}
	if w.commit {
		b.Queue("COMMIT")
	}
	if b.Len() == 0 {
		return nil
	}
	res := w.conn.SendBatch(ctx, &b)
	var err error
	for range b.Len() {
		tag, e := res.Exec()
		if e != nil {
			err = e
			break
		}
		if s := tag.String(); s == "ROLLBACK" {
			err = errors.New("postgres: the transaction was rolled back")
		}
	}
	if e := res.Close(); err == nil {
		err = e
	}
	return err
}

func (w *writing) queueHeads(b *pgx.Batch, chains links) {
	var scopes []int32
	var firsts, lasts []int64
	var hashes [][]byte
	for scope, l := range chains {
		if l.first == 0 {
			continue
		}
		if l.head.Segment != "" {
			b.Queue(w.s.sql(insertSegment), scope, l.head.Segment, l.first, l.head.Sequence, l.head.Hash[:])
			continue
		}
		scopes, firsts = append(scopes, scope), append(firsts, l.first)
		lasts, hashes = append(lasts, l.head.Sequence), append(hashes, l.head.Hash[:])
	}
	if len(scopes) > 0 {
		b.Queue(w.s.sql(insertBatches), scopes, firsts, lasts, hashes)
	}
}

// hoursOf gives the hours in which the records occurred, each once, in seconds
// since 1970.
func hoursOf(items []*item) []int64 {
	const hour = int64(time.Hour / time.Microsecond)
	seen := make(map[int64]bool, 4)
	var out []int64
	last := int64(-1 << 63)
	for _, it := range items {
		h := audit.Micros(it.rec.OccurredAt)
		if h %= hour; h < 0 {
			h += hour // downwards, also before 1970
		}
		h = (audit.Micros(it.rec.OccurredAt) - h) / 1e6
		if h != last && !seen[h] {
			seen[h] = true
			out = append(out, h)
		}
		last = h
	}
	return out
}

// timeoutSetting writes a duration for set_config; none is 0.
func timeoutSetting(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}
