package dynamodb

import (
	"time"

	"github.com/annals-dev/annals/audit"
)

// due is when DynamoDB may delete a record, in seconds since 1970; 0 is never.
// held is set where a legal hold forbids it for now.
type due struct {
	at   int64
	held bool
}

// dueOf gives the time at which a record is to be deleted: its own expires_at or
// the end of the ceiling, whichever is first. Nothing but events is ever deleted.
func (s *Store) dueOf(r *audit.Record, holds []*audit.Query) due {
	if s.opt.Sweep || r.Kind != audit.KindEvent {
		return due{}
	}
	at := r.ExpiresAt
	if s.opt.Ceiling > 0 {
		if end := r.RecordedAt.Add(s.opt.Ceiling); at.IsZero() || end.Before(at) {
			at = end
		}
	}
	if at.IsZero() {
		return due{}
	}
	d := due{at: ttlSeconds(at, s.opt.Now())}
	for _, h := range holds {
		if h.Match(r) {
			d.held = true
			break
		}
	}
	return d
}

// ttlSeconds gives whole seconds, never early. TTL leaves alone what is older
// than [ttlReach], so such a time is brought forward.
func ttlSeconds(at, now time.Time) int64 {
	if at.Before(now.Add(24*time.Hour - ttlReach)) {
		at = now
	}
	seconds := at.Unix()
	if at.Nanosecond() > 0 {
		seconds++
	}
	return seconds
}

// stamped makes the item of a record with the time at which it may go.
func (s *Store) stamped(r *audit.Record, holds []*audit.Query) (item, due) {
	m := encode(r)
	d := s.dueOf(r, holds)
	switch {
	case d.at == 0:
	case d.held:
		m[attrHeld] = number(d.at)
	default:
		m[attrTTL] = number(d.at)
	}
	return m, d
}
