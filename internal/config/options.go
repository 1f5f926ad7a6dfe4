package config

import (
	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
)

// TrailOptions gives the options of the trail.
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
		TTL:            a.TTLSeconds.Duration(),
		DropPayload:    !a.StorePayload,
		Unchained:      !a.Chain,
		DiscoveryKinds: analytics.DiscoveryKinds{Discovery: a.DiscoveryKinds, Query: a.QueryKinds},
	}
	if !a.Async {
		opt.Durability = recorder.Sync
	}
	return opt
}
