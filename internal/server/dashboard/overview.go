package dashboard

import (
	"context"
	"net/http"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// recentFailures is how many of the newest failures the overview lists.
const recentFailures = 10

// overviewPage is what the overview shows.
type overviewPage struct {
	*asking
	Tiles    answer[[]tile]
	Charts   []*chart
	Series   string // why there are no charts
	Tables   []breakdown
	Failures recordTable
	FailLink string
	Empty    *emptiness
}

// tile is one number.
type tile struct {
	Name, Value, Note string
	Class             string
	Link              string
}

var overviewDimensions = []struct{ name, title string }{
	{"action", "By action"}, {"actor", "By actor"}, {"resource_type", "By resource type"}, {"outcome", "By outcome"},
}

func (d *dash) overview(w http.ResponseWriter, r *http.Request) error {
	a, err := d.asking(r, "/")
	if err != nil {
		return err
	}
	page := overviewPage{asking: a}
	status := http.StatusOK
	if a.Fault != nil {
		status = http.StatusBadRequest
	} else {
		d.fillOverview(r, &page)
	}
	return d.show(w, r, status, "overview", view{Title: "Overview", Section: "/", Body: page})
}

func (d *dash) fillOverview(r *http.Request, page *overviewPage) {
	a := page.asking
	b := d.board(r)
	defer b.close()
	q := a.query
	whole := ask(b, "overview", func(ctx context.Context) (*analytics.Overview, error) { return d.trail.Overview(ctx, q) })
	u, per := unit(a.From, a.To)
	series := ask(b, "timeseries", func(ctx context.Context) ([]analytics.Bucket, error) { return d.trail.Timeseries(ctx, q, u) })
	perf := ask(b, "performance", func(ctx context.Context) (*analytics.Performance, error) { return d.trail.Performance(ctx, q) })
	failures := fetch(b, "failures", func(ctx context.Context) ([]*audit.Record, error) {
		return d.newest(ctx, q, recentFailures, audit.Is("outcome", string(audit.Failure), string(audit.Denied)))
	})
	newest := fetch(b, "newest", func(ctx context.Context) ([]*audit.Record, error) { return d.newestCall(ctx, q) })
	groups := make([]asked[[]analytics.Group], len(overviewDimensions))
	for i, dim := range overviewDimensions {
		groups[i] = ask(b, "breakdown by "+dim.name, func(ctx context.Context) ([]analytics.Group, error) {
			return d.trail.Breakdown(ctx, q, dim.name, 8)
		})
	}

	o := whole.wait()
	if o.Failed == "" && o.Value.Total == 0 {
		page.Empty = d.emptiness(r, a, newest.wait())
	}
	page.Tiles = overviewTiles(a, o, perf.wait())
	if s := series.wait(); s.Failed != "" {
		page.Series = s.Failed
	} else {
		page.Charts = []*chart{callsChart(s.Value, u, per), latencyChart(s.Value, u, per)}
	}
	for i, dim := range overviewDimensions {
		page.Tables = append(page.Tables, breakdownOf(a, dim.name, dim.title, groups[i].wait()))
	}
	f := failures.wait()
	page.Failures = recordTable{ID: "failures", Caption: "Recent failures and denials", Rows: rowsOf(f.Value), Failed: f.Failed, Empty: "Nothing failed and nothing was denied in this window."}
	fv := a.bounds()
	fv["outcome"] = []string{string(audit.Failure), string(audit.Denied)}
	page.FailLink = link(pathExplore, fv)
}

func overviewTiles(a *asking, o answer[*analytics.Overview], p answer[*analytics.Performance]) answer[[]tile] {
	if o.Failed != "" {
		return answer[[]tile]{Failed: o.Failed}
	}
	v := o.Value
	tiles := []tile{
		{Name: "Calls", Value: number(v.Total), Link: a.explore()},
		{Name: "Success rate", Value: percent(v.SuccessRate)},
		{Name: "Errors", Value: number(v.ErrorCount), Link: a.explore("outcome.not", string(audit.Success))},
		{Name: "Average duration", Value: millis(v.AvgDurationMS)},
		{Name: "Actors", Value: number(v.UniqueActors)},
		{Name: "Tools", Value: number(v.UniqueTools)},
	}
	if v.Total == 0 {
		tiles[1].Value = "–"
	}
	if v.ErrorCount > 0 {
		tiles[2].Class = "bad"
	}
	switch {
	case p.Failed != "":
		tiles[3].Note = "percentiles: " + p.Failed
	case p.Value.MaxMS > 0:
		tiles[3].Note = "p50 " + millis(p.Value.P50MS) + " · p95 " + millis(p.Value.P95MS) + " · p99 " + millis(p.Value.P99MS)
	}
	return answer[[]tile]{Value: tiles}
}

// newest gives the newest records of a question under more conditions.
func (d *dash) newest(ctx context.Context, q *audit.Query, limit int, more ...audit.Filter) ([]*audit.Record, error) {
	n := *q
	n.Filters = append(n.Filters[:len(n.Filters):len(n.Filters)], more...)
	n.Order, n.Limit = audit.NewestFirst, limit
	if _, err := n.Validate(); audit.CodeOf(err) == audit.CodeInvalid {
		return nil, nil // the conditions contradict each other: nothing meets them all
	}
	page, err := d.trail.Query(ctx, &n, "")
	if err != nil {
		return nil, err
	}
	return page.Records, nil
}

// newestCall gives the newest call that meets the filters at any time; where
// there is none, the newest record of the whole store.
func (d *dash) newestCall(ctx context.Context, q *audit.Query) ([]*audit.Record, error) {
	any := *q
	any.From, any.To = time.Time{}, time.Time{}
	recs, err := d.newest(ctx, &any, 1, audit.Is("kind", string(audit.KindEvent)), audit.Not("outcome", string(audit.Pending)))
	if err != nil || len(recs) > 0 {
		return recs, err
	}
	return d.newest(ctx, &audit.Query{}, 1)
}

// emptiness says why a page of statistics is empty, and what to do.
type emptiness struct {
	Base   string        // where the server listens, for the example
	Store  bool          // there is no record at all
	Newest *audit.Record // what there is instead
	Span   string        // the page over the same width up to it; "" where that is no call
}

func (d *dash) emptiness(r *http.Request, a *asking, newest answer[[]*audit.Record]) *emptiness {
	if newest.Failed != "" {
		return nil
	}
	if len(newest.Value) == 0 {
		return &emptiness{Base: base(r), Store: true}
	}
	e := &emptiness{Newest: newest.Value[0]}
	if e.Newest.Kind != audit.KindEvent || e.Newest.Outcome == audit.Pending || !matches(a.query, e.Newest) {
		return e
	}
	to := e.Newest.OccurredAt.Truncate(time.Hour).Add(time.Hour)
	if to.Year() > audit.MaxYear {
		to = e.Newest.OccurredAt
	}
	v := with(a.filters, audit.ParamFrom, audit.FormatTime(to.Add(-a.To.Sub(a.From))))
	v[audit.ParamTo] = []string{audit.FormatTime(to)}
	e.Span = link(a.Path, v)
	return e
}

// matches reports whether the record meets the filters, whatever its time.
func matches(q *audit.Query, r *audit.Record) bool {
	any := *q
	any.From, any.To = time.Time{}, time.Time{}
	return any.Match(r)
}
