package conformance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
)

// faultRounds is how often every kind of fault is met: once, or what the
// environment says.
const faultRounds = "ANNALS_FAULT_ROUNDS"

// passing are faults that pass: what was sent may have been stored or not, and the
// answer says nothing. In part, some of the faults strike single records of a batch,
// or may be such.
func passing(rounds int, inPart bool) (script []faultstore.Fault) {
	throttled := faultstore.Partial(func(*audit.Record) error {
		if rand.N(3) == 0 {
			return audit.Unavailable("throttled", nil)
		}
		return nil
	})
	for range rounds {
		script = append(script,
			faultstore.FailCode(audit.CodeUnavailable), faultstore.Lose(context.DeadlineExceeded), faultstore.Lose(audit.Unavailable("reset", nil)),
			faultstore.Full(3), faultstore.Slow(50*time.Millisecond), faultstore.BlackHole(), faultstore.Stall(),
		)
		if inPart {
			script = append(script, throttled, throttled, faultstore.Fail(errors.New("an error that may be one record's")))
		}
	}
	rand.Shuffle(len(script), func(i, j int) { script[i], script[j] = script[j], script[i] })
	return script
}

// TestFaultRounds puts every kind of passing fault between the trail and each
// engine, under every durability: what was acknowledged is stored once, and the
// chains verify. From the spool it is in the order of its producer, as long as
// batches fail as a whole: what may be the fault of some records holds up no others.
func TestFaultRounds(t *testing.T) {
	t.Parallel()
	for engine := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			skipServers(t, engine)
			durabilities := []recorder.Durability{recorder.Spool, recorder.Memory, recorder.Sync}
			if testing.Short() {
				durabilities = durabilities[:1]
			}
			for _, durability := range durabilities {
				t.Run(string(durability), func(t *testing.T) { runFaults(t, engine, durability) })
			}
		})
	}
}

const (
	faultProducers = 4
	faultEvents    = 40 // of each producer at least
)

func runFaults(t *testing.T, engine string, durability recorder.Durability) {
	h := engines[engine](t)
	store := h.New(t)
	f := faultstore.Wrap(store)
	opt := annals.Options{
		Policy: policy.Config{Level: policy.All}, Durability: durability, Logger: slog.New(slog.DiscardHandler),
		FlushSize: 10, FlushInterval: 5 * time.Millisecond, Timeout: time.Minute, WriteTimeout: time.Second,
	}
	if durability == recorder.Spool {
		opt.SpoolDir = t.TempDir()
	}
	trail, err := annals.New(f.Store, opt)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := trail.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	script := passing(number(t, faultRounds, 1), durability != recorder.Spool)
	for _, fault := range script {
		f.On(faultstore.Append, 1, fault)
		f.On(faultstore.Append, 1, func(ctx context.Context, c *faultstore.Call) error { return c.Do(ctx) }) // a good one after it
	}
	// Producers go on until the whole script was played.
	acknowledged := make([]int, faultProducers)
	var wg sync.WaitGroup
	for p := range faultProducers {
		wg.Go(func() {
			for f.Calls(faultstore.Append) <= 2*len(script) || acknowledged[p] < faultEvents {
				evs := make([]*audit.Event, 1+rand.N(3))
				for i := range evs {
					evs[i] = &audit.Event{ExternalID: fmt.Sprintf("p%d-%d", p, acknowledged[p]+i), Tenant: fmt.Sprint(p % 2), Action: "fault.met", ActionID: fmt.Sprint(p)}
				}
				if !sendAll(t, trail, evs) {
					return
				}
				acknowledged[p] += len(evs)
				time.Sleep(time.Duration(10+rand.N(20)) * time.Millisecond) // a producer does something else, too
			}
		})
	}
	wg.Wait()
	if err := trail.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.Settle != nil {
		h.Settle(t, store)
	}
	checkFaults(t, trail, acknowledged, durability == recorder.Spool)
}

// sendAll sends the events until each of them is acknowledged.
func sendAll(t *testing.T, trail *annals.Trail, evs []*audit.Event) bool {
	for attempt := 0; len(evs) > 0; attempt++ {
		var left []*audit.Event
		for i, r := range trail.RecordBatch(t.Context(), evs) {
			switch {
			case r.Err == nil:
			case !audit.Retryable(r.Err) || attempt > 200:
				t.Errorf("%s: %+v", evs[i].ExternalID, r)
				return false
			default:
				left = append(left, evs[i])
			}
		}
		evs = left
	}
	return true
}

func checkFaults(t *testing.T, trail *annals.Trail, acknowledged []int, inOrder bool) {
	ctx := t.Context()
	held := map[string]int64{} // the place of each
	q := &audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindEvent))}}
	err := trail.Export(ctx, q, func(r *audit.Record) error {
		if _, twice := held[r.ExternalID]; twice || r.Sequence == 0 {
			t.Errorf("%s is there twice, or in no chain", r.ExternalID)
		}
		held[r.ExternalID] = r.Sequence
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for p, n := range acknowledged {
		total += n
		last := int64(0)
		for i := range n {
			place, ok := held[fmt.Sprintf("p%d-%d", p, i)]
			if !ok {
				t.Errorf("p%d-%d was acknowledged and is not stored", p, i)
			} else if inOrder && place < last {
				t.Errorf("p%d-%d comes before its forerunner", p, i)
			}
			last = max(last, place)
		}
	}
	if total != len(held) {
		t.Errorf("%d are stored, %d were acknowledged", len(held), total)
	}
	for tenant := range min(2, faultProducers) {
		reports, err := trail.Verify(ctx, audit.Scope{Tenant: fmt.Sprint(tenant)}, chain.VerifyOptions{})
		if err != nil || len(reports) == 0 {
			t.Errorf("%d reports, %v", len(reports), err)
		}
		for _, r := range reports {
			if !r.Valid {
				t.Errorf("the chain of %s is broken: %+v", r.Key.Segment, r.FirstBroken)
			}
		}
	}
	t.Logf("%d events acknowledged", total)
}
