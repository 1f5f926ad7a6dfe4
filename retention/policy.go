// Package retention deletes records when their time has come: those that have
// expired, and those that are older than the ceiling of the store. It does so
// in batches, one process at a time, and leaves alone what a legal hold
// protects. Chains say afterwards what was removed and why (see chain.Anchor).
package retention

import (
	"fmt"
	"time"

	"github.com/annals-dev/annals/audit"
)

const day = 24 * time.Hour

// Limits of a policy.
const (
	DefaultCeiling = 90 * day    // where neither a time to live nor a ceiling is set
	MaxAge         = 36500 * day // 100 years; more is taken for a mistake
)

// Policy says when records may go.
type Policy struct {
	// TTL is stamped on each record at the door as its time of expiry; 0 stamps
	// nothing. An event may carry its own time, which then counts.
	TTL time.Duration
	// Ceiling is how old a record may become, whatever its time of expiry; 0
	// is no ceiling.
	Ceiling time.Duration
}

// Settle gives the policy that follows from the two settings, each nil where it
// is not set: one that is set alone governs alone, and where neither is nothing
// goes before DefaultCeiling but what carries its own time of expiry. A setting
// of zero is for ever. Negative settings and those above MaxAge are refused.
func Settle(ttl, ceiling *time.Duration) (Policy, error) {
	var p Policy
	if ttl != nil {
		p.TTL = *ttl
	}
	switch {
	case ceiling != nil:
		p.Ceiling = *ceiling
	case ttl == nil:
		p.Ceiling = DefaultCeiling
	}
	if err := checkAge("ttl_seconds", p.TTL); err != nil {
		return Policy{}, err
	}
	if err := checkAge("retention_days", p.Ceiling); err != nil {
		return Policy{}, err
	}
	return p, nil
}

func checkAge(field string, d time.Duration) error {
	switch {
	case d < 0:
		return audit.Invalid(field, "is negative")
	case d > MaxAge:
		return audit.Invalid(field, "is more than 100 years: 0 is for ever")
	}
	return nil
}

// reasonExpired is the reason in the anchors of records that have expired.
const reasonExpired = "expired"

// reasonCeiling is the reason in the anchors of records above the ceiling. It
// holds no time, so that runs that were removed on different days have one reason.
func reasonCeiling(ceiling time.Duration) string {
	if n := ceiling / day; n*day == ceiling {
		if n == 1 {
			return "older than 1 day"
		}
		return fmt.Sprintf("older than %d days", n)
	}
	return "older than " + ceiling.String()
}
