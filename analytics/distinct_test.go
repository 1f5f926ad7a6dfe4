package analytics_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

func TestDistinct(t *testing.T) {
	rs := append(notCalls(), call(0, actor("é", "")), call(1, actor("b", "")), call(2, actor("B", "")), call(3, actor("b", "")), call(4))
	// Filter boxes offer the values of intents, gaps and prunes too.
	got := must[[]string](t)(over(rs...).Distinct(context.Background(), &audit.Query{}, "actor"))
	wantEqual(t, got, []string{"B", "b", "gap", "intent", "prune", "é"})
	got = must[[]string](t)(over(rs...).Distinct(context.Background(), &audit.Query{Filters: []audit.Filter{audit.Is("outcome", "pending")}}, "actor"))
	wantEqual(t, got, []string{"intent"})
	got = must[[]string](t)(over(rs...).Distinct(context.Background(), &audit.Query{Limit: 1}, "persona"))
	wantEqual(t, got, []string{})
}

func TestDistinctPairs(t *testing.T) {
	ctx := context.Background()
	named := func(tenant, id, email string) func(*audit.Record) {
		return func(r *audit.Record) { r.Tenant, r.Actor.ID, r.Actor.Email = tenant, id, email }
	}
	twin := call(9, named("t1", "twin", "a"))
	other := *twin // the same file imported into two tenants: same id, same time
	other.Tenant, other.Actor.Email = "t2", "b"
	rs := []*audit.Record{
		call(3000, named("t", "u", "newest")), call(0, named("t", "u", "old")), call(9000, named("t", "u", "")),
		call(0, named("t", "", "nobody")),
		call(0, named("t", "same instant", "z")), call(0, named("t", "same instant", "a")), // ids grow
		&other, twin,
		call(0, outcome(audit.Pending), named("t", "intent", "i")),
	}
	got := must[map[string]string](t)(over(rs...).DistinctPairs(ctx, &audit.Query{}, "actor", "actor_email"))
	wantEqual(t, got, map[string]string{"u": "newest", "same instant": "a", "twin": "b", "intent": "i"})
	got = must[map[string]string](t)(over(rs...).DistinctPairs(ctx, &audit.Query{}, "tenant", "tenant"))
	wantEqual(t, got, map[string]string{"t": "t", "t1": "t1", "t2": "t2"})
	got = must[map[string]string](t)(over().DistinctPairs(ctx, &audit.Query{}, "actor", "actor_email"))
	wantEqual(t, got, map[string]string{})
}

func TestDistinctIsNeverCut(t *testing.T) {
	ctx, q := context.Background(), &audit.Query{}
	rs := make([]*audit.Record, analytics.MaxDistinct+1)
	for i := range rs {
		rs[i] = call(0, actor(strconv.Itoa(i), "e"))
	}
	few := over(rs[1:]...)
	if got := must[[]string](t)(few.Distinct(ctx, q, "actor")); len(got) != analytics.MaxDistinct {
		t.Errorf("%d values", len(got))
	}
	if got := must[map[string]string](t)(few.DistinctPairs(ctx, q, "actor", "actor_email")); len(got) != analytics.MaxDistinct {
		t.Errorf("%d pairs", len(got))
	}
	_, err := over(rs...).Distinct(ctx, q, "actor")
	_, err2 := over(rs...).DistinctPairs(ctx, q, "actor", "actor_email")
	for _, err := range []error{err, err2} {
		var e *audit.Error
		if !errors.Is(err, audit.ErrTooLarge) || !errors.As(err, &e) || e.Field != "actor" {
			t.Errorf("got %v, want too_large about actor", err)
		}
	}
}
