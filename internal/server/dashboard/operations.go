package dashboard

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/retention"
)

// operationsPage shows the engine, the write path and the policy.
type operationsPage struct {
	Ping      answer[time.Duration]
	Caps      audit.Capabilities
	Chained   bool
	State     answer[map[string]string]
	States    []stateRow
	Stats     recorder.Stats
	Retention answer[*retention.Status]
	Filtered  []countRow
	Policy    policy.Config
	Rate      string
	Reads     string
	Now       time.Time
}

type stateRow struct{ Name, Value string }

type countRow struct {
	Name  string
	Count int64
}

func (d *dash) operations(w http.ResponseWriter, r *http.Request) error {
	v, err := params(r)
	if err != nil {
		return err
	}
	for name := range v {
		return audit.Invalid(clip(40, name), "is not a parameter of this page")
	}
	b := d.board(r)
	defer b.close()
	ping := fetch(b, "ping", func(ctx context.Context) (time.Duration, error) {
		start := time.Now()
		err := d.trail.Ping(ctx)
		return time.Since(start), err
	})
	state := ask(b, "state", d.trail.State)
	kept := ask(b, "retention", d.trail.Retention)
	page := operationsPage{
		Caps: d.trail.Capabilities(), Chained: d.trail.Chained(), Stats: d.trail.Stats(), Policy: d.trail.Policy(),
		Ping: ping.wait(), State: state.wait(), Retention: kept.wait(), Now: d.opt.Now(),
	}
	for _, name := range slices.Sorted(maps.Keys(page.State.Value)) {
		page.States = append(page.States, stateRow{label(name), stateValue(name, page.State.Value[name])})
	}
	for i, n := range page.Stats.FilteredBy {
		if reason := policy.Reason(i); reason != policy.Recorded {
			page.Filtered = append(page.Filtered, countRow{filteredWords[reason], n})
		}
	}
	page.Rate, page.Reads = rate(page.Policy.SampleRate), rate(page.Policy.SampleReads)
	return d.show(w, r, http.StatusOK, "operations", view{Title: "Operations", Section: "/operations", Body: page})
}

// filteredWords say which rule of the policy filtered.
var filteredWords = map[policy.Reason]string{
	policy.ByDisabled: "recording is off", policy.ByLevel: "level", policy.ByAction: "excluded action",
	policy.ByResource: "excluded resource type", policy.BySampling: "sampling",
}

// stateValue shows a number of an engine's state for people.
func stateValue(name, value string) string {
	n, err := strconv.ParseInt(value, 10, 64)
	switch {
	case err != nil:
		return visible(value)
	case strings.HasSuffix(name, "bytes"):
		if n == 0 {
			return "0 B"
		}
		return size(float64(n))
	}
	return number(n)
}

func rate(share *float64) string {
	if share == nil {
		return percent(1)
	}
	return percent(*share)
}
