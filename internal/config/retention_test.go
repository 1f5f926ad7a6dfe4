package config

import (
	"errors"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

// Which of the two settings governs, from the settings to the options; and what
// is printed means the same when it is read again.
func TestRetentionSettings(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		ttl, days string // "" is not set
		want      retention.Policy
	}{
		{"", "", retention.Policy{Ceiling: 90 * day}},
		{"", "0", retention.Policy{}},
		{"", "30", retention.Policy{Ceiling: 30 * day}},
		{"", "36500", retention.Policy{Ceiling: retention.MaxAge}},
		{"0", "", retention.Policy{}},
		{"0", "0", retention.Policy{}},
		{"0", "30", retention.Policy{Ceiling: 30 * day}},
		{"2592000", "", retention.Policy{TTL: 30 * day}},
		{"2592000", "0", retention.Policy{TTL: 30 * day}},
		{"2592000", "90", retention.Policy{TTL: 30 * day, Ceiling: 90 * day}},
		{"1.5", "1", retention.Policy{TTL: 1500 * time.Millisecond, Ceiling: day}},
	} {
		flags := map[string]string{}
		if c.ttl != "" {
			flags["audit.ttl_seconds"] = c.ttl
		}
		if c.days != "" {
			flags["audit.retention_days"] = c.days
		}
		loaded, err := Load(Input{Flags: flags})
		if err != nil {
			t.Errorf("ttl %q, days %q: %v", c.ttl, c.days, err)
			continue
		}
		again, err := Load(Input{File: write(t, loaded.TOML())})
		if err != nil {
			t.Fatal(err)
		}
		for name, cfg := range map[string]*Config{"loaded": loaded, "printed and loaded": again} {
			opt := cfg.TrailOptions()
			if got := (retention.Policy{TTL: opt.TTL, Ceiling: opt.Retention.Ceiling}); got != c.want {
				t.Errorf("ttl %q, days %q, %s: got %+v, want %+v", c.ttl, c.days, name, got, c.want)
			}
		}
	}
}

func TestRetentionSettingsAreChecked(t *testing.T) {
	for _, c := range []struct{ key, value string }{
		{"audit.retention_days", "-1"}, {"audit.retention_days", "36501"}, {"audit.retention_days", "9223372036854775807"},
		{"audit.retention_days", "ninety"}, {"audit.retention_days", "1.5"}, {"audit.retention_days", ""},
		{"audit.ttl_seconds", "-1"}, {"audit.ttl_seconds", "3153600001"}, {"audit.ttl_seconds", "nan"}, {"audit.ttl_seconds", ""},
		{"audit.cleanup_interval_seconds", "0"}, {"audit.cleanup_interval_seconds", "-1"},
		{"audit.cleanup_batch_size", "0"}, {"audit.cleanup_batch_size", "1000001"}, {"audit.cleanup_enabled", "perhaps"},
	} {
		_, err := Load(Input{Flags: map[string]string{c.key: c.value}})
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != c.key {
			t.Errorf("%s=%s: got %v", c.key, c.value, err)
		}
	}
}

func TestRetentionDefaults(t *testing.T) {
	c, err := Load(Input{})
	if err != nil {
		t.Fatal(err)
	}
	opt := c.TrailOptions().Retention
	if !c.Audit.CleanupEnabled || opt.Interval != time.Hour || opt.BatchSize != 10_000 {
		t.Errorf("%+v", opt)
	}
}
