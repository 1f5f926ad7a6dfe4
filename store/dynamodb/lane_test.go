package dynamodb

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
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
			recs := c.recs
			for _, want := range c.want {
				got := intake.Fit(slices.Values(recs), newRoom())
				if got != want {
					t.Errorf("takes %d, want %d", got, want)
				}
				recs = recs[got:]
			}
			if len(recs) > 0 {
				t.Errorf("%d are left", len(recs))
			}
		})
	}
}
