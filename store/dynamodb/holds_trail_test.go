package dynamodb

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/retention"
)

// Through the door: a held record never carries the time at which DynamoDB
// deletes it, whether the hold or the record was first, whichever way it is
// written, and while one of two holds remains; afterwards it has its time again.
func TestHoldsThroughTheTrail(t *testing.T) {
	inFullRuns(t)
	s, clock := newHeld(t)
	trail, err := annals.New(s, annals.Options{
		Policy: policy.Config{Level: policy.All}, Durability: recorder.Sync, Logger: slog.New(slog.DiscardHandler),
		Now: clock.now, TTL: dueIn, Retention: retention.Options{Ceiling: 2 * dueIn},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := trail.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ctx := t.Context()
	record := func(tenant string) *audit.Record {
		t.Helper()
		r := trail.RecordSync(ctx, []*audit.Event{{Tenant: tenant, Action: "thing.update", Resource: audit.Resource{Type: "case"}}})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		rec, err := trail.Get(ctx, audit.Ref{Tenant: tenant, ID: r.ID})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	want := func(what string, recs []*audit.Record, free bool) {
		t.Helper()
		for i, r := range recs {
			m := attributesOf(t, s, r)
			at, has := m[attrTTL]
			if has != free || free && numberOf(at) != ttlSeconds(r.ExpiresAt, clock.at) {
				t.Errorf("%s: record %d: the time for TTL is %v, want it: %v", what, i, at, free)
			}
		}
	}
	held, other := []*audit.Record{record("acme")}, []*audit.Record{record("globex")}
	want("before any hold", append(held, other...), true)

	hold := func(params string) retention.Hold {
		t.Helper()
		h, err := trail.AddHold(ctx, retention.Hold{Reason: "case 7", Params: params})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, second := hold("tenant=acme"), hold("resource_type=case&tenant=acme&from=2020-01-01")
	held = append(held, record("acme"))
	// As records come that were made elsewhere, with their times.
	brought := events(audit.Scope{Tenant: "acme"}, clock.at, 4, func(_ int, r *audit.Record) {
		r.ExpiresAt, r.Resource.Type = clock.at.Add(dueIn), "case"
	})
	for i, do := range []func(context.Context, []*audit.Record) ([]audit.Result, error){s.Append, s.AppendFresh, s.AppendChained, s.Append} {
		if results, err := do(ctx, brought[i:i+1]); err != nil || results[0].Err != nil {
			t.Fatal(err, results)
		}
	}
	held, other = append(held, brought...), append(other, record("globex"))
	want("under two holds", held, false)
	want("beside the holds", other, true)

	end := func(h retention.Hold) {
		t.Helper()
		if _, err := trail.RemoveHold(ctx, h.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := trail.RetentionRun(ctx); err != nil {
			t.Fatal(err)
		}
	}
	end(first)
	want("under the other hold", held, false)
	end(second)
	want("after the holds", append(held, other...), true)

	// What was held in time stays when its time has come.
	hold("tenant=acme")
	clock.at = clock.at.Add(dueIn + time.Hour)
	plan, err := trail.RetentionPlan(ctx)
	if err != nil || plan.Held != int64(len(held)) {
		t.Errorf("%+v, %v, want %d held", plan, err, len(held))
	}
	want("due and held", held, false)
}
