package recorder

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// poisons makes the event 5 impossible to store, in the ways in which stores do it.
var poisons = map[string]func(s *store){
	"refused": func(s *store) {
		s.each = func(rec *audit.Record) error {
			if rec.ActionID == "5" {
				return audit.Invalid("payload", "has a number that the engine cannot hold")
			}
			return nil
		}
	},
	"fails alone": func(s *store) {
		s.each = func(rec *audit.Record) error {
			if rec.ActionID == "5" {
				return errors.New("constraint 23514")
			}
			return nil
		}
	},
	"unavailable alone": func(s *store) {
		s.each = func(rec *audit.Record) error {
			if rec.ActionID == "5" {
				return errDown
			}
			return nil
		}
	},
	"batch refused":  poisonBatch(audit.Invalid("payload", "has a number that the engine cannot hold")),
	"batch too long": poisonBatch(audit.ErrTooLarge),
	"batch fails":    poisonBatch(errors.New("connection reset by peer")),
}

func poisonBatch(err error) func(s *store) {
	return func(s *store) {
		s.before = func(_ context.Context, recs []*audit.Record) error {
			if slices.ContainsFunc(recs, func(r *audit.Record) bool { return r.ActionID == "5" }) {
				return err
			}
			return nil
		}
	}
}

func TestPoisonIsSetAside(t *testing.T) {
	for name, poison := range poisons {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				poison(&s)
				r := start(t, s.Append, Options{FlushSize: 10, Chained: true, FlushInterval: time.Second})
				// Traffic goes on: it is the proof that the store is up.
				for i := range 600 {
					mustRecord(t, r, event(i), audit.StatusQueued)
					time.Sleep(time.Second)
				}
				if st := r.Stats(); st.Failed != 1 {
					t.Errorf("%d failed after ten minutes: %+v", st.Failed, st)
				}
				a := mustClose(t, r)
				if diff := cmp.Diff(Account{Offered: 600, Stored: 599, Failed: 1}, a); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(map[string]int64{"acme/failed": 1}, gapsIn(t, &s)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// The others must not wait for the poison's attempts.
func TestPoisonHoldsUpNobody(t *testing.T) {
	for name, poison := range poisons {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				poison(&s)
				r := start(t, s.Append, Options{Durability: Sync, Timeout: 10 * time.Second})
				var worst time.Duration
				for i := range 200 {
					if i == 5 {
						go r.Record(t.Context(), event(i))
						time.Sleep(3 * time.Second) // alone, it may be an outage
						continue
					}
					begin := time.Now()
					mustRecord(t, r, event(i), audit.StatusRecorded)
					worst = max(worst, time.Since(begin))
					time.Sleep(100 * time.Millisecond)
				}
				if worst > 6*time.Second {
					t.Errorf("somebody waited %v", worst)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				a, _ := r.Close(ctx)
				balanced(t, a)
				if a.Stored != 199 || a.Failed+a.Unwritten != 1 {
					t.Errorf("account %+v", a)
				}
			})
		})
	}
}

func TestManyPoisonsInOneBatch(t *testing.T) {
	for name, err := range map[string]error{"refused": audit.ErrInvalid, "unknown": errors.New("boom")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				bad := func(r *audit.Record) bool { n, _ := strconv.Atoi(r.ActionID); return n%97 == 13 }
				s.before = func(_ context.Context, recs []*audit.Record) error {
					if slices.ContainsFunc(recs, bad) {
						return err
					}
					return nil
				}
				r := start(t, s.Append, Options{FlushSize: 1000})
				for i := range 1000 {
					mustRecord(t, r, event(i), audit.StatusQueued)
				}
				time.Sleep(30 * time.Minute)
				synctest.Wait()
				a := mustClose(t, r)
				if diff := cmp.Diff(Account{Offered: 1000, Stored: 989, Failed: 11}, a); diff != "" {
					t.Error(diff)
				}
				if calls := len(s.callTimes()); calls > 1000 {
					t.Errorf("%d calls", calls)
				}
			})
		})
	}
}
