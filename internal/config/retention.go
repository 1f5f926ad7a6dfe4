package config

import (
	"time"

	"github.com/annals-dev/annals/retention"
)

// retention gives what follows from the two settings that say how long records
// are kept: a default counts for less than what was set.
func (c *Config) retention() (retention.Policy, error) {
	var ttl, ceiling *time.Duration
	if c.IsSet("audit.ttl_seconds") {
		d := c.Audit.TTLSeconds.Duration()
		ttl = &d
	}
	if c.IsSet("audit.retention_days") {
		d := days(c.Audit.RetentionDays)
		ceiling = &d
	}
	return retention.Settle(ttl, ceiling)
}

func days(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
