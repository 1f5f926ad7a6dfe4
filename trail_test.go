package annals_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/store/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, store audit.Store, opt annals.Options) *annals.Trail {
	t.Helper()
	if opt.Policy.Level == "" {
		opt.Policy.Level = policy.All
	}
	trail, err := annals.New(store, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := trail.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return trail
}

// bare hides every capability but the port itself, so that the trail's own
// fallbacks have to answer.
type bare struct{ audit.Store }

var base = time.Date(2026, 9, 30, 12, 0, 0, 0, time.UTC)

func events(n int) []*audit.Event {
	var evs []*audit.Event
	for i := range n {
		evs = append(evs, &audit.Event{
			Tenant: fmt.Sprintf("t%d", i%3), Action: "tool.run", ActionID: fmt.Sprintf("a%d", i/2),
			OccurredAt: base.Add(time.Duration(i/4) * time.Second), // four share each time
			Outcome:    audit.Outcomes()[i%3], Duration: time.Duration(i) * time.Millisecond,
			Actor: audit.Actor{ID: fmt.Sprintf("u%d", i%7), SessionID: fmt.Sprintf("s%d", i%5)},
			Tool:  audit.Tool{Name: fmt.Sprintf("tool%d", i%4), Kind: []string{"datahub", "trino"}[i%2]},
		})
	}
	return evs
}

func fill(t *testing.T, trail *annals.Trail, evs []*audit.Event) {
	t.Helper()
	for i, r := range trail.RecordSync(t.Context(), evs) {
		if r.Err != nil || r.Status != audit.StatusRecorded {
			t.Fatalf("event %d: %+v", i, r)
		}
	}
}

// The fallbacks give what the native capabilities give.
func TestFallbacksAgreeWithCapabilities(t *testing.T) {
	evs := events(500)
	native := open(t, memory.New(memory.Options{}), annals.Options{})
	fallback := open(t, bare{memory.New(memory.Options{})}, annals.Options{Unchained: true})
	fill(t, native, evs)
	fill(t, fallback, evs)
	ctx := t.Context()
	q := &audit.Query{From: base, To: base.Add(time.Hour), Filters: []audit.Filter{audit.Not("actor", "u3")}}

	for name, ask := range map[string]func(*annals.Trail) (any, error){
		"count":          func(tr *annals.Trail) (any, error) { return tr.Count(ctx, q) },
		"overview":       func(tr *annals.Trail) (any, error) { return tr.Overview(ctx, q) },
		"timeseries":     func(tr *annals.Trail) (any, error) { return tr.Timeseries(ctx, q, analytics.Minute) },
		"breakdown":      func(tr *annals.Trail) (any, error) { return tr.Breakdown(ctx, q, "tool_name", 0) },
		"performance":    func(tr *annals.Trail) (any, error) { return tr.Performance(ctx, q) },
		"discovery":      func(tr *annals.Trail) (any, error) { return tr.Discovery(ctx, q) },
		"enrichment":     func(tr *annals.Trail) (any, error) { return tr.Enrichment(ctx, q) },
		"distinct":       func(tr *annals.Trail) (any, error) { return tr.Distinct(ctx, q, "actor") },
		"distinct-pairs": func(tr *annals.Trail) (any, error) { return tr.DistinctPairs(ctx, q, "actor", "session_id") },
		"export": func(tr *annals.Trail) (any, error) {
			var actions []string
			err := tr.Export(ctx, q, func(r *audit.Record) error {
				actions = append(actions, r.Actor.ID+r.OccurredAt.String())
				return nil
			})
			slices.Sort(actions) // ids differ between the two, and with them the order of ties
			return actions, err
		},
		"ping": func(tr *annals.Trail) (any, error) { return nil, tr.Ping(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			want, err := ask(native)
			if err != nil {
				t.Fatal(err)
			}
			got, err := ask(fallback)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// For random page sizes, equal times, both directions and records that arrive
// during the walk: the pages are the set, in the total order, without a repeat.
func TestPagingIsTheSet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ctx := context.Background()
		trail, err := annals.New(memory.New(memory.Options{}), annals.Options{Policy: policy.Config{Level: policy.All}})
		if err != nil {
			rt.Fatal(err)
		}
		defer trail.Close(ctx)
		n := rapid.IntRange(0, 60).Draw(rt, "records")
		spread := rapid.IntRange(1, 5).Draw(rt, "distinct times")
		var evs []*audit.Event
		for range n {
			evs = append(evs, &audit.Event{Action: "a.b", Tenant: "t", OccurredAt: base.Add(time.Duration(rand.IntN(spread)) * time.Microsecond)})
		}
		want := map[audit.ID]bool{}
		for _, r := range trail.RecordSync(ctx, evs) {
			want[r.ID] = true
		}
		q := &audit.Query{Order: audit.Order(rapid.IntRange(0, 1).Draw(rt, "order"))}
		var walked []*audit.Record
		for cursor := ""; ; {
			q.Limit = rapid.IntRange(1, 20).Draw(rt, "limit")
			page, err := trail.Query(ctx, q, cursor)
			if err != nil {
				rt.Fatal(err)
			}
			walked = append(walked, page.Records...)
			if cursor = page.Next; cursor == "" {
				break
			}
			if len(page.Records) != q.Limit {
				rt.Fatalf("a page of %d, want %d: only the last one may be short", len(page.Records), q.Limit)
			}
			if rapid.Bool().Draw(rt, "late arrival") {
				trail.RecordSync(ctx, []*audit.Event{{Action: "a.b", Tenant: "t", OccurredAt: base.Add(time.Duration(rand.IntN(spread)) * time.Microsecond)}})
			}
		}
		seen := map[audit.ID]bool{}
		for i, r := range walked {
			if seen[r.ID] {
				rt.Fatalf("%s twice", r.ID)
			}
			seen[r.ID] = true
			delete(want, r.ID)
			if i > 0 {
				c := walked[i-1].Position().Compare(r.Position())
				if q.Order == audit.NewestFirst {
					c = -c
				}
				if c >= 0 {
					rt.Fatalf("record %d is out of order", i)
				}
			}
		}
		if len(want) > 0 {
			rt.Fatalf("%d records were never seen", len(want))
		}
	})
}

func TestCursorIsBoundToItsQuestion(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{})
	fill(t, trail, events(30))
	q := &audit.Query{Limit: 5, Filters: []audit.Filter{audit.Is("tenant", "t1")}}
	page, err := trail.Query(t.Context(), q, "")
	if err != nil || page.Next == "" {
		t.Fatalf("%v %q", err, page.Next)
	}
	refused := func(name string, q *audit.Query, cursor string) {
		t.Helper()
		if _, err := trail.Query(t.Context(), q, cursor); audit.CodeOf(err) != audit.CodeInvalid || !strings.Contains(err.Error(), "cursor") {
			t.Errorf("%s: got %v, want a refused cursor", name, err)
		}
	}
	raw, _ := base64.RawURLEncoding.DecodeString(page.Next)
	for i := range raw {
		changed := slices.Clone(raw)
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d", i), q, base64.RawURLEncoding.EncodeToString(changed))
	}
	refused("other filter", &audit.Query{Limit: 5, Filters: []audit.Filter{audit.Is("tenant", "t2")}}, page.Next)
	refused("other order", &audit.Query{Limit: 5, Filters: q.Filters, Order: audit.OldestFirst}, page.Next)
	refused("nonsense", q, "%%%")
	other := open(t, memory.New(memory.Options{}), annals.Options{})
	if _, err := other.Query(t.Context(), q, page.Next); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("another trail took the cursor: %v", err)
	}
	q.Limit = 3 // a reader may change its page size
	if p, err := trail.Query(t.Context(), q, page.Next); err != nil || len(p.Records) != 3 {
		t.Errorf("another limit: %v", err)
	}
}

func TestAnIntentNeverHidesItsOutcome(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{})
	ctx := t.Context()
	intent := &audit.Event{Action: "db.drop", ActionID: "a1", Outcome: audit.Pending, OccurredAt: base.Add(time.Hour)}
	fill(t, trail, []*audit.Event{intent})
	r, err := trail.GetAction(ctx, "a1", nil)
	if err != nil || r.Outcome != audit.Pending {
		t.Fatalf("%v %v", r, err)
	}
	fill(t, trail, []*audit.Event{{Action: "db.drop", ActionID: "a1", Outcome: audit.Failure, OccurredAt: base}})
	if r, err = trail.GetAction(ctx, "a1", &audit.Scope{}); err != nil || r.Outcome != audit.Failure {
		t.Errorf("got %v %v, want the outcome though the intent is dated later", r, err)
	}
	if _, err = trail.GetAction(ctx, "a1", &audit.Scope{Tenant: "x"}); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("another tenant: %v", err)
	}
	if o, err := trail.Overview(ctx, &audit.Query{From: base, To: base.Add(2 * time.Hour)}); err != nil || o.Total != 1 {
		t.Errorf("an intent counted as a call: %+v %v", o, err)
	}
}

func TestFindAsksForTheTenantWhenItMust(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{})
	ctx := t.Context()
	id, external, _ := audit.IDFrom("order-7")
	ev := func(tenant string) *audit.Event {
		return &audit.Event{ID: id, ExternalID: external, Tenant: tenant, Action: "order.create"}
	}
	fill(t, trail, []*audit.Event{ev("a")})
	if r, err := trail.Find(ctx, "order-7", nil); err != nil || r.Tenant != "a" || r.ExternalID != "order-7" {
		t.Fatalf("%v %v", r, err)
	}
	fill(t, trail, []*audit.Event{ev("b")})
	if _, err := trail.Find(ctx, "order-7", nil); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("two tenants have it: %v", err)
	}
	if r, err := trail.Find(ctx, "order-7", &audit.Scope{Tenant: "b"}); err != nil || r.Tenant != "b" {
		t.Errorf("%v %v", r, err)
	}
	if _, err := trail.Find(ctx, "none", nil); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestDuplicatesAndConflicts(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{Durability: recorder.Sync})
	ctx := t.Context()
	ev := func(action string) *audit.Event {
		return &audit.Event{ID: audit.ID{15: 1, 6: 0x70, 8: 0x80}, Action: action}
	}
	first, err := trail.Record(ctx, ev("a.create"))
	if err != nil || first.Status != audit.StatusRecorded || first.Sequence != 1 || first.Hash.IsZero() {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := trail.Record(ctx, ev("a.create"))
	if err != nil || again.Status != audit.StatusDuplicate || again.Sequence != 1 || again.Hash != first.Hash {
		t.Errorf("%+v %v", again, err)
	}
	if _, err := trail.Record(ctx, ev("a.delete")); !errors.Is(err, audit.ErrConflict) {
		t.Errorf("other content: %v", err)
	}
	if n, err := trail.Count(ctx, &audit.Query{}); n != 1 || err != nil {
		t.Errorf("%d records, %v", n, err)
	}
}

func TestVerifyThroughTheTrail(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{TTL: time.Hour})
	ctx := t.Context()
	fill(t, trail, events(90))
	check := func(want int64) {
		t.Helper()
		reports, err := trail.Verify(ctx, audit.Scope{Tenant: "t1"}, chain.VerifyOptions{})
		if err != nil || len(reports) != 1 || !reports[0].Valid || reports[0].RecordsChecked != want {
			t.Fatalf("%+v %v", reports, err)
		}
	}
	check(30)
	n, err := trail.Cleanup(ctx, audit.Cut{ExpiredAt: time.Now().Add(2 * time.Hour), Reason: "ttl"}, 7)
	if err != nil || n != 90 {
		t.Fatalf("deleted %d, %v", n, err)
	}
	heads, err := trail.Chains(ctx, nil)
	if err != nil || len(heads) != 3 {
		t.Fatalf("%v %v", heads, err)
	}
	reports, err := trail.Verify(ctx, audit.Scope{Tenant: "t1"}, chain.VerifyOptions{})
	if err != nil || !reports[0].Valid || len(reports[0].Pruned) == 0 {
		t.Errorf("after retention: %+v %v", reports[0], err)
	}
	if _, err := trail.Verify(ctx, audit.Scope{Tenant: "none"}, chain.VerifyOptions{}); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("no chain: %v", err)
	}
}

func TestAStoreWithoutChainIsRefused(t *testing.T) {
	store := memory.New(memory.Options{})
	defer store.Close()
	if _, err := annals.New(bare{store}, annals.Options{}); !errors.Is(err, audit.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestWrongOptionsAreNamed(t *testing.T) {
	half := 1.5
	for field, opt := range map[string]annals.Options{
		"level":          {Policy: policy.Config{Level: "some"}},
		"sample_rate":    {Policy: policy.Config{SampleRate: &half}},
		"flush_size":     {FlushSize: -1},
		"capacity":       {Capacity: -1},
		"durability":     {Durability: "maybe"},
		"on_full":        {OnFull: "explode"},
		"flush_interval": {FlushInterval: -1},
	} {
		store := memory.New(memory.Options{})
		_, err := annals.New(store, opt)
		var e *audit.Error
		if !errors.As(err, &e) || !strings.Contains(e.Field, field) {
			t.Errorf("%s: got %v", field, err)
		}
		_ = store.Close()
	}
}

func TestTail(t *testing.T) {
	store := memory.New(memory.Options{})
	trail := open(t, store, annals.Options{})
	fill(t, trail, events(10))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	got := make(chan *audit.Record, 64)
	ended := make(chan error, 1)
	q := &audit.Query{Filters: []audit.Filter{audit.Is("action", "live.update")}}
	go func() {
		ended <- trail.Tail(ctx, q, audit.Position{OccurredAt: base}, func(r *audit.Record) error {
			got <- r
			return nil
		})
	}()
	// Once the first record came the tail is following.
	fill(t, trail, []*audit.Event{{Action: "live.update", ActionID: "first"}})
	if r := <-got; r.ActionID != "first" {
		t.Fatalf("got %q", r.ActionID)
	}
	// What this trail stores is given at once, also when it occurred long ago.
	fill(t, trail, []*audit.Event{{Action: "live.update", ActionID: "now"}, {Action: "other.update"}, {Action: "live.update", ActionID: "late", OccurredAt: base.Add(-time.Hour)}})
	want := map[string]bool{"now": true, "late": true}
	for len(want) > 0 {
		r := <-got
		if !want[r.ActionID] {
			t.Fatalf("got %q, twice or unasked", r.ActionID)
		}
		delete(want, r.ActionID)
	}
	// What another process stores is found by the next look.
	foreign := &audit.Record{Event: audit.Event{ID: audit.NewID(), Action: "live.update", ActionID: "foreign", OccurredAt: time.Now()}, RecordedAt: time.Now()}
	if err := audit.Normalize(foreign, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(ctx, []*audit.Record{foreign}); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.ActionID != "foreign" {
		t.Fatalf("got %q", r.ActionID)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestCloseGivesTheBalance(t *testing.T) {
	trail, err := annals.New(memory.New(memory.Options{}), annals.Options{Policy: policy.Config{Level: policy.WritesOnly}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for range 100 {
		if _, err := trail.Record(ctx, &audit.Event{Action: "a.update"}); err != nil {
			t.Fatal(err)
		}
		if r, err := trail.Record(ctx, &audit.Event{Action: "a.read"}); err != nil || r.Status != audit.StatusFiltered || r.Reason != "level" {
			t.Fatalf("%+v %v", r, err)
		}
	}
	if _, err := trail.Record(ctx, &audit.Event{}); audit.CodeOf(err) != audit.CodeInvalid {
		t.Fatalf("an event without an action: %v", err)
	}
	account, err := trail.Close(ctx)
	if err != nil || account.Stored != 100 || account.Filtered != 100 || account.Rejected != 1 || account.Offered != 201 || account.Unwritten != 0 {
		t.Errorf("%+v %v", account, err)
	}
	if _, err := trail.Record(ctx, &audit.Event{Action: "a.update"}); !errors.Is(err, audit.ErrClosed) && audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("after Close: %v", err)
	}
}

// The hash that stands for a truncated document is one of the redacted
// document: a hash of the secret would let anybody guess it.
func TestTruncationComesAfterRedaction(t *testing.T) {
	trail := open(t, memory.New(memory.Options{}), annals.Options{Redact: redact.Config{Enabled: true, Fields: []string{"password"}}})
	filler := strings.Repeat("x", audit.MaxRecordBytes)
	fill(t, trail, []*audit.Event{{Action: "user.create", Payload: []byte(`{"password":"1234","filler":"` + filler + `"}`)}})
	page, err := trail.Query(t.Context(), &audit.Query{}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := audit.TruncatedDocument([]byte(`{"password":"[REDACTED]","filler":"` + filler + `"}`))
	if got := string(page.Records[0].Payload); got != string(want) {
		t.Errorf("got %.200s, want %s", got, want)
	}
}
