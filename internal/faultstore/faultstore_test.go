package faultstore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/store/memory"
)

var ctx = context.Background()

func record(t *testing.T, id string) *audit.Record {
	t.Helper()
	rec := &audit.Record{Event: audit.Event{ExternalID: id, Action: "a.b", Tenant: "t"}}
	now := time.Now()
	rec.RecordedAt = audit.FromMicros(now.UnixMicro())
	if err := audit.Normalize(rec, rec.RecordedAt); err != nil {
		t.Fatal(err)
	}
	return rec
}

func records(t *testing.T, from, n int) (out []*audit.Record) {
	for i := range n {
		out = append(out, record(t, fmt.Sprint("r", from+i)))
	}
	return out
}

func stored(t *testing.T, s audit.Store) int {
	t.Helper()
	page, err := s.Query(ctx, &audit.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Records)
}

// bare hides what a store can do besides the port.
type bare struct{ audit.Store }

func TestCapabilitiesAreThoseOfTheWrapped(t *testing.T) {
	inner := memory.New(memory.Options{})
	for _, s := range []audit.Store{inner, bare{inner}} {
		w := faultstore.Wrap(s).Store
		_, chained := audit.As[chain.Appender](s)
		_, keeps := audit.As[audit.Keeper](s)
		if _, ok := audit.As[chain.Appender](w); ok != chained {
			t.Errorf("chained: %v, want %v", ok, chained)
		}
		if _, ok := audit.As[audit.Keeper](w); ok != keeps {
			t.Errorf("keeps: %v, want %v", ok, keeps)
		}
		if p, ok := audit.As[audit.Pinger](w); !ok || p.Ping(ctx) != nil {
			t.Error("does not answer a ping")
		}
		if w.Capabilities() != s.Capabilities() {
			t.Error("other capabilities")
		}
	}
}

func TestFaults(t *testing.T) {
	lost := errors.New("connection reset")
	for name, c := range map[string]struct {
		fault  faultstore.Fault
		err    error // of the call
		stored int   // of its three records
	}{
		"fail":       {faultstore.Fail(lost), lost, 0},
		"code":       {faultstore.FailCode(audit.CodeUnavailable), audit.ErrUnavailable, 0},
		"lost":       {faultstore.Lose(lost), lost, 3},
		"slow":       {faultstore.Slow(time.Second), nil, 3},
		"too slow":   {faultstore.Slow(time.Minute), context.DeadlineExceeded, 0},
		"stall":      {faultstore.Stall(), context.DeadlineExceeded, 0},
		"black hole": {faultstore.BlackHole(), context.DeadlineExceeded, 3},
		"full":       {faultstore.Full(2), audit.ErrUnavailable, 0},
		"not full":   {faultstore.Full(3), nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := memory.New(memory.Options{})
				f := faultstore.Wrap(inner)
				f.On(faultstore.Append, 1, c.fault)
				limited, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				results, err := f.Store.(chain.Appender).AppendChained(limited, records(t, 0, 3))
				if !errors.Is(err, c.err) || err == nil && len(results) != 3 {
					t.Errorf("%v, %v", results, err)
				}
				if n := stored(t, inner); n != c.stored {
					t.Errorf("%d are stored, want %d", n, c.stored)
				}
				// It has passed.
				if _, err := f.Store.Append(t.Context(), records(t, 10, 1)); err != nil || stored(t, inner) != c.stored+1 {
					t.Error("afterwards:", err)
				}
				if f.Calls(faultstore.Append) != 2 {
					t.Errorf("%d calls", f.Calls(faultstore.Append))
				}
			})
		})
	}
}

func TestPartialKeepsTheOrderOfResults(t *testing.T) {
	f := faultstore.Wrap(memory.New(memory.Options{}))
	bad := audit.Invalid("payload", "is refused")
	recs := records(t, 0, 5)
	f.On(faultstore.Append, 1, faultstore.Partial(func(r *audit.Record) error {
		if r.ExternalID == "r1" || r.ExternalID == "r3" {
			return bad
		}
		return nil
	}))
	results, err := f.Store.(chain.Appender).AppendChained(ctx, recs)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{1, 0, 2, 0, 3} {
		if results[i].Sequence != want || (results[i].Err != nil) != (want == 0) {
			t.Errorf("result %d is %+v", i, results[i])
		}
	}
}

func TestHealReleasesWhatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range []faultstore.Fault{faultstore.Stall(), faultstore.StallDeaf()} {
			inner := memory.New(memory.Options{})
			f := faultstore.Wrap(inner)
			f.On(faultstore.Append, faultstore.Ever, fault)
			done := make(chan error, 1)
			go func() {
				_, err := f.Store.Append(t.Context(), records(t, 0, 1))
				done <- err
			}()
			synctest.Wait()
			if stored(t, inner) != 0 {
				t.Error("did not stall")
			}
			f.Heal()
			if err := <-done; err != nil || stored(t, inner) != 1 {
				t.Error("healed:", err)
			}
		}
	})
}

func TestEveryOperationCanFail(t *testing.T) {
	f := faultstore.Wrap(memory.New(memory.Options{}))
	s := f.Store
	keeper, _ := audit.As[audit.Keeper](s)
	pinger, _ := audit.As[audit.Pinger](s)
	for op, call := range map[faultstore.Op]func() error{
		faultstore.Get:           func() error { _, err := s.Get(ctx, audit.Ref{}); return err },
		faultstore.Query:         func() error { _, err := s.Query(ctx, &audit.Query{Limit: 1}); return err },
		faultstore.DeleteExpired: func() error { _, err := s.DeleteExpired(ctx, audit.Cut{ExpiredAt: time.Now()}, 1); return err },
		faultstore.Ping:          func() error { return pinger.Ping(ctx) },
		faultstore.Load:          func() error { _, _, err := keeper.Load(ctx, "k"); return err },
		faultstore.Save:          func() error { return keeper.Save(ctx, "k", []byte("v"), 0) },
	} {
		f.On(op, 1, faultstore.FailCode(audit.CodeForbidden))
		if err := call(); audit.CodeOf(err) != audit.CodeForbidden {
			t.Errorf("%s: %v", op, err)
		}
		if err := call(); audit.CodeOf(err) == audit.CodeForbidden {
			t.Errorf("%s fails a second time", op)
		}
	}
	defer func() {
		if recover() != "bug" {
			t.Error("no panic")
		}
	}()
	f.On(faultstore.Ping, 1, faultstore.Panic("bug"))
	_ = pinger.Ping(ctx)
}
