package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// explainer is a connection that tells the plans of what was run on it.
type explainer struct {
	*pgx.Conn
	s     *Store
	plans []string
}

func newExplainer(t testing.TB, s *Store) *explainer {
	t.Helper()
	e := &explainer{s: s}
	config, err := pgx.ParseConfig(s.opt.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.Contains(n.Message, "annals_records") {
			e.plans = append(e.plans, n.Message)
		}
	}
	if e.Conn, err = pgx.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	for _, text := range []string{
		"LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0", "SET auto_explain.log_analyze = on",
		"SET auto_explain.log_timing = off", "SET client_min_messages = log",
	} {
		if _, err := e.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// explain gives the plans of the statements that fn runs, as they were run.
func (e *explainer) explain(t testing.TB, fn func(a *ask) error) []string {
	t.Helper()
	e.plans = nil
	err := pgx.BeginTxFunc(t.Context(), e.Conn, pgx.TxOptions{BeginQuery: e.s.beginRead + askSettings + modes[byOrder]}, func(tx pgx.Tx) error {
		return fn(&ask{s: e.s, ctx: t.Context(), tx: tx})
	})
	if err != nil {
		t.Fatal(err)
	}
	return e.plans
}

var (
	// scanned are the nodes of a plan that read records.
	scanned = regexp.MustCompile(`(?:Index Scan(?: Backward)?|Index Only Scan(?: Backward)?) using (\S+) on|Bitmap Index Scan on (\S+)`)
	// partitions are their names in those of indexes, which end in a number where they are cut off.
	partitions = regexp.MustCompile(`^annals_records_(default|later|day[0-9]|[0-9]{4}_[0-9]{2})_`)
)

// indexesOf gives the indexes that the plan reads records by, without the names
// of the partitions.
func indexesOf(plan string) map[string]bool {
	out := map[string]bool{}
	for _, m := range scanned.FindAllStringSubmatch(plan, -1) {
		if name := m[1] + m[2]; strings.HasPrefix(name, "annals_records_") {
			out[partitions.ReplaceAllString(name, "")] = true
		}
	}
	return out
}

// Every question goes by its index, on partitions that are empty, small or
// large, with statistics and without; and sorts at most what shares a time.
func TestQuestionsGoByTheirIndex(t *testing.T) {
	for _, version := range enginetest.PostgresVersions() {
		t.Run(version, func(t *testing.T) {
			s := sparse(t, Options{URL: enginetest.Postgres(t, enginetest.OnVersion(version))})
			c := newStranger(t, s)
			checkPlans(t, s, "empty")
			appendAll(t, s, storetest.Corpus(1, 20))
			checkPlans(t, s, "a few records")
			c.must(t, "ANALYZE @records")
			checkPlans(t, s, "a few records, analyzed")
			for seed := range uint64(6) {
				appendAll(t, s, storetest.Corpus(seed+2, 500))
			}
			settle(t, s)
			checkPlans(t, s, "old statistics")
			c.must(t, "ANALYZE @records")
			checkPlans(t, s, "analyzed, large")
			later := storetest.CorpusStart.AddDate(1, 0, 0)
			c.must(t, fmt.Sprintf("CREATE TABLE @records_later PARTITION OF @records FOR VALUES FROM ('%s') TO ('%s')", later.Format("2006-01-02Z"), later.AddDate(0, 1, 0).Format("2006-01-02Z")))
			checkPlans(t, s, "and an empty partition")
		})
	}
}

func checkPlans(t *testing.T, s *Store, state string) {
	t.Helper()
	one := func(field string) []audit.Filter { return []audit.Filter{audit.Is(field, "x")} }
	least := int64(1)
	var many []string
	for i := range maxKeys + 1 {
		many = append(many, fmt.Sprint("x", i))
	}
	e := newExplainer(t, s)
	for _, c := range []struct {
		name    string
		filters []audit.Filter
		text    string
		want    string
	}{
		{"time", nil, "", "pkey"},
		{"tenant", []audit.Filter{audit.Is("namespace", "prod"), audit.Is("tenant", "acme")}, "", "block_scope_greatest_idx"},
		{"actor", one("actor"), "", "block_actor_greatest_idx"},
		{"action", one("action"), "", "block_action_greatest_idx"},
		{"resource", one("resource"), "", "block_resource_greatest_idx"},
		{"action id", one("action_id"), "", "block_action_id_greatest_idx"},
		{"correlation", one("correlation_id"), "", "block_correlation_id_greatest_idx"},
		{"session", one("session_id"), "", "block_session_id_greatest_idx"},
		{"trace", one("trace_id"), "", "block_trace_id_greatest_idx"},
		{"tool", one("tool_name"), "", "block_tool_name_greatest_idx"},
		{"failures", []audit.Filter{audit.Is("outcome", "failure", "denied")}, "", "block_greatest_idx"},
		{"trace and action", []audit.Filter{audit.Is("action", "x"), audit.Is("trace_id", "y")}, "", "block_trace_id_greatest_idx"},
		{"several actors", []audit.Filter{audit.Is("actor", "x", "y")}, "", "block_actor_greatest_idx"},
		{"many actors", []audit.Filter{audit.Is("actor", many...)}, "", "block_actor_greatest_idx"},
		{"a prefix of actors", []audit.Filter{audit.Prefix("actor", "x")}, "", "block_actor_greatest_idx"},
		{"id", []audit.Filter{audit.Is("id", audit.NewID().String())}, "", "id_scope_idx"},
		{"a value", one("request_id"), "", "expr_request_id_span_id_"},
		{"a name", one("actor_email"), "", "expr_external_id_actor_name_actor_e"},
		{"a word", one("host"), "", "expr_kind_operation_outcome_level_a"},
		{"a word and a failure", []audit.Filter{audit.Is("host", "x"), audit.Is("kind", "event")}, "", "expr_kind_operation_outcome_level_a"},
		{"a sequence", []audit.Filter{audit.Is("sequence", "7")}, "", "expr_request_id_span_id_"},
		{"a number", []audit.Filter{audit.Is("request_bytes", "7")}, "", "expr_request_id_span_id_"},
		{"a range", []audit.Filter{{Field: "request_bytes", Op: audit.OpRange, Min: &least}}, "", "expr_nullif_nullif1_nullif2_nullif3"},
		{"a range of times", []audit.Filter{{Field: "recorded_at", Op: audit.OpRange, Min: &least}}, "", "expr_nullif_nullif1_nullif2_nullif3"},
		{"metadata", []audit.Filter{audit.Is("metadata.env", "x"), audit.Is("host", "y")}, "", "search_idx"},
		{"text", nil, "word", "search_idx"},
		{"a prefix", []audit.Filter{audit.Prefix("path", "/v1")}, "", "pkey"},
	} {
		for _, order := range []audit.Order{audit.NewestFirst, audit.OldestFirst} {
			q, err := (&audit.Query{Filters: c.filters, Text: c.text, Order: order, Limit: 10}).Validate()
			if err != nil {
				t.Fatal(err)
			}
			plans := e.explain(t, func(a *ask) error {
				p, err := a.prepare(q)
				if err != nil {
					return err
				}
				if c.name == "tenant" {
					p.scopes = []int32{1} // which there may be none of yet
					p.none = false
					p.choose(s.text)
				}
				p.rivals = nil
				_, err = a.find(p, startOf(q), 10)
				return err
			})
			if len(plans) == 0 && c.want != "pkey" && c.want != "id_scope_idx" {
				continue // no block yet, so nothing to look into
			}
			if c.name == "id" || c.name == "a prefix of actors" { // planned anew each time, so that small partitions do not matter
				if strings.HasSuffix(state, "large") && !strings.Contains(plans[0], "using annals_records_day0_"+c.want) {
					t.Fatalf("%s, %s, %s first: the plan is\n%s", state, c.name, order, plans[0])
				}
				continue
			}
			for _, plan := range plans {
				for index := range indexesOf(plan) {
					if !strings.HasPrefix(index, c.want) {
						t.Fatalf("%s, %s, %s first: by %s, want %s, in\n%s", state, c.name, order, index, c.want, plan)
					}
				}
				if strings.Contains(plan, "Seq Scan") {
					t.Fatalf("%s, %s, %s first: reads everything:\n%s", state, c.name, order, plan)
				}
			}
		}
	}
}

// Whether an action has an outcome is asked by the index of actions.
func TestOpenGoesByActions(t *testing.T) {
	s := sparse(t, Options{})
	scatter(t, s, storetest.Corpus(1, 500))
	settle(t, s)
	e := newExplainer(t, s)
	q := &audit.Query{Open: true, Limit: 10}
	plans := e.explain(t, func(a *ask) error {
		p, err := a.prepare(q)
		if err != nil {
			return err
		}
		_, err = a.find(p, startOf(q), 10)
		return err
	})
	if len(plans) == 0 {
		t.Fatal("nothing was asked")
	}
	for _, plan := range plans {
		got := indexesOf(plan)
		delete(got, "block_action_id_greatest_idx")
		for index := range got {
			if !strings.HasPrefix(index, "expr_kind_operation_outcome_level_a") {
				t.Errorf("by %s:\n%s", index, plan)
			}
		}
		if strings.Contains(plan, "Seq Scan") {
			t.Errorf("reads everything:\n%s", plan)
		}
	}
}

// A window reads its own partitions only.
func TestWindowsChoosePartitions(t *testing.T) {
	s := sparse(t, Options{})
	recs := storetest.Corpus(1, 500)
	scatter(t, s, recs)
	settle(t, s)
	e := newExplainer(t, s)
	day := &audit.Query{From: storetest.CorpusStart.AddDate(0, 0, 1), To: storetest.CorpusStart.AddDate(0, 0, 2), Limit: 10}
	for _, filters := range [][]audit.Filter{nil, {audit.Is("actor", "x")}, {audit.Is("host", "x")}, {audit.Prefix("path", "/v1")}} {
		q := *day
		q.Filters = filters
		for _, plan := range e.explain(t, func(a *ask) error {
			p, err := a.prepare(&q)
			if err != nil {
				return err
			}
			_, err = a.find(p, startOf(&q), 10)
			return err
		}) {
			for line := range strings.Lines(plan) {
				if strings.Contains(line, " on ") && strings.Contains(line, "annals_records_day0") && !strings.Contains(line, "never executed") {
					t.Errorf("%v: another day is read:\n%s", filters, plan)
				}
			}
		}
	}
}
