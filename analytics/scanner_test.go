package analytics_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// records is a scanner over a slice. It hands out one Record again and again
// and spoils it after each call, so that an answer built on a kept pointer is wrong.
type records []*audit.Record

func (rs records) Scan(_ context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	var shared audit.Record
	for _, r := range rs.selected(q) {
		shared = *r
		if err := fn(&shared); err != nil {
			return err
		}
		shared = audit.Record{Event: audit.Event{Action: "spoilt"}}
	}
	return nil
}

func (rs records) selected(q *audit.Query) []*audit.Record {
	var out []*audit.Record
	for _, r := range rs {
		if q.Match(r) && (!q.Open || rs.open(r)) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *audit.Record) int {
		if q.Order == audit.OldestFirst {
			a, b = b, a
		}
		return b.Position().Compare(a.Position())
	})
	return out
}

func (rs records) open(r *audit.Record) bool {
	return !slices.ContainsFunc(rs, func(o *audit.Record) bool {
		return o.Scope() == r.Scope() && o.ActionID == r.ActionID && o.Outcome != audit.Pending
	})
}

// noon is the time that the tests count from.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// call makes a successful call at noon plus the offset; edit changes it.
func call(offset time.Duration, edit ...func(*audit.Record)) *audit.Record {
	r := &audit.Record{Kind: audit.KindEvent, RecordedAt: noon, Event: audit.Event{
		ID: audit.NewID(), OccurredAt: noon.Add(offset), Action: "tool.call",
		Operation: audit.Execute, Outcome: audit.Success,
	}}
	for _, e := range edit {
		e(r)
	}
	return r
}

func outcome(o audit.Outcome) func(*audit.Record) {
	return func(r *audit.Record) { r.Outcome = o }
}

func took(d time.Duration) func(*audit.Record) {
	return func(r *audit.Record) { r.Duration = d }
}

func tool(kind, name string) func(*audit.Record) {
	return func(r *audit.Record) { r.Tool.Kind, r.Tool.Name = kind, name }
}

func actor(id, email string) func(*audit.Record) {
	return func(r *audit.Record) { r.Actor.ID, r.Actor.Email = id, email }
}

func inSession(tenant, id string) func(*audit.Record) {
	return func(r *audit.Record) { r.Tenant, r.Actor.SessionID = tenant, id }
}

func kind(k audit.Kind) func(*audit.Record) {
	return func(r *audit.Record) { r.Kind = k }
}

func over(rs ...*audit.Record) analytics.Analyzer { return analytics.Stream(records(rs)) }

// must gives the answer of a question that has one.
func must[T any](t *testing.T) func(got T, err error) T {
	return func(got T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("unexpected error: %v", err)
		}
		return got
	}
}

func wantEqual(t *testing.T, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("wrong answer (-want +got):\n%s", d)
	}
}

// wantInvalid checks an error's code and the parameter it names.
func wantInvalid(t *testing.T, err error, field string) {
	t.Helper()
	e, ok := err.(*audit.Error)
	if !ok || e.Code != audit.CodeInvalid || e.Field != field || e.Message == "" {
		t.Errorf("got error %#v, want invalid about %q", err, field)
	}
}
