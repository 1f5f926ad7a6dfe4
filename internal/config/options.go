package config

import (
	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/retention"
)

// defaultDurability is what an acknowledgement of the server means where
// nothing is said: what it acknowledged survives kill -9.
func (c *Config) defaultDurability() recorder.Durability {
	if !c.Audit.Async || c.Audit.Backend == "memory" {
		return recorder.Sync
	}
	return recorder.Spool
}

// ServerOptions gives the options of the trail of a server.
func (c *Config) ServerOptions() annals.Options {
	opt := c.TrailOptions()
	opt.Durability, opt.OnFull = recorder.Durability(c.Audit.Durability), recorder.OnFull(c.Audit.OnFull)
	if opt.Durability == "" {
		opt.Durability = c.defaultDurability()
	}
	if !c.Audit.Async {
		opt.Durability = recorder.Sync
	}
	// An engine that forgets must not be given what waits for one that does not.
	if c.Audit.Backend != "memory" || opt.Durability == recorder.Spool || opt.OnFull == recorder.Spill {
		opt.SpoolDir, opt.SpoolBytes, opt.SpoolStore = c.Audit.SpoolDir, c.Audit.SpoolMaxBytes, c.storeName()
	}
	return opt
}

// TrailOptions gives the options of the trail of a command, which opens no
// spool: that is the server's, and a command waits for the store.
func (c *Config) TrailOptions() annals.Options {
	a := &c.Audit
	opt := annals.Options{
		Policy: policy.Config{
			Disabled: !a.Enabled, Level: policy.Level(a.Level), AlwaysLogFailures: a.AlwaysLogFailures,
			ExcludeActions: a.ExcludeActions, ExcludeResources: a.ExcludeResources,
			SampleRate: &a.SampleRate, SampleReads: &a.SampleReads,
		},
		Redact:         redact.Config{Enabled: a.Redact.Enabled, Fields: a.Redact.Fields, Placeholder: a.Redact.Placeholder},
		Durability:     recorder.Durability(a.Durability),
		OnFull:         recorder.OnFull(a.OnFull),
		Unbuffered:     !a.BufferEnabled,
		FlushInterval:  a.BufferFlushInterval.Duration(),
		FlushSize:      a.BufferMaxSize,
		Capacity:       a.BufferCapacity,
		CapacityBytes:  a.BufferCapacityBytes,
		Timeout:        a.TimeoutSeconds.Duration(),
		WriteTimeout:   a.WriteTimeoutSeconds.Duration(),
		TTL:            a.TTLSeconds.Duration(),
		Retention:      retention.Options{Ceiling: days(a.RetentionDays), Interval: a.CleanupIntervalSeconds.Duration(), BatchSize: a.CleanupBatchSize},
		DropPayload:    !a.StorePayload,
		Unchained:      !a.Chain,
		DiscoveryKinds: analytics.DiscoveryKinds{Discovery: a.DiscoveryKinds, Query: a.QueryKinds},
	}
	if !a.Async || opt.Durability != recorder.Memory {
		opt.Durability = recorder.Sync
	}
	if opt.OnFull == recorder.Spill || opt.OnFull == recorder.Drop && opt.Durability == recorder.Sync {
		opt.OnFull = recorder.Block
	}
	return opt
}
