package dynamodb

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// A transaction takes what fits: actions, bytes, and each id once.
func TestTake(t *testing.T) {
	big := func(_ int, r *audit.Record) { r.Payload = json.RawMessage(`"` + strings.Repeat("x", 380<<10) + `"`) }
	prune := func(_ int, r *audit.Record) { r.Kind = audit.KindPrune }
	twice := events(scopeA, start, 5, nil)
	for _, c := range []struct {
		name string
		recs []*audit.Record
		want []int
	}{
		{"one", events(scopeA, start, 1, nil), []int{1}},
		{"as many as have room beside the head", events(scopeA, start, 120, nil), []int{49, 49, 22}},
		{"large ones", events(scopeA, start, 12, big), []int{10, 2}},
		{"anchors, with their notes", events(scopeA, start, 40, prune), []int{33, 7}},
		{"an id twice", append(twice, twice[3], twice[4]), []int{5, 2}},
		{"an id three times", append(twice[:2:2], twice[1], twice[1]), []int{2, 1, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lane{running: true}
			for _, r := range c.recs {
				l.queue = append(l.queue, &ticket{entry: &entry{rec: r}, size: bytesOf(r) + overhead})
			}
			for _, want := range c.want {
				if got := len(l.take()); got != want {
					t.Errorf("took %d, want %d", got, want)
				}
			}
			if l.take() != nil || l.running {
				t.Error("the lane goes on with nothing to do")
			}
		})
	}
}

// What a call still has in the queue goes back with the part of it that failed, and
// nothing of others.
func TestRefuse(t *testing.T) {
	recs := events(scopeA, start, 4, nil)
	mine, other := &delivery{left: 3, done: make(chan struct{})}, &delivery{left: 1, done: make(chan struct{})}
	ticketOf := func(i int, d *delivery) *ticket { return &ticket{entry: &entry{rec: recs[i]}, owner: d} }
	l := &lane{queue: []*ticket{ticketOf(1, mine), ticketOf(2, other), ticketOf(3, mine)}}
	rest := []*ticket{l.queue[0], l.queue[2]}
	failed := ticketOf(0, mine)
	failed.result.Err = audit.ErrConflict // for good: the others are none the worse for it
	if l.refuse([]*ticket{failed}); len(l.queue) != 3 {
		t.Fatalf("%d left", len(l.queue))
	}
	failed.result.Err = audit.Unavailable("no answer", nil)
	l.refuse([]*ticket{failed})
	if len(l.queue) != 1 || l.queue[0].owner != other || mine.left != 1 || other.left != 1 {
		t.Errorf("%d left, deliveries wait for %d and %d", len(l.queue), mine.left, other.left)
	}
	for _, r := range rest {
		if !audit.Retryable(r.result.Err) {
			t.Errorf("got %v", r.result.Err)
		}
	}
}
