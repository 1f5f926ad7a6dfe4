package postgres

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// firsts are the times of a session's first calls, noCall where there is none.
type firsts struct{ discovery, query int64 }

const noCall = math.MaxInt64

// Discovery implements analytics.Analyzer.
func (s *Store) Discovery(ctx context.Context, q *audit.Query, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	kinds, err := analytics.CheckKinds(kinds)
	if err != nil {
		return nil, err
	}
	var out *analytics.Discovery
	err = s.statistic(ctx, q, byDays, func(st *statistic) (err error) {
		out, err = st.discovery(ctx, kinds)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cmp.Or(out, new(analytics.SessionCounts).Discovery(nil)), nil
}

func (st *statistic) discovery(ctx context.Context, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	tools := tallies{}
	octetsOfSessions := int64(0)
	err := st.sums(ctx, `tools, octet_length(sessions)`, false, func(_ int64, raw [][]byte) (bool, error) {
		n, has := octets(raw[1])
		if !has || raw[0] == nil {
			return false, nil
		}
		octetsOfSessions += n
		return true, eachTally(raw[0], func(value []byte, t *analytics.Tally) {
			if kind, tool := splitJoined(value); slices.Contains(kinds.Discovery, string(kind)) {
				tools.add(tool, t)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	err = st.rows(ctx, func(w *where, from string) string {
		return `SELECT r.tool_name, ` + tallySQL + from + ` AND r.tool_name <> '' AND r.toolkit_kind = ANY(` + w.arg(kinds.Discovery) + `::text[]) GROUP BY 1`
	}, func(raw [][]byte) error {
		t, err := scanTally(raw[1:])
		tools.add(raw[0], &t)
		return err
	})
	if err != nil {
		return nil, err
	}
	top := analytics.TopGroups(tools, analytics.MaxTopTools)
	if !st.parts.summed() && len(st.parts.rows) == 1 {
		counts, err := st.countSessions(ctx, kinds)
		return counts.Discovery(top), err
	}
	counts, of, err := st.mergeSessions(ctx, kinds, octetsOfSessions)
	if err != nil {
		return nil, err
	}
	out := counts.Discovery(top)
	out.SessionsError = of.error()
	return out, nil
}

// firstsSQL gives each session with its first calls.
func firstsSQL(w *where, from string, kinds analytics.DiscoveryKinds) string {
	discovery, query := w.arg(kinds.Discovery)+"::text[]", w.arg(kinds.Query)+"::text[]"
	return `SELECT r.scope, r.session_id, min(r.occurred_at) FILTER (WHERE r.toolkit_kind = ANY(` + discovery + `)) AS discovery,
		min(r.occurred_at) FILTER (WHERE r.toolkit_kind = ANY(` + query + `)) AS query` + from +
		` AND r.session_id <> '' AND (r.toolkit_kind = ANY(` + discovery + `) OR r.toolkit_kind = ANY(` + query + `)) GROUP BY 1, 2`
}

// countSessions lets the database count, where nothing is to be merged.
func (st *statistic) countSessions(ctx context.Context, kinds analytics.DiscoveryKinds) (c analytics.SessionCounts, err error) {
	err = st.rows(ctx, func(w *where, from string) string {
		return `SELECT count(*), count(discovery), count(query), count(*) FILTER (WHERE discovery < query) FROM (` + firstsSQL(w, from, kinds) + `) s`
	}, func(raw [][]byte) error {
		c = analytics.SessionCounts{Total: bigint(raw[0]), WithDiscovery: bigint(raw[1]), WithQuery: bigint(raw[2]), Before: bigint(raw[3])}
		return nil
	})
	return c, err
}

// mergeSessions counts over sums and records.
func (st *statistic) mergeSessions(ctx context.Context, kinds analytics.DiscoveryKinds, octetsOfSessions int64) (c analytics.SessionCounts, of *sampled, err error) {
	if of, err = st.sample(ctx, "sessions", sessionBytes, octetsOfSessions); err != nil {
		return c, nil, err
	}
	for i := range of.rows {
		if err := of.rows[i].sort(kinds); err != nil {
			return c, nil, err
		}
	}
	type recorded struct {
		hash  uint64
		first firsts
	}
	var others []recorded
	err = st.rows(ctx, func(w *where, from string) string { return firstsSQL(w, from, kinds) }, func(raw [][]byte) error {
		at := func(b []byte) int64 {
			if b == nil {
				return noCall
			}
			return microsOf(b)
		}
		others = append(others, recorded{hashOfSession(raw), firsts{at(raw[2]), at(raw[3])}})
		return nil
	})
	if err != nil {
		return c, nil, err
	}
	slices.SortFunc(others, func(a, b recorded) int { return cmp.Compare(a.hash, b.hash) })
	var table hashTable[firsts]
	see := func(hash uint64, first firsts) {
		f, fresh := table.at(hash)
		if fresh {
			*f = first
		} else {
			f.discovery, f.query = min(f.discovery, first.discovery), min(f.query, first.query)
		}
	}
	bad := false
	of.sweep(sessionBytes, func(row *hashed, entry []byte) {
		hash, kind, at := unpackSession(entry, row.start)
		switch {
		case kind >= len(row.roles):
			bad = true
		case row.roles[kind] != neither:
			first := firsts{noCall, noCall}
			if row.roles[kind]&ofDiscovery != 0 {
				first.discovery = at
			}
			if row.roles[kind]&ofQuery != 0 {
				first.query = at
			}
			see(hash, first)
		}
	}, func(upper uint64, last bool) {
		for len(others) > 0 && (others[0].hash < upper || last) {
			if of.counts(others[0].hash) {
				see(others[0].hash, others[0].first)
			}
			others = others[1:]
		}
		table.take(func(f *firsts) { f.count(&c) })
	})
	if bad {
		return c, nil, errPacked
	}
	for _, n := range []*int64{&c.Total, &c.WithDiscovery, &c.WithQuery, &c.Before} {
		*n = scale(*n, of.fraction())
	}
	return c, of, nil
}

// count counts one session.
func (f *firsts) count(c *analytics.SessionCounts) {
	c.Total++
	if f.discovery != noCall {
		c.WithDiscovery++
	}
	if f.query != noCall {
		c.WithQuery++
		if f.discovery < f.query {
			c.Before++
		}
	}
}

// What a toolkit kind is for: neither, one or both.
const (
	neither     = 0
	ofDiscovery = 1
	ofQuery     = 2
)

// sort says what each toolkit kind of the row is for.
func (h *hashed) sort(kinds analytics.DiscoveryKinds) error {
	names, err := unpackKinds(h.kinds)
	h.roles = make([]byte, len(names))
	for i, name := range names {
		if slices.Contains(kinds.Discovery, name) {
			h.roles[i] |= ofDiscovery
		}
		if slices.Contains(kinds.Query, name) {
			h.roles[i] |= ofQuery
		}
	}
	return err
}

// hashOfSession is the hash of a row that begins with scope and session_id.
func hashOfSession(raw [][]byte) uint64 {
	scope, _ := octets(raw[0])
	return sessionHash(int32(scope), string(raw[1]))
}

// Enrichment implements analytics.Analyzer.
func (s *Store) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	var out *analytics.Enrichment
	err := s.statistic(ctx, q, byDays, func(st *statistic) (err error) {
		out, err = st.enrichment(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return cmp.Or(out, new(analytics.EnrichmentSums).Enrichment()), nil
}

// tokensSQL are sums of what Enrichment needs of each mode.
const tokensSQL = `count(*), count(*) FILTER (WHERE r.enriched),
	count(*) FILTER (WHERE r.tokens_full > 0), sum(r.tokens_full) FILTER (WHERE r.tokens_full > 0),
	count(*) FILTER (WHERE r.tokens_dedup > 0), sum(r.tokens_dedup) FILTER (WHERE r.tokens_dedup > 0),
	sum(greatest(coalesce(r.tokens_full, 0) - coalesce(r.tokens_dedup, 0), 0))`

func addTokens(sum *analytics.EnrichmentSums, raw [][]byte) error {
	var sums [3]analytics.Sum
	for i, column := range []int{3, 5, 6} {
		var err error
		if sums[i], err = numericSum(raw[column]); err != nil {
			return err
		}
	}
	sum.Calls += bigint(raw[0])
	sum.Enriched += bigint(raw[1])
	sum.WithFull += bigint(raw[2])
	sum.TokensFull.AddSum(sums[0])
	sum.WithDedup += bigint(raw[4])
	sum.TokensDedup.AddSum(sums[1])
	sum.TokensSaved.AddSum(sums[2])
	return nil
}

func (st *statistic) enrichment(ctx context.Context) (*analytics.Enrichment, error) {
	sum := analytics.EnrichmentSums{Modes: map[string]int64{}}
	mode, _ := audit.FieldByName("enrichment_mode")
	octetsOfSessions := int64(0)
	err := st.sums(ctx, totalColumns+`, dimensions, octet_length(sessions)`, false, func(_ int64, raw [][]byte) (bool, error) {
		modes, err := packedDimension(raw[firstPacked-firstTotal], mode.Tag)
		n, has := octets(raw[firstPacked-firstTotal+1])
		if err != nil || !has || modes == nil {
			return false, err
		}
		octetsOfSessions += n
		var t totals
		if err := t.scan(raw); err != nil {
			return false, err
		}
		sum.Calls += t.Calls
		sum.Enriched += t.enriched
		sum.WithFull += t.withFull
		sum.TokensFull.AddSum(t.tokensFull)
		sum.WithDedup += t.withDedup
		sum.TokensDedup.AddSum(t.tokensDedup)
		sum.TokensSaved.AddSum(t.tokensSaved)
		sum.Modes[""] += t.Calls
		return true, eachTally(modes, func(value []byte, n *analytics.Tally) {
			sum.Modes[string(value)] += n.Calls
			sum.Modes[""] -= n.Calls
		})
	})
	if err != nil {
		return nil, err
	}
	err = st.rows(ctx, func(_ *where, from string) string {
		return `SELECT coalesce(r.enrichment_mode, ''), ` + tokensSQL + from + ` GROUP BY 1`
	}, func(raw [][]byte) error {
		sum.Modes[string(raw[0])] += bigint(raw[1])
		return addTokens(&sum, raw[1:])
	})
	if err != nil {
		return nil, err
	}
	of, err := st.uniqueSessions(ctx, octetsOfSessions, &sum.Sessions)
	if err != nil {
		return nil, err
	}
	out := sum.Enrichment()
	out.SessionsError = of.error()
	return out, nil
}

// uniqueSessions counts the sessions of all calls.
func (st *statistic) uniqueSessions(ctx context.Context, octetsOfSessions int64, n *int64) (*sampled, error) {
	sessions := func(from string) string {
		return `SELECT r.scope, r.session_id` + from + ` AND r.session_id <> '' GROUP BY 1, 2`
	}
	of, err := st.sample(ctx, "sessions", sessionBytes, octetsOfSessions)
	if err != nil {
		return nil, err
	}
	if !st.parts.summed() && len(st.parts.rows) == 1 {
		return of, st.rows(ctx, func(_ *where, from string) string { return `SELECT count(*) FROM (` + sessions(from) + `) s` },
			func(raw [][]byte) error { *n = bigint(raw[0]); return nil })
	}
	var others []uint64
	err = st.rows(ctx, func(_ *where, from string) string { return sessions(from) }, func(raw [][]byte) error {
		others = append(others, hashOfSession(raw))
		return nil
	})
	if err != nil {
		return nil, err
	}
	*n = of.distinct(sessionBytes, others)
	return of, nil
}
