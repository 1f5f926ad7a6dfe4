package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// bare and wrapper are stores that can only be looked at.
type bare struct{ Store }

func (bare) Ping(context.Context) error { return io.EOF }

type wrapper struct{ Store }

func (w wrapper) Unwrap() Store { return w.Store }

type pinging struct{ wrapper }

func (pinging) Ping(context.Context) error { return io.ErrClosedPipe }

func TestAs(t *testing.T) {
	for _, tc := range []struct {
		name string
		s    Store
		want error
	}{
		{"the store itself", bare{}, io.EOF},
		{"through two wrappers", wrapper{wrapper{bare{}}}, io.EOF},
		{"the outermost first", pinging{wrapper{bare{}}}, io.ErrClosedPipe},
		{"below a wrapper", wrapper{pinging{wrapper{bare{}}}}, io.ErrClosedPipe},
	} {
		p, ok := As[Pinger](tc.s)
		if !ok || p.Ping(t.Context()) != tc.want {
			t.Errorf("%s: found %v, %v", tc.name, p, ok)
		}
	}
	for _, s := range []Store{nil, wrapper{}, bare{}} {
		if _, ok := As[Scanner](s); ok {
			t.Errorf("%T is found to scan", s)
		}
	}
}

func TestCutSelects(t *testing.T) {
	now := fixedNow
	rec := func(change func(*Record)) *Record {
		r := &Record{Event: Event{Action: "a", Tenant: "t"}, Kind: KindEvent, RecordedAt: now}
		change(r)
		return r
	}
	old := rec(func(r *Record) { r.RecordedAt = now.Add(-time.Hour) })
	for _, tc := range []struct {
		name string
		cut  Cut
		r    *Record
		want bool
	}{
		{"nothing", Cut{}, old, false},
		{"expired", Cut{ExpiredAt: now}, rec(func(r *Record) { r.ExpiresAt = now }), true},
		{"not yet", Cut{ExpiredAt: now}, rec(func(r *Record) { r.ExpiresAt = now.Add(1) }), false},
		{"never", Cut{ExpiredAt: now}, old, false},
		{"over the ceiling", Cut{RecordedBefore: now}, old, true},
		{"at the ceiling", Cut{RecordedBefore: now}, rec(func(*Record) {}), false},
		{"over the ceiling with its own expiry", Cut{RecordedBefore: now}, rec(func(r *Record) { *r = *old; r.ExpiresAt = now.Add(time.Hour) }), true},
		{"held", Cut{RecordedBefore: now, Holds: []*Query{{Filters: []Filter{Is("tenant", "t")}}}}, old, false},
		{"another is held", Cut{RecordedBefore: now, Holds: []*Query{{Filters: []Filter{Is("tenant", "x")}}}}, old, true},
		{"a gap", Cut{RecordedBefore: now}, rec(func(r *Record) { *r = *old; r.Kind = KindGap }), false},
		{"an anchor", Cut{RecordedBefore: now}, rec(func(r *Record) { *r = *old; r.Kind = KindPrune }), false},
	} {
		if got := tc.cut.Selects(tc.r); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestErrors(t *testing.T) {
	cause := io.ErrUnexpectedEOF
	err := fmt.Errorf("batch: %w", Unavailable("no answer", cause))
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrBacklog) || !errors.Is(err, cause) || CodeOf(err) != CodeUnavailable {
		t.Errorf("%v is classed wrongly", err)
	}
	if err.Error() != "batch: no answer: unexpected EOF" || Invalid("actor.id", "is %d", 5).Error() != "actor.id: is 5" {
		t.Errorf("texts: %v", err)
	}
	if !errors.Is(Invalid("a", "b"), ErrInvalid) || errors.Is(Invalid("a", "b"), Invalid("a", "b")) {
		t.Error("only the plain errors stand for their code")
	}
	if CodeOf(nil) != "" || CodeOf(io.EOF) != CodeInternal || CodeOf(Unsupported("no %s", "text")) != CodeUnsupported {
		t.Error("CodeOf")
	}
	for err, want := range map[error]bool{
		ErrUnavailable: true, ErrBacklog: true, io.EOF: true, ErrInvalid: false, ErrConflict: false, ErrNotFound: false, ErrTooLarge: false, ErrClosed: false,
	} {
		if got := Retryable(fmt.Errorf("x: %w", err)); got != want {
			t.Errorf("Retryable(%v) = %v", err, got)
		}
	}
	if Retryable(nil) {
		t.Error("no error can be retried")
	}
	if !errors.Is(fmt.Errorf("x: %w", ErrClosed), ErrClosed) || !errors.Is(ErrClosed, ErrUnavailable) || errors.Is(err, ErrClosed) {
		t.Error("ErrClosed must mean itself only")
	}
}

func TestWords(t *testing.T) {
	for _, o := range Outcomes() {
		if o.Failed() != (o == Failure || o == Denied) {
			t.Errorf("%s: %v", o, o.Failed())
		}
	}
	if len(Operations()) != 6 || len(Kinds()) != 3 {
		t.Error("the lists of words are not complete")
	}
}
