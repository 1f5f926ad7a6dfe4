package recorder

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

func numbers(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, strconv.Itoa(i))
	}
	return out
}

func TestOutageLosesNothing(t *testing.T) {
	for name, down := range map[string]error{
		"unavailable":  errDown,
		"backlog":      audit.ErrBacklog,
		"unauthorized": &audit.Error{Code: audit.CodeUnauthorized, Message: "the password has changed"},
		"forbidden":    &audit.Error{Code: audit.CodeForbidden, Message: "the index is read-only"},
		"unknown":      errors.New("EOF"),
		"unsupported":  audit.ErrUnsupported,
		"panic":        nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s store
				back := time.Now().Add(time.Hour)
				s.before = func(context.Context, []*audit.Record) error {
					if !time.Now().Before(back) {
						return nil
					}
					if down == nil {
						panic("nil map")
					}
					return down
				}
				r := start(t, s.Append, Options{FlushSize: 10})
				for i := range 100 {
					mustRecord(t, r, event(i), audit.StatusQueued)
					time.Sleep(time.Second)
				}
				st := r.Stats()
				if st.Queued != 100 || st.Stored != 0 || st.Failed != 0 || st.FailedAttempts == 0 || st.LastError == "" || st.LastErrorAt.IsZero() || st.OldestQueued < 95*time.Second {
					t.Errorf("in the outage: %+v", st)
				}
				time.Sleep(time.Until(back) + backoffCap + time.Second)
				synctest.Wait()
				if got := r.Stats(); got.Stored != 100 || got.Queued != 0 || got.OldestQueued != 0 || got.LastSuccessAt.IsZero() {
					t.Errorf("after the outage: %+v", got)
				}
				if diff := cmp.Diff(numbers(0, 100), s.actions()); diff != "" {
					t.Error("order:", diff)
				}
				mustClose(t, r)
			})
		})
	}
}

func TestBackoffGrowsToItsCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { return errDown }
		r := start(t, s.Append, Options{Unbuffered: true})
		mustRecord(t, r, event(1), audit.StatusQueued)
		time.Sleep(time.Hour)
		synctest.Wait()
		calls := s.callTimes()
		if len(calls) < 120 || len(calls) > 1200 {
			t.Errorf("%d attempts in an hour", len(calls))
		}
		for i := 1; i < len(calls); i++ {
			if pause := calls[i].Sub(calls[i-1]); i < 9 && pause > backoffBase<<(i-1)+1 || pause > backoffCap+1 {
				t.Errorf("pause %d is %v", i, pause)
			}
		}
		// Close does not sit out the pause.
		s.mu.Lock()
		s.before = nil
		s.mu.Unlock()
		begin := time.Now()
		if a := mustClose(t, r); a.Stored != 1 {
			t.Errorf("account %+v", a)
		}
		if took := time.Since(begin); took > 2*backoffBase {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestOnlyTheUndoneAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		tries := map[string]int{}
		s.each = func(rec *audit.Record) error {
			tries[rec.ActionID]++
			if n, _ := strconv.Atoi(rec.ActionID); n%3 == 0 && tries[rec.ActionID] < 4 {
				return errDown
			}
			return nil
		}
		r := start(t, s.Append, Options{Durability: Sync, Timeout: time.Minute})
		evs := make([]*audit.Event, 9)
		for i := range evs {
			evs[i] = event(i)
		}
		for _, receipt := range r.RecordBatch(t.Context(), evs, "") {
			if receipt.Status != audit.StatusRecorded || receipt.Err != nil {
				t.Errorf("%+v", receipt)
			}
		}
		if diff := cmp.Diff([]string{"1", "2", "4", "5", "7", "8", "0", "3", "6"}, s.actions()); diff != "" {
			t.Error("order:", diff)
		}
		for action, n := range tries {
			if i, _ := strconv.Atoi(action); i%3 == 0 && n != 4 || i%3 != 0 && n != 1 {
				t.Errorf("event %s was tried %d times", action, n)
			}
		}
		mustClose(t, r)
	})
}

// The store goes down while a batch is being split: part of it is stored, and
// the rest waits.
func TestOutageWhileSplitting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		down := true
		s.before = func(_ context.Context, recs []*audit.Record) error {
			if len(recs) > 2 {
				return audit.ErrInvalid
			}
			if down && recs[0].ActionID != "0" {
				down = false
				return errDown
			}
			return nil
		}
		r := start(t, s.Append, Options{FlushSize: 8})
		for i := range 8 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff(numbers(0, 8), s.actions()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(Account{Offered: 8, Stored: 8}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
	})
}

// An unknown error of everything is an outage, and to look for a poison must
// not turn one call into thousands.
func TestOutageIsNotBisected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		s.before = func(context.Context, []*audit.Record) error { return errors.New("EOF") }
		r := start(t, s.Append, Options{FlushSize: 4000})
		for i := range 4000 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		rounds := 1 // calls at one moment are one round
		calls := s.callTimes()
		for i := 1; i < len(calls); i++ {
			if calls[i] != calls[i-1] {
				rounds++
			}
		}
		if len(calls) > 30*rounds {
			t.Errorf("%d calls in %d rounds", len(calls), rounds)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if a, err := r.Close(ctx); err == nil || a.Unwritten != 4000 || a.Failed != 0 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}

func TestLostAnswerStoresOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		n := 0
		s.after = func([]*audit.Record) error {
			if n++; n%3 != 0 {
				return context.DeadlineExceeded
			}
			return nil
		}
		r := start(t, s.Append, Options{Durability: Sync, Timeout: time.Minute})
		for i := range 50 {
			if got := mustRecord(t, r, event(i), audit.StatusRecorded); got.Sequence != int64(i+1) {
				t.Errorf("position %d of event %d", got.Sequence, i)
			}
		}
		if a := mustClose(t, r); a.Stored != 50 || len(s.order) != 50 {
			t.Errorf("account %+v, the store holds %d", a, len(s.order))
		}
	})
}

func TestWrongNumberOfResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		wrong := true
		r := start(t, func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
			if wrong {
				wrong = false
				return nil, nil
			}
			return s.Append(ctx, recs)
		}, Options{})
		mustRecord(t, r, event(1), audit.StatusQueued)
		if a := mustClose(t, r); a.Stored != 1 {
			t.Errorf("account %+v", a)
		}
	})
}

func TestWriteTimeoutEndsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		silent := true
		s.before = func(ctx context.Context, _ []*audit.Record) error {
			if silent {
				silent = false
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		r := start(t, s.Append, Options{Durability: Sync, WriteTimeout: time.Second, Timeout: time.Minute})
		begin := time.Now()
		mustRecord(t, r, event(1), audit.StatusRecorded)
		if took := time.Since(begin); took < time.Second || took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		mustClose(t, r)
	})
}

func TestFaultsAreLoggedOnceAnInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		var s store
		s.each = func(*audit.Record) error { return audit.Invalid("payload", "is refused") }
		r := start(t, s.Append, Options{Unbuffered: true, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		for i := range 250 {
			mustRecord(t, r, event(i), audit.StatusQueued)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		mustClose(t, r)
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Errorf("%d lines for 250 faults in 25 s:\n%s", len(lines), out.String())
		}
		sum := 0
		for _, line := range lines {
			_, rest, _ := strings.Cut(line, "records=")
			number, _, _ := strings.Cut(rest, " ")
			n, _ := strconv.Atoi(number)
			sum += n
		}
		if sum != 250 || !strings.Contains(lines[0], "payload: is refused") {
			t.Errorf("the lines count %d:\n%s", sum, out.String())
		}
	})
}
