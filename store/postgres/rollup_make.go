package postgres

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// rollupSettings: a plan of an hour is right for every hour, so it must not
// depend on statistics of a table that just grew.
const rollupSettings = `SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '5min'; SET LOCAL jit = off; SET LOCAL timezone = 'UTC';
	SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0`

const (
	// rollupRecords is how many records one transaction reads at most, but for
	// those of its last hour.
	rollupRecords = 200_000
	// rollupPatience is how long an hour that is written to again and again goes
	// without sums at most.
	rollupPatience = 10 * time.Minute
	// rollupAttempts is how often one transaction is tried when others get in its way.
	rollupAttempts = 5
	// crowd is how many rows of one hour in the table of stale hours are left
	// alone; of more than these the first and the last are kept.
	crowd = 8
)

// rolled is what one run of making sums came to.
type rolled struct {
	busy  bool // another process is at it
	hours int  // whose sums were made
	due   int  // hours whose sums are to be made next
}

// rollup makes the sums of at most maxHours stale hours anew, the newest first,
// in one transaction, and of the days that have no stale hour then. Hours that
// were written to within settle are left, as they would be stale again at once.
//
// Why the sums are exact: the transaction reads one snapshot. It removes those
// rows of the table of stale hours that this snapshot sees and makes sums of
// the records that it sees. A transaction that adds or removes records commits
// them and its own row together: the snapshot either sees both, and then the
// sums hold them, or neither, and then the row stays and tells every question
// not to trust the sums.
func (s *Store) rollup(ctx context.Context, maxHours int, settle time.Duration) (out rolled, err error) {
	for range rollupAttempts {
		err = pgx.BeginTxFunc(ctx, s.maintenance, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			m := making{s: s, tx: tx, maxHours: maxHours, settle: settle}
			err := m.run(ctx)
			out = m.rolled
			return err
		})
		if state(err) != stateSerialization {
			break
		}
	}
	return out, err
}

// making is one transaction that makes sums.
type making struct {
	s        *Store
	tx       pgx.Tx
	maxHours int
	settle   time.Duration
	rolled
	records int // read so far
}

func (m *making) run(ctx context.Context) error {
	if _, err := m.tx.Exec(ctx, rollupSettings); err != nil {
		return err
	}
	// So that no partition comes or goes between the snapshot and the records.
	if _, err := m.tx.Exec(ctx, m.s.sql(`LOCK TABLE @records IN ACCESS SHARE MODE`)); err != nil {
		return err
	}
	var mine bool
	if err := m.tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, m.s.lockID("rollup")).Scan(&mine); err != nil {
		return err
	}
	if !mine {
		m.busy = true
		return nil
	}
	stale, err := m.stale(ctx)
	if err != nil || !slices.ContainsFunc(stale, func(h staleHour) bool { return h.due || h.crowded }) {
		return err
	}
	// The snapshot is older than the lock. Where another process had it in
	// between, this fails and the transaction is begun anew.
	if _, err := m.tx.Exec(ctx, m.s.sql(`UPDATE @rollup_state SET runs = runs + 1, ran_at = now()`)); err != nil {
		return err
	}
	var done []time.Time
	for _, h := range stale {
		if !h.due || len(done) == m.maxHours || m.records >= rollupRecords {
			if h.due {
				m.due++
			}
			continue
		}
		if err := m.hour(ctx, h.start); err != nil {
			return err
		}
		done = append(done, h.start)
	}
	m.hours = len(done)
	if err := m.days(ctx, stale, done); err != nil {
		return err
	}
	if _, err := m.tx.Exec(ctx, m.s.sql(`DELETE FROM @stale WHERE hour = ANY($1)`), done); err != nil {
		return err
	}
	_, err = m.tx.Exec(ctx, m.s.sql(`DELETE FROM @stale s USING (
		SELECT hour, min(id) AS first, max(id) AS last FROM @stale GROUP BY hour HAVING count(*) > $1) c
		WHERE s.hour = c.hour AND s.id > c.first AND s.id < c.last`), crowd)
	return err
}

type staleHour struct {
	start   time.Time
	due     bool
	crowded bool // by its rows in the table
}

// stale gives the stale hours, the newest first.
func (m *making) stale(ctx context.Context) ([]staleHour, error) {
	rows, err := m.tx.Query(ctx, m.s.sql(`SELECT hour,
			max(noted_at) <= clock_timestamp() - $1::interval OR min(noted_at) <= clock_timestamp() - $2::interval,
			count(*) > $3
		FROM @stale GROUP BY hour ORDER BY hour DESC`), m.settle, rollupPatience, crowd)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (h staleHour, err error) {
		err = row.Scan(&h.start, &h.due, &h.crowded)
		h.start = h.start.UTC()
		return h, err
	})
}

// hour replaces the sums of an hour by those of its records.
func (m *making) hour(ctx context.Context, start time.Time) error {
	byScope, err := m.read(ctx, start, start.Add(time.Hour))
	if err != nil {
		return err
	}
	for scope, sums := range byScope {
		sums.sessions.hashed(scope)
	}
	return m.replace(ctx, 1, start, byScope)
}

// days replaces the sums of those days that had their last stale hours among
// the done ones. The sums of the others stay as they are: a stale hour keeps
// everybody from trusting them.
func (m *making) days(ctx context.Context, stale []staleHour, done []time.Time) error {
	left := map[time.Time]int{}
	for _, h := range stale {
		left[h.start.Truncate(24*time.Hour)]++
	}
	for _, h := range done {
		day := h.Truncate(24 * time.Hour)
		if left[day]--; left[day] > 0 {
			continue
		}
		byScope := map[int32]*sums{}
		err := m.s.loadSums(ctx, m.tx, day, day.Add(24*time.Hour), func(scope int32, hour *sums) {
			if byScope[scope] == nil {
				byScope[scope] = newSums()
			}
			byScope[scope].merge(hour)
		})
		if err == nil {
			err = m.replace(ctx, 24, day, byScope)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replace writes the sums of a period.
func (m *making) replace(ctx context.Context, hours int16, start time.Time, byScope map[int32]*sums) error {
	if _, err := m.tx.Exec(ctx, m.s.sql(`DELETE FROM @rollup_sums WHERE hours = $1 AND start = $2`), hours, start); err != nil {
		return err
	}
	if len(byScope) == 0 {
		return nil
	}
	var rows [][]any
	var all *sums
	if len(byScope) > 1 {
		all = newSums()
	}
	for scope, sums := range byScope {
		sums.sessions.settle()
		if all != nil {
			all.merge(sums)
		}
		rows = append(rows, sums.row(hours, scope, start, all == nil))
	}
	if all != nil {
		all.sessions.settle()
		rows = append(rows, all.row(hours, 0, start, true))
	}
	_, err := m.tx.CopyFrom(ctx, pgx.Identifier{m.s.opt.Schema, m.s.opt.Prefix + "rollup_sums"}, sumColumns, pgx.CopyFromRows(rows))
	return err
}

// summedDimensions are the dimensions whose values have sums: those that have
// few. Tools, toolkit kinds and actors have a section of their own, namespace
// and tenant their row in the table.
var summedDimensions = columnsOf(
	"outcome", "enriched", "operation", "action", "resource_type", "persona", "connection", "enrichment_mode",
	"toolkit", "service", "provider", "transport", "host", "method", "level", "actor_type", "actor_team", "auth_method",
	"error_code", "verdict", "rule",
)

// callColumns are what making sums reads of a call; summedDimensions follow,
// where enriched is once more a boolean.
var callColumns = func() string {
	var b strings.Builder
	b.WriteString(`r.scope, r.occurred_at, r.duration_us, r.tokens_full, r.tokens_dedup, r.request_bytes, r.response_bytes,
		r.actor, r.actor_email, r.session_id, r.tool_name, r.toolkit_kind`)
	for _, f := range summedDimensions {
		b.WriteString(", r." + column(f))
	}
	return b.String()
}()

// The places in callColumns.
const (
	callScope = iota
	callAt
	callMicros
	callFull
	callDedup
	callRequest
	callResponse
	callActor
	callEmail
	callSession
	callTool
	callKind
	callOutcome
	callEnriched
	callDimensions = callOutcome
)

// read sums up the calls of a time, by scope.
func (m *making) read(ctx context.Context, from, to time.Time) (map[int32]*sums, error) {
	rows, err := m.tx.Query(ctx, m.s.sql(`SELECT `+callColumns+` FROM @records r
		WHERE r.occurred_at >= $1 AND r.occurred_at < $2 AND r.kind = 'event' AND coalesce(r.outcome, '') <> 'pending'`),
		pgx.QueryResultFormats{pgx.BinaryFormatCode}, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	byScope := map[int32]*sums{}
	var key []byte
	for rows.Next() {
		raw := rows.RawValues()
		scope := int32(binary.BigEndian.Uint32(raw[callScope]))
		sum := byScope[scope]
		if sum == nil {
			sum = newSums()
			byScope[scope] = sum
		}
		key = sum.add(raw, key)
		m.records++
	}
	return byScope, rows.Err()
}

var textTrue, textFalse = []byte("true"), []byte("false")

// add counts one call, a row of callColumns; key is room that it may use.
func (s *sums) add(raw [][]byte, key []byte) []byte {
	call := analytics.Tally{Calls: 1}
	if string(raw[callOutcome]) == string(audit.Success) {
		call.Success = 1
	}
	if us := bigint(raw[callMicros]); us > 0 {
		call.Measured, call.Micros = 1, analytics.SumOf(us)
		s.maxMicros = max(s.maxMicros, us)
		s.durations.add(bucketOf(us), 1)
	}
	mergeTally(&s.Tally, &call)
	enriched := textFalse
	if b := raw[callEnriched]; len(b) == 1 && b[0] != 0 {
		s.enriched++
		enriched = textTrue
	}
	full, dedup := bigint(raw[callFull]), bigint(raw[callDedup])
	addSize(&s.tokensFull, &s.withFull, full)
	addSize(&s.tokensDedup, &s.withDedup, dedup)
	s.tokensSaved.Add(full - dedup)
	addSize(&s.requestBytes, &s.requests, bigint(raw[callRequest]))
	addSize(&s.responseBytes, &s.responses, bigint(raw[callResponse]))

	count := func(in *section, value []byte) {
		if t := in.tally(value); t != nil {
			mergeTally(t, &call)
		}
	}
	for i := range s.dimensions {
		value := raw[callDimensions+i]
		if callDimensions+i == callEnriched {
			value = enriched
		}
		if len(value) > 0 {
			count(&s.dimensions[i], value)
		}
	}
	if kind, tool := raw[callKind], raw[callTool]; len(kind) > 0 || len(tool) > 0 {
		key = joined(key, kind, tool)
		count(&s.tools, key)
	}
	if actor, email := raw[callActor], raw[callEmail]; len(actor) > 0 || len(email) > 0 {
		key = joined(key, actor, email)
		count(&s.actors, key)
	}
	if id := raw[callSession]; len(id) > 0 {
		s.sessions.add(id, raw[callKind], microsOf(raw[callAt]))
	}
	return key
}

// addSize adds a number unless it is zero, and counts it.
func addSize(sum *analytics.Sum, count *int64, n int64) {
	if n > 0 {
		sum.Add(n)
		*count++
	}
}

// bigint reads a bigint in binary form; NULL is 0.
func bigint(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}
