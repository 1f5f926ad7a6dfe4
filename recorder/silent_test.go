package recorder

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/spool"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/sqlite"
)

// Nothing is silent: whatever the store does, under every durability and every
// answer to a full queue, each event that was sent is stored, or was refused to
// its caller, or is counted, or is on the disk.

// misbehaviours are what a script makes of a store; those that heal do so after
// ten seconds.
var misbehaviours = map[string]struct {
	script func(f *faultstore.Faults)
	never  bool // it does not heal
}{
	"healthy":        {script: func(*faultstore.Faults) {}},
	"failing":        {script: ever(faultstore.FailCode(audit.CodeUnavailable))},
	"failing oddly":  {script: ever(faultstore.FailCode(audit.CodeInternal))},
	"stalled":        {script: ever(faultstore.Stall())},
	"stalled deaf":   {script: ever(faultstore.StallDeaf())},
	"black hole":     {script: ever(faultstore.BlackHole())},
	"full":           {script: ever(faultstore.Full(7))},
	"panics":         {script: ever(faultstore.Panic("nil map"))},
	"slow":           {script: ever(faultstore.Slow(700 * time.Millisecond))},
	"too slow":       {script: ever(faultstore.Slow(4 * time.Second))},
	"loses answers":  {script: ever(faultstore.Lose(context.DeadlineExceeded))},
	"partial":        {script: ever(faultstore.Partial(everyThird(audit.Unavailable("throttled", nil))))},
	"poison":         {script: ever(faultstore.Partial(everyThird(audit.Invalid("payload", "is refused"))))},
	"dead":           {script: ever(faultstore.FailCode(audit.CodeUnavailable)), never: true},
	"dead and deaf":  {script: ever(faultstore.StallDeaf()), never: true},
	"dead and full":  {script: ever(faultstore.Full(7)), never: true},
	"dead and loses": {script: ever(faultstore.BlackHole()), never: true},
}

func ever(fault faultstore.Fault) func(f *faultstore.Faults) {
	return func(f *faultstore.Faults) { f.On(faultstore.Append, faultstore.Ever, fault) }
}

func everyThird(err error) func(*audit.Record) error {
	return func(rec *audit.Record) error {
		if n, _ := strconv.Atoi(rec.ActionID); n%3 == 1 {
			return err
		}
		return nil
	}
}

// ways are the combinations of durability and OnFull that there are.
func ways() (out []Options) {
	for durability, answers := range map[Durability][]OnFull{
		Sync: {Block, Fail}, Memory: {Block, Fail, Drop, Spill}, Spool: {Block, Fail, Drop},
	} {
		for _, onFull := range answers {
			out = append(out, Options{Durability: durability, OnFull: onFull})
		}
	}
	return out
}

func TestNothingIsSilent(t *testing.T) {
	for name, m := range misbehaviours {
		for _, opt := range ways() {
			t.Run(fmt.Sprintf("%s/%s/%s", name, opt.Durability, opt.OnFull), func(t *testing.T) {
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					inner := memory.New(memory.Options{})
					f := faultstore.Wrap(inner)
					m.script(f)
					if !m.never {
						defer time.AfterFunc(10*time.Second, f.Heal).Stop()
					}
					opt := opt
					opt.Capacity, opt.FlushSize, opt.FlushInterval = 12, 6, time.Second
					opt.Timeout, opt.WriteTimeout, opt.Chained = 2*time.Second, 3*time.Second, true
					runSilent(t, f.Store, dir, opt, func() { f.Heal(); synctest.Wait() })
				})
			})
		}
	}
}

// The same on a real file that is really full, and in real time.
func TestNothingIsSilentOnAFullSQLite(t *testing.T) {
	for _, opt := range ways() {
		t.Run(fmt.Sprintf("%s/%s", opt.Durability, opt.OnFull), func(t *testing.T) {
			dir := t.TempDir()
			store, err := sqlite.Open(t.Context(), sqlite.Options{Path: filepath.Join(dir, "a.db")})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			f := faultstore.Wrap(store)
			for _, fault := range []faultstore.Fault{
				faultstore.Full(5), faultstore.Full(0), faultstore.Lose(context.DeadlineExceeded), faultstore.FailCode(audit.CodeInternal),
				faultstore.Partial(everyThird(audit.Unavailable("throttled", nil))),
			} {
				f.On(faultstore.Append, 1, fault)
			}
			opt.Capacity, opt.FlushSize, opt.FlushInterval = 12, 6, 5*time.Millisecond
			opt.Timeout, opt.WriteTimeout, opt.Chained = 50*time.Millisecond, time.Minute, true
			runSilent(t, f.Store, filepath.Join(dir, "spool"), opt, func() { f.Heal() })
		})
	}
}

// answers are the receipts of one run, by the event's number.
type answers struct {
	mu       sync.Mutex
	receipts map[string]audit.Receipt
	account  Account
	open     int64
}

func (a *answers) note(t *testing.T, action string, receipt audit.Receipt) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receipts[action] = receipt
	a.account.Offered++
	switch code := audit.CodeOf(receipt.Err); {
	case receipt.Status == audit.StatusQueued && receipt.Err == nil:
	case receipt.Status == audit.StatusQueued && receipt.Reason == ReasonOpen && code == audit.CodeUnavailable:
		a.open++
	case receipt.Status == audit.StatusRecorded && receipt.Err == nil:
		a.account.Stored++
	case receipt.Status == audit.StatusFiltered:
		a.account.Filtered++
	case receipt.Reason == ReasonDropped && receipt.Err == nil:
		a.account.Dropped++
	case receipt.Status == audit.StatusRejected && code == audit.CodeBacklog:
		a.account.Rejected++
	case receipt.Status == audit.StatusRejected && (code == audit.CodeInvalid || code == audit.CodeInternal || code == audit.CodeUnavailable):
		a.account.Failed++
	default:
		t.Errorf("unexpected receipt %+v", receipt)
	}
}

// counter counts the lines of a log by message and interval.
type counter struct {
	slog.Handler
	mu    sync.Mutex
	lines map[string]int
}

func (c *counter) Enabled(context.Context, slog.Level) bool { return true }
func (c *counter) Handle(_ context.Context, r slog.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines[r.Message]++
	return nil
}

func runSilent(t *testing.T, store audit.Store, dir string, opt Options, heal func()) {
	sp := openSpool(t, dir, spool.Options{MaxBytes: 7_000, SegmentBytes: 4096, MaxEntry: 4096})
	letters := openLetters(t, dir)
	lines := &counter{lines: map[string]int{}}
	appender, ok := audit.As[chain.Appender](store)
	if !ok {
		t.Fatal("no chain")
	}
	opt.Logger, opt.DeadLetters = slog.New(lines), letters
	if opt.Durability == Spool || opt.OnFull == Spill {
		opt.Spool = sp
	}
	begin, before := time.Now(), runtime.NumGoroutine()
	r := start(t, appender.AppendChained, opt)
	got := answers{receipts: map[string]audit.Receipt{}}
	const producers, each = 5, 16
	var wg sync.WaitGroup
	for g := range producers {
		wg.Go(func() {
			for i := 0; i < each; i++ {
				n := g*each + i
				at := time.Now()
				if i%8 == 6 { // two at once
					evs := []*audit.Event{event(n), event(n + 1)}
					for k, receipt := range r.RecordBatch(t.Context(), evs, "") {
						got.note(t, evs[k].ActionID, receipt)
					}
					i++
				} else {
					ev := event(n)
					if i%8 == 3 {
						ev = read(n)
					}
					receipt, _ := r.Record(t.Context(), ev)
					got.note(t, ev.ActionID, receipt)
				}
				if held := time.Since(at); opt.WriteTimeout == 3*time.Second && held > opt.Timeout*11/10 { // in a bubble
					t.Errorf("a caller was held for %v, the timeout is %v", held, opt.Timeout)
				}
				time.Sleep(time.Duration(i*g) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if n := runtime.NumGoroutine() - before; n > 16 {
		t.Errorf("%d goroutines more than at the beginning", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	a, err := r.Close(ctx)
	balanced(t, a)
	if (err != nil) != (a.Unwritten+a.Spooled > 0) && err == nil {
		t.Errorf("no error, and %d unwritten, %d spooled", a.Unwritten, a.Spooled)
	}
	want := got.account
	if a.Offered != want.Offered || a.Filtered != want.Filtered || a.Dropped != want.Dropped || a.Rejected != want.Rejected {
		t.Errorf("the account says %+v, the receipts %+v and %d open", a, want, got.open)
	}
	if a.Failed < want.Failed || a.Stored+a.Duplicates < want.Stored || opt.Durability != Sync && a.Failed != a.SetAside || opt.Durability == Spool && a.Unwritten > 0 {
		t.Errorf("the account says %+v, the receipts %+v", a, want)
	}
	list, err := letters.List()
	if err != nil || int64(len(list)) != a.SetAside {
		t.Errorf("%d dead letters, %d were set aside, %v", len(list), a.SetAside, err)
	}
	intervals := int(time.Since(begin)/logInterval) + 2
	for message, n := range lines.lines {
		if n > intervals {
			t.Errorf("%d lines in %v: %s", n, time.Since(begin), message)
		}
	}

	// What is in the spool comes with the next recorder, and then the store has
	// all that was acknowledged, once, but for what was set aside.
	heal()
	late := int64(len(inStore(t, store))) - a.Stored // a call that Close could not call off has its answer now
	closeSpool(t, sp)
	sp = openSpool(t, dir, spool.Options{})
	r = start(t, appender.AppendChained, Options{Spool: sp, DeadLetters: letters})
	again := mustClose(t, r)
	if again.Recovered+late < a.Spooled || again.Stored > a.Spooled {
		t.Errorf("%d were left in the spool, %d of them were stored after all, and then %+v", a.Spooled, late, again)
	}
	closeSpool(t, sp)
	list, err = letters.List()
	if err != nil {
		t.Fatal(err)
	}
	dead := map[string]bool{}
	for _, l := range list {
		_, entry, err := letters.Get(l.ID)
		if err != nil {
			t.Fatal(err)
		}
		rec, err := DecodeEntry(entry)
		if err != nil {
			t.Fatal(err)
		}
		dead[rec.ActionID] = true
	}
	held := inStore(t, store)
	lost := int64(0)
	for action, receipt := range got.receipts {
		switch n := held[action]; {
		case n > 1:
			t.Errorf("event %s is stored %d times", action, n)
		case n == 1:
			if receipt.Status == audit.StatusFiltered || receipt.Status == audit.StatusRejected && audit.CodeOf(receipt.Err) == audit.CodeBacklog || receipt.Reason == ReasonDropped {
				t.Errorf("event %s is stored, and was answered with %+v", action, receipt)
			}
		case receipt.Status == audit.StatusRecorded:
			t.Errorf("event %s was recorded and is not there", action)
		case receipt.Status == audit.StatusQueued && !dead[action]:
			lost++
		}
	}
	// In memory, and for those who wait, what Close had no time for is gone; it said so.
	if lost > a.Unwritten+a.Failed-a.SetAside || opt.Durability == Spool && lost > 0 {
		t.Errorf("%d acknowledged events are nowhere: %+v", lost, a)
	}
	reader, _ := audit.As[chain.Reader](store)
	report, err := chain.Verify(t.Context(), struct {
		audit.Store
		chain.Reader
	}{store, reader}, chain.Key{Scope: audit.Scope{Tenant: "acme"}}, chain.VerifyOptions{})
	if err != nil || !report.Valid {
		t.Errorf("the chain is broken: %+v, %v", report, err)
	}
}

// inStore counts the records by the event's number.
func inStore(t *testing.T, s audit.Store) map[string]int {
	t.Helper()
	page, err := s.Query(t.Context(), &audit.Query{Limit: 1000, Filters: []audit.Filter{audit.Is("kind", "event")}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, rec := range page.Records {
		out[rec.ActionID]++
	}
	return out
}

// Ten times as many events as the store takes, for a minute: what is in memory
// stays under its bound, and the account is exact.
func TestTenTimesOverload(t *testing.T) {
	for _, opt := range ways() {
		t.Run(fmt.Sprintf("%s/%s", opt.Durability, opt.OnFull), func(t *testing.T) {
			withSpool(t, spool.Options{MaxBytes: 120_000}, func(t *testing.T, sp *spool.Spool) {
				f := faultstore.Wrap(memory.New(memory.Options{}))
				takes := faultstore.Partial(func(*audit.Record) error { return nil })
				f.On(faultstore.Append, faultstore.Ever, func(ctx context.Context, c *faultstore.Call) error {
					time.Sleep(time.Duration(len(c.Records)) * 10 * time.Millisecond) // a hundred a second
					return takes(ctx, c)
				})
				opt := opt
				opt.Capacity, opt.CapacityBytes, opt.FlushSize, opt.Timeout = 400, 400_000, 50, time.Second
				if opt.Durability == Spool || opt.OnFull == Spill {
					opt.Spool = sp
				}
				before := runtime.NumGoroutine()
				r := start(t, f.Store.(chain.Appender).AppendChained, opt)
				var mu sync.Mutex
				var seen Account
				most, threads := int64(0), 0
				var wg sync.WaitGroup
				const producers = 10
				for range producers {
					wg.Go(func() {
						evs := make([]*audit.Event, 20)
						for begin := time.Now(); time.Since(begin) < time.Minute; time.Sleep(200 * time.Millisecond) {
							for i := range evs {
								evs[i] = event(i)
							}
							receipts := r.RecordBatch(t.Context(), evs, "")
							mu.Lock()
							for _, receipt := range receipts {
								seen.Offered++
								switch {
								case receipt.Reason == ReasonDropped:
									seen.Dropped++
								case audit.CodeOf(receipt.Err) == audit.CodeBacklog:
									seen.Rejected++
								}
							}
							most = max(most, r.Stats().QueuedBytes)
							threads = max(threads, runtime.NumGoroutine()-before)
							mu.Unlock()
						}
					})
				}
				wg.Wait()
				a := mustClose(t, r)
				if a.Offered != seen.Offered || a.Dropped != seen.Dropped || a.Rejected != seen.Rejected || a.Stored != a.Offered-a.Dropped-a.Rejected {
					t.Errorf("the account says %+v, the receipts %+v", a, seen)
				}
				if n := inStoreCount(t, f.Store); n != a.Stored {
					t.Errorf("%d are stored, the account says %+v", n, a)
				}
				if a.Dropped+a.Rejected == 0 {
					t.Errorf("no overload: %+v", a)
				}
				if most > opt.CapacityBytes {
					t.Errorf("%d bytes were in memory, at most %d are allowed", most, opt.CapacityBytes)
				}
				if threads > producers+12 {
					t.Errorf("%d goroutines more than at the beginning", threads)
				}
			})
		})
	}
}

func inStoreCount(t *testing.T, s audit.Store) int64 {
	t.Helper()
	c, ok := audit.As[audit.Counter](s)
	if !ok {
		t.Fatal("cannot count")
	}
	n, err := c.Count(t.Context(), &audit.Query{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
