package dashboard

import (
	"context"
	"maps"
	"net/http"
	"slices"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// agentsPage shows what agents did with their tools.
type agentsPage struct {
	*asking
	Empty      *emptiness
	NoTools    bool // there are calls, but none names a tool
	Discovery  answer[*analytics.Discovery]
	TopTools   breakdown
	Enrichment answer[*analytics.Enrichment]
	Modes      []modeRow
	Tables     []breakdown
}

type modeRow struct {
	Mode, Link, Share string
	Count             int64
}

var agentDimensions = []struct{ name, title string }{
	{"tool_name", "By tool"}, {"persona", "By persona"}, {"toolkit_kind", "By toolkit kind"}, {"connection", "By connection"},
}

func (d *dash) agents(w http.ResponseWriter, r *http.Request) error {
	a, err := d.asking(r, "/agents")
	if err != nil {
		return err
	}
	page := agentsPage{asking: a}
	status := http.StatusOK
	if a.Fault != nil {
		status = http.StatusBadRequest
	} else {
		d.fillAgents(r, &page)
	}
	return d.show(w, r, status, "agents", view{Title: "Agents", Section: "/agents", Body: page})
}

func (d *dash) fillAgents(r *http.Request, page *agentsPage) {
	a := page.asking
	b := d.board(r)
	defer b.close()
	q := a.query
	discovery := ask(b, "discovery", func(ctx context.Context) (*analytics.Discovery, error) { return d.trail.Discovery(ctx, q) })
	enrichment := ask(b, "enrichment", func(ctx context.Context) (*analytics.Enrichment, error) { return d.trail.Enrichment(ctx, q) })
	newest := fetch(b, "newest", func(ctx context.Context) ([]*audit.Record, error) { return d.newestCall(ctx, q) })
	groups := make([]asked[[]analytics.Group], len(agentDimensions))
	for i, dim := range agentDimensions {
		groups[i] = ask(b, "breakdown by "+dim.name, func(ctx context.Context) ([]analytics.Group, error) {
			return d.trail.Breakdown(ctx, q, dim.name, 10)
		})
	}
	page.Discovery, page.Enrichment = discovery.wait(), enrichment.wait()
	if e := page.Enrichment; e.Failed == "" {
		if e.Value.Calls == 0 {
			page.Empty = d.emptiness(r, a, newest.wait())
		}
		page.Modes = modesOf(a, e.Value)
	}
	if page.Discovery.Failed == "" {
		page.TopTools = breakdownOf(a, "tool_name", "Discovery tools", answer[[]analytics.Group]{Value: page.Discovery.Value.TopTools})
		page.TopTools.Column, page.TopTools.Empty = "Discovery tool", "No discovery tool was called in this window."
	}
	for i, dim := range agentDimensions {
		t := breakdownOf(a, dim.name, dim.title, groups[i].wait())
		page.NoTools = page.NoTools || i == 0 && t.Failed == "" && len(t.Rows) == 0 && page.Empty == nil
		page.Tables = append(page.Tables, t)
	}
}

func modesOf(a *asking, e *analytics.Enrichment) (rows []modeRow) {
	most := int64(1)
	for _, n := range e.ByMode {
		most = max(most, n)
	}
	names := slices.Sorted(maps.Keys(e.ByMode))
	slices.SortStableFunc(names, func(x, y string) int { return int(e.ByMode[y] - e.ByMode[x]) })
	for _, name := range names[:min(len(names), 12)] {
		n := e.ByMode[name]
		row := modeRow{Mode: clip(60, name), Count: n, Share: fixed(float64(n) / float64(most) * 100), Link: a.explore("enrichment_mode", name)}
		if name == "none" {
			// Calls without a mode count as none as well.
			v := with(a.bounds(), "enrichment_mode", "none", "")
			v["kind"], v[audit.ParamPhase] = []string{string(audit.KindEvent)}, []string{"outcome"}
			row.Link = link(pathExplore, v)
		}
		rows = append(rows, row)
	}
	return rows
}
