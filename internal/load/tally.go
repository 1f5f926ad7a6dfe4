package load

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
)

// tally is what the users count together.
type tally struct {
	requests, acknowledged, faults, connections atomic.Int64
	sent, open, gaveUp                          atomic.Int64
	posts, questions                            histogram
	ids                                         ledger

	mu       sync.Mutex
	statuses map[audit.Status]int64
	rejected map[string]int64
	errors   map[string]int64
	examples map[string]string
}

func newTally() *tally {
	return &tally{statuses: map[audit.Status]int64{}, rejected: map[string]int64{}, errors: map[string]int64{}, examples: map[string]string{}}
}

// fault counts an attempt that failed, and keeps the first text of its kind.
func (t *tally) fault(f *fault) {
	t.faults.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errors[f.kind]++
	if t.examples[f.kind] == "" {
		t.examples[f.kind] = f.text
	}
}

// answer counts what became of the events of one request.
func (t *tally) answer(statuses map[audit.Status]int64, rejected map[string]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for status, n := range statuses {
		t.statuses[status] += n
	}
	for reason, n := range rejected {
		t.rejected[reason] += n
		t.faults.Add(n)
	}
}

func (t *tally) into(r *Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Requests, r.Acknowledged, r.Connections = t.requests.Load(), t.acknowledged.Load(), t.connections.Load()
	r.Sent, r.Open, r.GaveUp = t.sent.Load(), t.open.Load(), t.gaveUp.Load()
	r.Statuses, r.Rejected, r.Errors, r.Examples = maps.Clone(t.statuses), maps.Clone(t.rejected), maps.Clone(t.errors), maps.Clone(t.examples)
	r.Posts, r.Questions = t.posts.latency(), t.questions.latency()
}
