package config

import (
	"errors"
	"net"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
)

// Backends are the engines that this program can open.
func Backends() []string { return []string{"sqlite", "memory"} }

// Validate checks every setting and that they do not contradict each other.
func (c *Config) Validate() error {
	for _, one := range []struct {
		key   string
		value string
		want  []string
	}{
		{"audit.backend", c.Audit.Backend, Backends()},
		{"audit.durability", c.Audit.Durability, []string{"", string(recorder.Sync), string(recorder.Memory)}},
		{"audit.on_full", c.Audit.OnFull, []string{string(recorder.Block), string(recorder.Fail), string(recorder.Drop)}},
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
	} {
		if !slices.Contains(one.want, one.value) {
			return c.wrong(one.key, "is "+quote(one.value)+", want "+strings.Join(nonEmpty(one.want), ", "))
		}
	}
	for _, n := range []struct {
		key   string
		value int64
		min   int64
	}{
		{"audit.buffer_flush_interval", int64(c.Audit.BufferFlushInterval), 1},
		{"audit.buffer_max_size", int64(c.Audit.BufferMaxSize), 1},
		{"audit.buffer_capacity", int64(c.Audit.BufferCapacity), 1},
		{"audit.buffer_capacity_bytes", c.Audit.BufferCapacityBytes, audit.MaxRecordBytes},
		{"audit.timeout_seconds", int64(c.Audit.TimeoutSeconds), 1},
		{"audit.ttl_seconds", int64(c.Audit.TTLSeconds), 0},
		{"server.shutdown_timeout_seconds", int64(c.Server.ShutdownTimeoutSeconds), 1},
	} {
		if n.value < n.min {
			if n.key == "audit.buffer_capacity_bytes" {
				return c.wrong(n.key, "must hold at least one record of 1048576 bytes")
			}
			if n.min == 0 {
				return c.wrong(n.key, "is negative")
			}
			return c.wrong(n.key, "must be greater than 0")
		}
	}
	if c.Audit.BufferMaxSize > c.Audit.BufferCapacity {
		return c.wrong("audit.buffer_max_size", "is greater than audit.buffer_capacity")
	}
	if !c.Audit.Async && c.Audit.Durability == string(recorder.Memory) {
		return c.wrong("audit.async", "false contradicts audit.durability "+quote(c.Audit.Durability))
	}
	if c.Audit.URL == "" && c.Audit.Backend != "memory" {
		return c.wrong("audit.url", "is empty")
	}
	if _, _, err := net.SplitHostPort(c.Server.Addr); err != nil {
		return c.wrong("server.addr", "is "+quote(c.Server.Addr)+", want HOST:PORT")
	}
	return c.validateParts()
}

// validateParts lets the packages that own a rule judge it, and gives their
// verdict the name and the place of the setting.
func (c *Config) validateParts() error {
	opt := c.TrailOptions()
	if _, err := policy.New(opt.Policy); err != nil {
		return c.blameField(err, "audit.")
	}
	if _, err := redact.New(opt.Redact); err != nil {
		return c.blameField(err, "audit.redact.")
	}
	return nil
}

// blameField is Blame for a part whose fields are named like the settings.
func (c *Config) blameField(err error, prefix string) error {
	var e *audit.Error
	if !errors.As(err, &e) {
		return err
	}
	name, _, _ := strings.Cut(e.Field, "[")
	return c.Blame(err, prefix+name)
}

func (c *Config) wrong(key, msg string) error { return invalid(key, c.sources[key], msg) }

func quote(s string) string { return `"` + s + `"` }

func nonEmpty(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}
