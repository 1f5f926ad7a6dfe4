package retention

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Every combination of the two settings: not set, zero, set.
func TestSettle(t *testing.T) {
	d := func(d time.Duration) *time.Duration { return &d }
	name := func(d *time.Duration) string {
		if d == nil {
			return "unset"
		}
		return d.String()
	}
	for _, c := range []struct {
		ttl, ceiling *time.Duration
		want         Policy
		field        string // of the error
	}{
		{nil, nil, Policy{0, 90 * day}, ""},
		{nil, d(0), Policy{0, 0}, ""},
		{nil, d(30 * day), Policy{0, 30 * day}, ""},
		{d(0), nil, Policy{0, 0}, ""}, // set alone, and zero is for ever
		{d(0), d(0), Policy{0, 0}, ""},
		{d(0), d(30 * day), Policy{0, 30 * day}, ""},
		{d(7 * day), nil, Policy{7 * day, 0}, ""},
		{d(7 * day), d(0), Policy{7 * day, 0}, ""},
		{d(7 * day), d(30 * day), Policy{7 * day, 30 * day}, ""},
		{d(60 * day), d(30 * day), Policy{60 * day, 30 * day}, ""}, // the ceiling is for the whole store
		{d(365 * day), nil, Policy{365 * day, 0}, ""},              // longer than 90 days, which is no ceiling then
		{d(MaxAge), d(MaxAge), Policy{MaxAge, MaxAge}, ""},

		{d(-1), nil, Policy{}, "ttl_seconds"},
		{d(-time.Second), d(30 * day), Policy{}, "ttl_seconds"},
		{nil, d(-day), Policy{}, "retention_days"},
		{d(0), d(-1), Policy{}, "retention_days"},
		{d(MaxAge + 1), nil, Policy{}, "ttl_seconds"},
		{nil, d(MaxAge + day), Policy{}, "retention_days"},
	} {
		t.Run(fmt.Sprintf("ttl %s, ceiling %s", name(c.ttl), name(c.ceiling)), func(t *testing.T) {
			got, err := Settle(c.ttl, c.ceiling)
			var e *audit.Error
			if c.field != "" {
				if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != c.field {
					t.Errorf("got %v, want an error about %s", err, c.field)
				}
				return
			}
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for field, opt := range map[string]Options{
		"retention_days":           {Ceiling: -1},
		"cleanup_interval_seconds": {Interval: -1},
		"lease_ttl":                {LeaseTTL: MaxAge + 1},
		"cleanup_batch_size":       {BatchSize: -1},
	} {
		_, err := New(nil, nil, opt)
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != field {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if _, err := New(nil, nil, Options{BatchSize: MaxBatchSize + 1}); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("a large batch: %v", err)
	}
	l, err := New(nil, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	opt := l.Options()
	if opt.Interval != time.Hour || opt.BatchSize != 10_000 || opt.Ceiling != 0 || opt.Owner == "" {
		t.Errorf("defaults: %+v", opt)
	}
}

func TestReasons(t *testing.T) {
	for d, want := range map[time.Duration]string{
		90 * day: "older than 90 days", day: "older than 1 day", 36 * time.Hour: "older than 36h0m0s",
	} {
		if got := reasonCeiling(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
