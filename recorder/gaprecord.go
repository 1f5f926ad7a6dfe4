package recorder

import (
	"encoding/json"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
)

// gapPayload is the payload of a gap record: what was counted between from and to.
type gapPayload struct {
	Filtered map[string]int64 `json:"filtered,omitempty"` // by the policy's reason
	Dropped  int64            `json:"dropped,omitempty"`  // no room in the queue
	Failed   int64            `json:"failed,omitempty"`   // refused by the store for good, or given up
	From     string           `json:"from"`
	To       string           `json:"to"`
	// Overflow marks the counts of all scopes beyond the limit, kept in the
	// chain of the empty scope.
	Overflow bool `json:"overflow,omitempty"`
}

// gapRecord makes the record that accounts for a cell's events.
func gapRecord(c *gapCell, t *gapTally, level string) *audit.Record {
	p := gapPayload{
		Dropped: t.by[gapDropped], Failed: t.by[gapFailed],
		From: audit.FormatTime(t.from), To: audit.FormatTime(t.to), Overflow: c.overflow,
	}
	for k := range policy.NumReasons {
		if n := t.by[k]; n > 0 {
			if p.Filtered == nil {
				p.Filtered = make(map[string]int64)
			}
			p.Filtered[policy.Reason(k).String()] = n
		}
	}
	payload, _ := json.Marshal(p) // a plain struct cannot fail
	return &audit.Record{
		Kind: audit.KindGap,
		Event: audit.Event{
			ID: audit.NewID(), Namespace: c.scope.Namespace, Tenant: c.scope.Tenant, OccurredAt: t.to,
			Action: chain.ActionGap, Operation: audit.Other, Outcome: audit.Success,
			Actor: audit.Actor{Type: "service", ID: "annals"}, Payload: payload,
		},
		RecordedAt: t.to, Level: level,
	}
}

// gapSweeper turns gap counts into records. It belongs to the batcher.
type gapSweeper struct {
	counts   *gapCounts
	level    string
	interval time.Duration
	now      func() time.Time
	retired  time.Time // when the cells were retired last
}

// withBatch appends to dst the gaps of the batch's scopes, each at most once an
// interval, so that a scope with more reads than writes does not store twice
// as many records as it has writes.
func (s *gapSweeper) withBatch(dst, batch []item, seq uint64) []item {
	at := time.Now()
	if s.counts.full.Load() && at.Sub(s.retired) >= s.interval {
		s.retired = at
		for _, c := range s.counts.all(true) {
			dst = s.sweep(dst, c, true, seq)
		}
		return dst
	}
	var last audit.Scope
	for i := range batch {
		scope := batch[i].rec.Scope()
		if i > 0 && scope == last {
			continue
		}
		last = scope
		if c := s.counts.of(scope); c != nil && at.Sub(c.last) >= s.interval {
			dst = s.sweep(dst, c, false, seq)
		}
	}
	return dst
}

// ofLosses appends the gaps of all scopes that lost events to a full queue or
// to a refusing store.
func (s *gapSweeper) ofLosses(dst []item, seq uint64) []item {
	for _, c := range s.counts.all(false) {
		if c.holds(gapDropped) {
			dst = s.sweep(dst, c, false, seq)
		}
	}
	return dst
}

// ofAll appends all gaps.
func (s *gapSweeper) ofAll(dst []item, seq uint64) []item {
	for _, c := range s.counts.all(false) {
		dst = s.sweep(dst, c, false, seq)
	}
	return dst
}

// any reports whether there are gaps to account for.
func (s *gapSweeper) any() bool {
	for _, c := range s.counts.all(false) {
		if c.holds(0) {
			return true
		}
	}
	return false
}

func (s *gapSweeper) sweep(dst []item, c *gapCell, last bool, seq uint64) []item {
	if !last && !c.holds(0) {
		return dst
	}
	t := c.sweep(s.now(), last)
	if t.total == 0 {
		return dst
	}
	return append(dst, item{rec: gapRecord(c, &t, s.level), seq: seq, own: true, gap: true})
}
