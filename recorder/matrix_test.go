package recorder

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
)

// sinks are the ways in which a store behaves; each gets the time since its start.
var sinks = map[string]func(s *store, begin time.Time){
	"healthy": func(*store, time.Time) {},
	"slow": func(s *store, _ time.Time) {
		s.before = func(context.Context, []*audit.Record) error { time.Sleep(300 * time.Millisecond); return nil }
	},
	"stalled": func(s *store, begin time.Time) { // silent for ten seconds
		s.before = func(ctx context.Context, _ []*audit.Record) error {
			select {
			case <-time.After(time.Until(begin.Add(10 * time.Second))):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	},
	"failing": func(s *store, begin time.Time) {
		s.before = func(context.Context, []*audit.Record) error {
			if time.Since(begin) < 10*time.Second {
				return errDown
			}
			return nil
		}
	},
	"partial": func(s *store, _ time.Time) {
		n := 0
		s.each = func(*audit.Record) error {
			if n++; n%3 == 0 {
				return errDown
			}
			return nil
		}
	},
	"loses answers": func(s *store, _ time.Time) {
		n := 0
		s.after = func([]*audit.Record) error {
			if n++; n%2 == 1 {
				return context.DeadlineExceeded
			}
			return nil
		}
	},
	"poison": func(s *store, _ time.Time) {
		s.each = func(rec *audit.Record) error {
			if n, _ := strconv.Atoi(rec.ActionID); n%50 == 7 {
				return errors.New("constraint 23514")
			}
			return nil
		}
	},
	"dead": func(s *store, _ time.Time) {
		s.before = func(context.Context, []*audit.Record) error { return errDown }
	},
	"dead and silent": func(s *store, _ time.Time) {
		s.before = func(ctx context.Context, _ []*audit.Record) error { <-ctx.Done(); return ctx.Err() }
	},
}

// Whatever the store does, however the recorder is set: the account adds up,
// agrees with every caller's receipt and with what the store really holds, no
// caller waits beyond its timeout, and no more is kept than the capacity allows.
func TestTheBalanceIsExact(t *testing.T) {
	for name, behave := range sinks {
		for _, durability := range []Durability{Sync, Memory} {
			for _, onFull := range []OnFull{Block, Fail, Drop} {
				if durability == Sync && onFull == Drop {
					continue
				}
				for _, unbuffered := range []bool{false, true} {
					for _, chained := range []bool{false, true} {
						t.Run(fmt.Sprintf("%s/%s/%s/unbuffered=%v/chained=%v", name, durability, onFull, unbuffered, chained), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								runMatrix(t, behave, Options{
									Durability: durability, OnFull: onFull, Unbuffered: unbuffered, Chained: chained,
									Capacity: 20, FlushSize: 10, FlushInterval: time.Second, Timeout: 2 * time.Second, WriteTimeout: 3 * time.Second,
								})
							})
						})
					}
				}
			}
		}
	}
}

func runMatrix(t *testing.T, behave func(*store, time.Time), opt Options) {
	var s store
	behave(&s, time.Now())
	r := start(t, s.Append, opt)
	var mu sync.Mutex
	var seen Account
	var open int64
	count := func(receipt audit.Receipt) {
		seen.Offered++
		switch code := audit.CodeOf(receipt.Err); {
		case receipt.Status == audit.StatusFiltered:
			seen.Filtered++
		case receipt.Status == audit.StatusRejected && receipt.Reason == ReasonDropped && receipt.Err == nil:
			seen.Dropped++
		case receipt.Status == audit.StatusRejected && (code == audit.CodeInvalid || code == audit.CodeBacklog):
			seen.Rejected++
		case receipt.Status == audit.StatusRejected && code == audit.CodeInternal:
			seen.Failed++
		case receipt.Status == audit.StatusQueued && receipt.Err == nil, receipt.Status == audit.StatusQueued && receipt.Reason == ReasonOpen:
			open++
		case receipt.Status == audit.StatusRecorded && receipt.Err == nil:
			seen.Stored++
		default:
			t.Errorf("unexpected receipt %+v", receipt)
		}
	}
	var wg sync.WaitGroup
	for g := range 6 {
		wg.Go(func() {
			for i := range 25 {
				ev := event(g*25 + i)
				switch i % 8 {
				case 3:
					ev = read(i)
				case 5:
					ev.Outcome = "maybe"
				}
				begin := time.Now()
				receipt, err := r.Record(t.Context(), ev)
				if receipt.Err != err {
					t.Errorf("%v is not the receipt's error %v", err, receipt.Err)
				}
				if took := time.Since(begin); took > opt.Timeout {
					t.Errorf("a caller waited %v", took)
				}
				mu.Lock()
				count(receipt)
				mu.Unlock()
				if st := r.Stats(); st.Queued > int64(opt.Capacity) {
					t.Errorf("%d events are kept, the capacity is %d", st.Queued, opt.Capacity)
				}
				time.Sleep(time.Duration(i*g) * time.Millisecond)
			}
		})
	}
	wg.Wait()
	for _, receipt := range r.RecordBatch(t.Context(), []*audit.Event{event(1000), read(1001), event(1002)}, Sync) {
		count(receipt)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	a, err := r.Close(ctx)
	balanced(t, a)
	held := s.count(audit.KindEvent)
	if a.Stored != held {
		t.Errorf("the account says %d stored, the store holds %d", a.Stored, held)
	}
	if a.Offered != seen.Offered || a.Filtered != seen.Filtered || a.Dropped != seen.Dropped || a.Rejected != seen.Rejected {
		t.Errorf("the account says %+v, the receipts %+v", a, seen)
	}
	if a.Duplicates != 0 || a.Stored+a.Failed+a.Unwritten != seen.Stored+seen.Failed+open || a.Stored < seen.Stored || a.Failed < seen.Failed {
		t.Errorf("the account says %+v, the receipts %+v and %d open", a, seen, open)
	}
	if (err != nil) != (a.Unwritten > 0 || opt.Chained && held == 0) {
		t.Errorf("%v with %d unwritten", err, a.Unwritten)
	}
	if err == nil && opt.Chained {
		gaps := gapsIn(t, &s)
		if gaps["acme/level"] != a.Filtered || gaps["acme/dropped"] != a.Dropped || gaps["acme/failed"] != a.Failed {
			t.Errorf("the gap records say %v, the account %+v", gaps, a)
		}
	}
}
