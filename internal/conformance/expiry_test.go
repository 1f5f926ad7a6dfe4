package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/retention"
)

const day = 24 * time.Hour

// keeping is a life of records under ttl, ceiling and holds, on one engine.
type keeping struct {
	*site
	t      *testing.T
	now    time.Time
	places map[string]map[int64]string // by tenant: the id of the event at each sequence
	holds  map[string]string           // the ids of the holds by their names
	story  []string                    // what happened, step after step
}

// TestRetentionIsTheSame leads records through the same life on every engine: the
// plans, the runs, what is left, what the anchors say is gone and why, and the
// verdict on the chains are compared after each step.
func TestRetentionIsTheSame(t *testing.T) {
	t.Parallel()
	lives := map[string]*keeping{}
	for engine := range engines { // their clocks are asked before they live
		lives[engine] = &keeping{t: t, now: time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC), places: map[string]map[int64]string{}, holds: map[string]string{}}
	}
	sites := openSites(t, func(engine string, opt *annals.Options) {
		opt.Now = func() time.Time { return lives[engine].now }
		opt.TTL = 10 * day
		opt.Retention = retention.Options{Ceiling: 40 * day, BatchSize: 7}
	})
	var wg sync.WaitGroup
	for engine, s := range sites {
		lives[engine].site = s
		wg.Go(lives[engine].live)
	}
	wg.Wait()
	want := lives["memory"].story
	for engine := range sites {
		if diff := cmp.Diff(want, lives[engine].story); diff != "" {
			t.Errorf("%s (-memory +%s):\n%s", engine, engine, diff)
		}
	}
	for i, expect := range []string{
		"deleted 0 (0 expired, 0 over the ceiling, 0 held by 0)",
		"deleted 15 (15 expired, 0 over the ceiling, 11 held by 2)",
		"deleted 0 (0 expired, 0 over the ceiling, 15 held by 2)",
		"deleted 12 (12 expired, 0 over the ceiling, 27 held by 2)",
		"deleted 7 (7 expired, 0 over the ceiling, 20 held by 1)",
		"deleted 9 (0 expired, 9 over the ceiling, 23 held by 1)",
		"deleted 19 (17 expired, 2 over the ceiling, 4 held by 1)",
		"deleted 4 (3 expired, 1 over the ceiling, 0 held by 0)",
	} {
		if i >= len(want) || !strings.Contains(want[i], expect) {
			t.Errorf("step %d: want %q in\n%s", i, expect, strings.Join(want, "\n"))
			break
		}
	}
}

// live is the scenario.
func (k *keeping) live() {
	start := k.now
	// Of each tenant: four that go with the ttl, four by their own time, four that
	// would outlive the ceiling. Every third is part of the case.
	for _, tenant := range []string{"acme", "globex", "initech"} {
		k.record(tenant, 12, func(i int, ev *audit.Event) {
			ev.ExpiresAt = []time.Time{{}, start.Add(5 * day), start.Add(1000 * day)}[i/4]
		})
	}
	k.record("initech", 14, func(i int, ev *audit.Event) { ev.ExpiresAt = start.Add(5*day + time.Duration(i)) })
	k.step("nothing is due")

	// Two holds that overlap, one before anything is due and one after.
	k.hold("tenant", "tenant=acme")
	k.now = start.Add(5*day + time.Hour)
	k.hold("case", "resource_type=case&from=2026-03-10")
	k.step("what had its own time")

	// What comes under a hold that is there already.
	k.record("acme", 4, func(i int, ev *audit.Event) { ev.ExpiresAt = k.now.Add(time.Hour) })
	k.now = k.now.Add(time.Hour) // the moment itself
	k.step("held before it was stored")

	k.now = start.Add(10 * day)
	k.record("globex", 12, func(i int, ev *audit.Event) { ev.ExpiresAt = k.now.Add(-time.Duration(i) * time.Second) }) // it has expired when it comes
	k.step("the ttl")

	k.unhold("tenant")
	k.step("one of two holds is over")

	k.now = start.Add(40*day + time.Microsecond)
	k.step("the ceiling")

	k.hold("again", "tenant=globex&from=2026-03-10&to=2026-03-11")
	k.unhold("case")
	k.step("another hold in its place")

	k.unhold("again")
	k.step("no hold")
}

// record stores events by the door and remembers their places.
func (k *keeping) record(tenant string, n int, change func(i int, ev *audit.Event)) {
	if k.places[tenant] == nil {
		k.places[tenant] = map[int64]string{}
	}
	evs := make([]*audit.Event, n)
	for i := range evs {
		evs[i] = &audit.Event{
			ExternalID: fmt.Sprintf("%s-%d", tenant, len(k.places[tenant])+i), Tenant: tenant, Action: "thing.create",
			Resource: audit.Resource{Type: []string{"case", "", "other"}[i%3], ID: "r"},
		}
		change(i, evs[i])
	}
	for i, r := range k.trail.RecordSync(context.Background(), evs) {
		if r.Err != nil || r.Sequence == 0 {
			k.t.Errorf("%s: %+v", k.engine, r)
		}
		k.places[tenant][r.Sequence] = evs[i].ExternalID
	}
	k.settle(k.t)
}

func (k *keeping) hold(name, params string) {
	h, err := k.trail.AddHold(context.Background(), retention.Hold{Reason: name, Params: params})
	if err != nil {
		k.t.Errorf("%s: %v", k.engine, err)
	}
	k.holds[name] = h.ID
}

func (k *keeping) unhold(name string) {
	if _, err := k.trail.RemoveHold(context.Background(), k.holds[name]); err != nil {
		k.t.Errorf("%s: %v", k.engine, err)
	}
}

// step plans, runs, plans again, and writes down what is there.
func (k *keeping) step(name string) {
	ctx := context.Background()
	fail := func(err error) { k.t.Errorf("%s: %s: %v", k.engine, name, err) }
	plan, err := k.trail.RetentionPlan(ctx)
	if err != nil {
		fail(err)
		return
	}
	run, err := k.trail.RetentionRun(ctx)
	if audit.CodeOf(err) == audit.CodeConflict { // the clock was set, and is right
		run, err = k.trail.RetentionRun(ctx)
	}
	if err != nil {
		fail(err)
		return
	}
	k.settle(k.t)
	if run.Deleted != plan.Deleted || run.Expired != plan.Expired || run.Ceiling != plan.Ceiling {
		fail(fmt.Errorf("planned %+v, ran %+v", plan, run))
	}
	after, err := k.trail.RetentionPlan(ctx)
	if err != nil || after.Deleted != 0 || after.Held != plan.Held {
		fail(fmt.Errorf("the plan afterwards: %+v, %v", after, err))
	}
	k.story = append(k.story, fmt.Sprintf("%s: deleted %d (%d expired, %d over the ceiling, %d held by %d)\n%s",
		name, run.Deleted, run.Expired, run.Ceiling, plan.Held, plan.Holds, strings.Join(k.state(), "\n")))
}

// state tells of each tenant what is left, what is gone and why, and whether its
// chain verifies.
func (k *keeping) state() (lines []string) {
	ctx := context.Background()
	for _, tenant := range []string{"acme", "globex", "initech"} {
		var left []string
		q := &audit.Query{Filters: []audit.Filter{audit.Is("tenant", tenant), audit.Is("kind", string(audit.KindEvent))}}
		err := k.trail.Export(ctx, q, func(r *audit.Record) error {
			left = append(left, r.ExternalID)
			return nil
		})
		if err != nil {
			k.t.Errorf("%s: %v", k.engine, err)
		}
		reports, err := k.trail.Verify(ctx, audit.Scope{Tenant: tenant}, chain.VerifyOptions{})
		if err != nil || len(reports) != 1 {
			k.t.Errorf("%s: %d reports, %v", k.engine, len(reports), err)
			continue
		}
		holes := int64(0)
		for _, p := range reports[0].Pruned {
			holes += p.Last - p.First + 1
		}
		gone := k.gone(tenant)
		if holes != int64(len(gone)) {
			k.t.Errorf("%s: the chain has holes of %d records, the anchors tell of %d", k.engine, holes, len(gone))
		}
		slices.Sort(left)
		line, _ := json.Marshal(map[string]any{"tenant": tenant, "valid": reports[0].Valid, "left": left, "gone": gone}) // always valid
		lines = append(lines, string(line))
	}
	return lines
}

// gone gives the events of a tenant that its anchors tell of, each with the reason.
func (k *keeping) gone(tenant string) (gone []string) {
	q := &audit.Query{Filters: []audit.Filter{audit.Is("tenant", tenant), audit.Is("kind", string(audit.KindPrune))}}
	err := k.trail.Export(context.Background(), q, func(r *audit.Record) error {
		var anchor struct {
			Runs    []chain.Run `json:"runs"`
			Records int64       `json:"records"`
			Reason  string      `json:"reason"`
		}
		if err := json.Unmarshal(r.Payload, &anchor); err != nil {
			return err
		}
		for _, run := range anchor.Runs {
			anchor.Records -= run.Last - run.First + 1
			for sequence := run.First; sequence <= run.Last; sequence++ {
				gone = append(gone, k.places[tenant][sequence]+" "+anchor.Reason)
			}
		}
		if anchor.Records != 0 {
			return fmt.Errorf("an anchor counts %d records too many", anchor.Records)
		}
		return nil
	})
	if err != nil {
		k.t.Errorf("%s: %v", k.engine, err)
	}
	slices.Sort(gone)
	return gone
}
