package recorder

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// step is one thing that happens to a recorder.
type step struct {
	Do    string
	N     int
	Pause time.Duration
}

// fate is what one call of the sink comes to; after the last, all is well.
type fate struct {
	Kind string
	Nth  int // every which record, for single ones
}

var genSteps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{
		Do:    rapid.SampledFrom([]string{"record", "record", "record", "batch", "sync", "read", "bad", "again", "flush", "pause", "go"}).Draw(t, "do"),
		N:     rapid.IntRange(1, 12).Draw(t, "n"),
		Pause: time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause")) * time.Millisecond,
	}
}), 1, 60)

var genFates = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) fate {
	return fate{
		Kind: rapid.SampledFrom([]string{"ok", "ok", "down", "odd", "forbidden", "lost", "slow", "silent", "each down", "each odd", "each refused"}).Draw(t, "fate"),
		Nth:  rapid.IntRange(1, 4).Draw(t, "nth"),
	}
}), 0, 40)

func TestAnySequenceBalances(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		opt := Options{
			Durability:    rapid.SampledFrom([]Durability{Memory, Sync, Spool}).Draw(rt, "durability"),
			OnFull:        rapid.SampledFrom([]OnFull{Block, Fail, Drop, Spill}).Draw(rt, "on full"),
			Unbuffered:    rapid.Bool().Draw(rt, "unbuffered"),
			Chained:       rapid.Bool().Draw(rt, "chained"),
			Capacity:      rapid.IntRange(2, 30).Draw(rt, "capacity"),
			FlushInterval: time.Second, Timeout: time.Second, WriteTimeout: 2 * time.Second, Logger: quiet,
		}
		if opt.Durability == Sync && opt.OnFull == Drop || opt.Durability != Memory && opt.OnFull == Spill {
			opt.OnFull = Block
		}
		dir, letters := t.TempDir(), rapid.IntRange(0, 3).Draw(rt, "dead letters")
		steps, fates := genSteps.Draw(rt, "steps"), genFates.Draw(rt, "fates")
		var problem error
		// The bubble must not see rapid's panics, nor rapid the bubble's goroutines.
		synctest.Test(t, func(*testing.T) { problem = runSteps(dir, letters, opt, steps, fates) })
		if problem != nil {
			rt.Fatal(problem)
		}
	})
}

func runSteps(dir string, letters int, opt Options, steps []step, fates []fate) error {
	var s store
	meet(&s, fates)
	ctx := context.Background()
	if opt.Durability == Spool || opt.OnFull == Spill {
		sp, err := spool.Open(dir, spool.Options{MaxBytes: 6_000, SegmentBytes: 4096, Logger: quiet})
		if err != nil {
			return err
		}
		defer sp.Close(ctx)
		opt.Spool = sp
	}
	if letters > 0 {
		box, err := spool.OpenBoundedDeadLetters(dir, spool.DeadLetterOptions{MaxLetters: letters})
		if err != nil {
			return err
		}
		opt.DeadLetters = box
	}
	r, err := New(s.Append, opt)
	if err != nil {
		return err
	}
	offered := make(chan int64, len(steps))
	started := 0
	var total, filtered int64
	var kept *audit.Event
	take := func(receipts ...audit.Receipt) {
		total += int64(len(receipts))
		for _, receipt := range receipts {
			if receipt.Status == audit.StatusFiltered {
				filtered++
			}
		}
	}
	record := func(ev *audit.Event) {
		receipt, _ := r.Record(ctx, ev)
		take(receipt)
	}
	next := 0
	some := func(n int) (evs []*audit.Event) {
		for range n {
			next++
			evs = append(evs, event(next))
		}
		return evs
	}
	for _, st := range steps {
		switch st.Do {
		case "record":
			for _, ev := range some(st.N) {
				record(ev)
			}
		case "batch":
			take(r.RecordBatch(ctx, append(some(st.N), read(0), nil), "")...)
		case "sync":
			take(r.RecordBatch(ctx, some(st.N), Sync)...)
		case "go":
			started++
			evs := some(st.N)
			go func() { offered <- int64(len(r.RecordBatch(ctx, evs, Sync))) }()
		case "read":
			record(read(0))
		case "bad":
			record(&audit.Event{})
		case "again":
			if kept == nil {
				kept = event(0)
				kept.ExternalID = "again"
			}
			record(kept)
		case "flush":
			short, cancel := context.WithTimeout(ctx, st.Pause)
			_ = r.Flush(short)
			cancel()
		case "pause":
			time.Sleep(st.Pause)
		}
		if q := r.Stats(); q.Queued > int64(opt.Capacity) && opt.Spool == nil {
			return fmt.Errorf("%d are kept, the capacity is %d", q.Queued, opt.Capacity)
		}
	}
	for range started {
		total += <-offered
	}
	// Half an hour is more than ten attempts take; the fates are used up by then.
	long, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	a, err := r.Close(long)
	switch {
	case err != nil || a.Unwritten+a.Spooled != 0:
		return fmt.Errorf("close: %v, %+v", err, a)
	case a.Filtered+a.Rejected+a.Dropped+a.Stored+a.Duplicates+a.Failed != a.Offered:
		return fmt.Errorf("out of balance: %+v", a)
	case a.Offered != total || a.Filtered != filtered:
		return fmt.Errorf("%d events were offered and %d filtered, the account says %+v", total, filtered, a)
	}
	if err := checkLosses(&s, opt, letters, a); err != nil {
		return err
	}
	held := s.count(audit.KindEvent)
	// The event with a foreign id may have been stored by an attempt whose
	// answer was lost; then every answer about it says duplicate.
	if lost := held - a.Stored; lost < 0 || lost > 1 || lost == 1 && a.Duplicates == 0 {
		return fmt.Errorf("the store holds %d, the account says %+v", held, a)
	}
	return nil
}

// checkLosses checks that what is lost is where the account says.
func checkLosses(s *store, opt Options, letters int, a Account) error {
	kept := 0
	if opt.DeadLetters != nil {
		list, err := opt.DeadLetters.List()
		if err != nil {
			return err
		}
		kept = len(list)
	}
	switch {
	case int64(kept) != a.SetAside || kept > letters:
		return fmt.Errorf("%d dead letters of at most %d: %+v", kept, letters, a)
	case a.Lost > 0 && kept < letters || a.Lost > a.Dropped || opt.OnFull != Drop && a.Lost < a.Dropped:
		return fmt.Errorf("%d dead letters of at most %d, and %+v", kept, letters, a)
	}
	return nil
}

// meet makes the store meet its fates, one a call.
func meet(s *store, fates []fate) {
	var now fate
	s.before = func(ctx context.Context, _ []*audit.Record) error {
		if now = (fate{Kind: "ok"}); len(fates) > 0 {
			now, fates = fates[0], fates[1:]
		}
		switch now.Kind {
		case "down":
			return errDown
		case "odd":
			return errors.New("EOF")
		case "forbidden":
			return &audit.Error{Code: audit.CodeForbidden, Message: "read-only"}
		case "slow":
			time.Sleep(700 * time.Millisecond)
		case "silent":
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	n := 0
	s.each = func(*audit.Record) error {
		if n++; n%now.Nth1() == 0 {
			switch now.Kind {
			case "each down":
				return errDown
			case "each odd":
				return errors.New("constraint 23514")
			case "each refused":
				return audit.ErrTooLarge
			}
		}
		return nil
	}
	s.after = func([]*audit.Record) error {
		if now.Kind == "lost" {
			return context.DeadlineExceeded
		}
		return nil
	}
}

// Nth1 is Nth, and 1 for the fate of all is well.
func (f fate) Nth1() int { return max(1, f.Nth) }
