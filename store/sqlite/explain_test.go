package sqlite

import (
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// steps gives SQLite's plan for the statement, one step a line.
func steps(t *testing.T, c *conn, st *statement) string {
	t.Helper()
	var out []string
	rows, err := c.stmt("EXPLAIN QUERY PLAN " + st.sql)
	if err != nil {
		t.Fatal(err)
	}
	for {
		more, err := rows.Step()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return strings.Join(out, "\n")
		}
		out = append(out, rows.ColumnText(3))
	}
}

// Every promised question must go by its index, bounded by block and time, and
// sort at most the records of one moment.
func TestQuestionsGoByTheirIndex(t *testing.T) {
	s := open(t, Options{})
	appendAll(t, s, storetest.Corpus(1, 50))
	one := func(field string) []audit.Filter { return []audit.Filter{audit.Is(field, "x")} }
	key := func(field string) string {
		return "SEARCH r USING INDEX annals_records_" + field + " (<expr>=? AND " + field + "=? AND occurred_at>? AND occurred_at<?)"
	}
	for _, c := range []struct {
		name    string
		filters []audit.Filter
		text    string
		how     string // where it is not the plan's own index
		want    string
	}{
		{name: "time", how: byTime, want: "SEARCH r USING INDEX annals_records_time (<expr>=? AND occurred_at>? AND occurred_at<?)"},
		{name: "tenant", filters: []audit.Filter{audit.Is("namespace", "prod"), audit.Is("tenant", "acme")}, want: key("scope")},
		{name: "actor", filters: one("actor"), want: key("actor")},
		{name: "action", filters: one("action"), want: key("action")},
		{name: "resource", filters: one("resource"), want: key("resource")},
		{name: "action id", filters: one("action_id"), want: key("action_id")},
		{name: "correlation", filters: one("correlation_id"), want: key("correlation_id")},
		{name: "session", filters: one("session_id"), want: key("session_id")},
		{name: "trace", filters: one("trace_id"), want: key("trace_id")},
		{name: "tool", filters: one("tool_name"), want: key("tool_name")},
		{name: "failures", filters: []audit.Filter{audit.Is("outcome", "failure", "denied")}, want: "SEARCH r USING INDEX annals_records_failed (<expr>=? AND occurred_at>? AND occurred_at<?)"},
		{name: "denials of a tenant", filters: []audit.Filter{audit.Is("outcome", "denied"), audit.Is("tenant", "acme")}, want: "SEARCH r USING INDEX annals_records_failed (<expr>=? AND occurred_at>? AND occurred_at<?)"},
		{name: "trace and action", filters: []audit.Filter{audit.Is("action", "x"), audit.Is("trace_id", "y")}, want: key("trace_id")},
		{name: "several actors", filters: []audit.Filter{audit.Is("actor", "x", "y")}, want: key("actor")},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.read(t.Context(), func(v *view) error {
				for _, order := range []audit.Order{audit.NewestFirst, audit.OldestFirst} {
					m, err := v.merge(&audit.Query{Filters: c.filters, Text: c.text, Order: order}, 10)
					if err != nil {
						return err
					}
					how := c.how
					if how == "" {
						how = m.plan.index
					}
					got := steps(t, v.conns[0], m.statement(s, how))
					want := c.want + "\nUSE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY"
					if got != want {
						t.Errorf("%v: the plan is\n%s\nwant\n%s", order, got, want)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The other ways: by id, by full text, from end to end, many values, counting.
func TestOtherWays(t *testing.T) {
	s := open(t, Options{})
	var many []string
	for i := range maxKeys + 1 {
		many = append(many, string(rune('a'+i)))
	}
	for _, c := range []struct {
		name    string
		filters []audit.Filter
		text    string
		how     string
		want    string
	}{
		{name: "id", filters: []audit.Filter{audit.Is("id", audit.NewID().String())}, how: byID, want: "SEARCH r USING INDEX annals_records_id (id=?)"},
		{name: "text", text: "word", how: byText, want: "SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"},
		{name: "another dimension", filters: []audit.Filter{audit.Is("host", "x")}, how: byWhole, want: "SEARCH r USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{name: "another dimension, much found", filters: []audit.Filter{audit.Is("host", "x")}, how: byTime, want: "SEARCH r USING INDEX annals_records_time (<expr>=? AND occurred_at>? AND occurred_at<?)"},
		{name: "many actors", filters: []audit.Filter{audit.Is("actor", many...)}, how: "actor", want: "SEARCH r USING INDEX annals_records_actor (<expr>=? AND actor=? AND occurred_at>? AND occurred_at<?)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := s.read(t.Context(), func(v *view) error {
				m, err := v.merge(&audit.Query{Filters: c.filters, Text: c.text}, 10)
				if err != nil {
					return err
				}
				if got := steps(t, v.conns[0], m.statement(s, c.how)); !strings.HasPrefix(got, c.want+"\n") {
					t.Errorf("the plan is\n%s\nwant\n%s first", got, c.want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	err := s.read(t.Context(), func(v *view) error {
		for how, want := range map[string]string{
			byTime:  "SEARCH r USING COVERING INDEX annals_records_time (<expr>=? AND occurred_at>? AND occurred_at<?)",
			"actor": "SEARCH r USING COVERING INDEX annals_records_actor (<expr>=? AND actor=? AND occurred_at>? AND occurred_at<?)",
		} {
			p, err := v.plan(&audit.Query{Filters: []audit.Filter{audit.Is("actor", "x")}})
			if err != nil {
				return err
			}
			var w where
			w.add("SELECT count(*)")
			p.way(&w, how)
			if got := steps(t, v.conns[0], &statement{sql: s.sql(w.sql.String())}); got != want {
				t.Errorf("counting by %s: the plan is\n%s\nwant\n%s", how, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
