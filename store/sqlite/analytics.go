package sqlite

import (
	"context"
	"sync"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// The statistics let SQLite filter and read, from the narrow table only and
// only the columns that count, on several connections; the arithmetic is that
// of analytics.Stream, over rows in no order. That is faster than GROUP BY and
// count(DISTINCT), which sort (docs/design/sqlite.md has the figures), and it
// cannot differ from the reference.

// Overview implements analytics.Analyzer.
func (s *Store) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	return s.narrow("outcome", "duration_ms", "enriched", "actor", "tool_name").Overview(ctx, q)
}

// Timeseries implements analytics.Analyzer.
func (s *Store) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	return s.narrow("occurred_at", "outcome", "duration_ms").Timeseries(ctx, q, unit)
}

// Breakdown implements analytics.Analyzer.
func (s *Store) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	if _, _, err := analytics.CheckBreakdown(dimension, limit); err != nil {
		return nil, err
	}
	columns := []string{"outcome", "duration_ms"}
	switch dimension {
	case "outcome":
	case "actor":
		columns = append(columns, "actor", "actor_email")
	default:
		columns = append(columns, dimension)
	}
	return s.narrow(columns...).Breakdown(ctx, q, dimension, limit)
}

// Performance implements analytics.Analyzer.
func (s *Store) Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error) {
	return s.narrow("duration_ms", "request_bytes", "response_bytes").Performance(ctx, q)
}

// Discovery implements analytics.Analyzer.
func (s *Store) Discovery(ctx context.Context, q *audit.Query, kinds analytics.DiscoveryKinds) (*analytics.Discovery, error) {
	return s.narrow("occurred_at", "outcome", "duration_ms", "toolkit_kind", "tool_name", "session_id", "namespace").Discovery(ctx, q, kinds)
}

// Enrichment implements analytics.Analyzer.
func (s *Store) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	return s.narrow("enriched", "enrichment_mode", "tokens_full", "tokens_dedup", "session_id", "namespace").Enrichment(ctx, q)
}

// Distinct implements analytics.Analyzer.
func (s *Store) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	if _, err := analytics.CheckColumn("column", column); err != nil {
		return nil, err
	}
	return s.narrow(column).Distinct(ctx, q, column)
}

// DistinctPairs implements analytics.Analyzer.
func (s *Store) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	if _, err := analytics.CheckColumn("a", a); err != nil {
		return nil, err
	}
	if _, err := analytics.CheckColumn("b", b); err != nil {
		return nil, err
	}
	return s.narrow("occurred_at", "id", a, b).DistinctPairs(ctx, q, a, b)
}

func (s *Store) narrow(columns ...string) analytics.Analyzer {
	return analytics.Stream(&narrowScanner{s: s, columns: columns})
}

// narrowScanner gives records of which only some fields are set, in no order.
type narrowScanner struct {
	s       *Store
	columns []string
}

// narrowBatch is how many rows one connection reads before it hands them over.
const narrowBatch = 256

// Scan implements audit.Scanner but for the order and for fields that were not asked for.
func (n *narrowScanner) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	selects, scoped := "SELECT 0", false
	var fields []*audit.Field
	for _, name := range n.columns {
		if name == "namespace" || name == "tenant" {
			scoped = true
			continue
		}
		fields = append(fields, columnsOf(name)...)
		selects += ", r." + name
	}
	if scoped {
		selects = "SELECT r.scope" + selects[len("SELECT 0"):]
	}
	var mu sync.Mutex // fn is called by one at a time
	return n.s.read(ctx, func(v *view) error {
		p, err := v.plan(q)
		if err != nil || p.none {
			return err
		}
		names := func(number int64) (audit.Scope, error) { return audit.Scope{}, nil }
		if scoped {
			if names, err = v.allScopes(); err != nil {
				return err
			}
		}
		rooms := sync.Pool{New: func() any { return new(room) }}
		return v.visit(p, selects, func(c *conn, st *statement, values *slotValues) error {
			row, err := st.prepare(c, values)
			if err != nil {
				return err
			}
			r := rooms.Get().(*room)
			defer rooms.Put(r)
			for more := true; more; {
				r.mem.texts.reset() // the streaming reference copies what it keeps
				used := 0
				for used < narrowBatch {
					if more, err = row.Step(); err != nil {
						return err
					}
					if !more {
						break
					}
					rec := &r.recs[used]
					name, err := names(row.ColumnInt64(0))
					if err != nil {
						return err
					}
					*rec = audit.Record{}
					rec.Namespace, rec.Tenant = name.Namespace, name.Tenant
					for i, f := range fields {
						decodeField(row, 1+i, f, rec, &r.mem)
					}
					used++
				}
				mu.Lock()
				for i := range r.recs[:used] {
					if err := fn(&r.recs[i]); err != nil {
						mu.Unlock()
						return err
					}
				}
				mu.Unlock()
			}
			return nil
		})
	})
}

// room is where one connection puts a batch of rows.
type room struct {
	recs [narrowBatch]audit.Record
	mem  memory
}

// allScopes gives the names of all scopes, for use on several connections.
func (v *view) allScopes() (func(int64) (audit.Scope, error), error) {
	st, err := v.conns[0].Prepare(v.s.sql("SELECT scope, namespace, tenant FROM @scopes"))
	if err != nil {
		return nil, err
	}
	names := map[int64]audit.Scope{}
	for {
		more, err := st.Step()
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		names[st.ColumnInt64(0)] = audit.Scope{Namespace: st.ColumnText(1), Tenant: st.ColumnText(2)}
	}
	return func(number int64) (audit.Scope, error) {
		if name, ok := names[number]; ok {
			return name, nil
		}
		return lost(number), nil
	}, nil
}
