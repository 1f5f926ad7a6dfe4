package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
)

// explorePage is what the explorer shows.
type explorePage struct {
	Form    exploreForm
	Problem *problem // why there are no results
	Results recordTable
	Total   *answer[int64] // nil where it was not counted
	Next    string         // the page after this one; "" at the end
	First   string         // the first page; "" when this is it
	Stream  string         // the live tail of this question; "" where it has none
	NoLive  string         // why it has none
	NDJSON  string
	CSV     string
	API     string
	Empty   bool // the store has no records at all
	Base    string
}

// problem is what is wrong with a question and where on the page.
type problem struct{ At, Label, Message string }

func (d *dash) explore(w http.ResponseWriter, r *http.Request) error {
	v, err := params(r)
	if err != nil {
		return err
	}
	status := http.StatusOK
	page := explorePage{Base: base(r)}
	q, cursor, err := audit.ParseParams(v)
	var result *annals.Page
	if err == nil {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		result, err = d.trail.Query(ctx, q, cursor)
	}
	var fault *audit.Error
	if err != nil {
		code, field, message := public(err)
		if field == "" && code != audit.CodeInvalid || !errors.As(err, &fault) {
			return err
		}
		status = api.StatusOf(code)
		fault = &audit.Error{Code: code, Field: field, Message: message}
	}
	b := d.board(r)
	defer b.close()
	page.Form = d.exploreForm(b, v, fault)
	page.Problem = page.Form.problem(fault)
	if fault != nil && fault.Field == audit.ParamCursor {
		page.Problem.Label = "Place in the list"
		page.First = link(pathExplore, without(v, audit.ParamCursor))
	}
	if fault == nil {
		d.fillResults(b, &page, v, q, cursor, result)
	}
	return d.show(w, r, status, "explore", view{Title: "Explore", Section: pathExplore, Body: page})
}

func (d *dash) fillResults(b *board, page *explorePage, v url.Values, q *audit.Query, cursor string, result *annals.Page) {
	page.Results = recordTable{ID: "results", Caption: "Records, newest first", Rows: rowsOf(result.Records), Live: true}
	if q.Order == audit.OldestFirst {
		page.Results.Caption = "Records, oldest first"
	}
	filters := without(v, audit.ParamCursor, audit.ParamLimit)
	page.NDJSON = link("/v1/export", with(filters, "format", "ndjson"))
	page.CSV = link("/v1/export", with(filters, "format", "csv"))
	page.API = link("/v1/events", v)
	if result.Next != "" {
		page.Next = link(pathExplore, with(v, audit.ParamCursor, result.Next))
	}
	switch {
	case cursor != "":
		page.First = link(pathExplore, without(v, audit.ParamCursor))
		page.NoLive = "The live tail is on the first page."
	case q.Order == audit.OldestFirst:
		page.NoLive = "The live tail needs the newest records first."
	case q.Open:
		page.NoLive = "Open intents cannot be followed live."
	case !q.To.IsZero() && q.To.Before(d.opt.Now()):
		page.NoLive = "The time of this question is over: nothing can come any more."
	default:
		page.Stream = link("/v1/events/stream", without(filters, audit.ParamOrder))
	}
	if cursor != "" {
		return
	}
	if result.Next == "" {
		page.Total = &answer[int64]{Value: int64(len(result.Records))}
	} else {
		total := ask(b, "count", func(ctx context.Context) (int64, error) { return d.trail.Count(ctx, q) }).wait()
		page.Total = &total
	}
	if len(result.Records) == 0 {
		any, err := d.newest(b.ctx, &audit.Query{}, 1)
		page.Empty = err == nil && len(any) == 0
	}
}

// paramActorValue carries a group of the breakdown by actor, whose value is an
// e-mail where the calls have one, and an id where not.
const paramActorValue = "actor_value"

// exploreActor finds out which of the two it is and goes on to the explorer.
func (d *dash) exploreActor(w http.ResponseWriter, r *http.Request) error {
	v, err := params(r)
	if err != nil {
		return err
	}
	value := v.Get(paramActorValue)
	delete(v, paramActorValue)
	v["actor_email"] = []string{value}
	q, _, err := audit.ParseParams(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	found, err := d.newest(ctx, q, 1)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		delete(v, "actor_email")
		v["actor"] = []string{value}
	}
	return redirect(w, link(pathExplore, v))
}

// filter turns what the form sends into the address of the question: the
// form's names are its own, and what was left empty is left out, whereas in a
// question an empty value asks for records without the field.
func (d *dash) filter(w http.ResponseWriter, r *http.Request) error {
	form, err := params(r)
	if err != nil {
		return err
	}
	v := url.Values{}
	for _, raw := range form["c"] {
		carried, err := url.ParseQuery(raw)
		if err != nil {
			return audit.Invalid("c", "is malformed")
		}
		for name, values := range carried {
			v[name] = append(v[name], values...)
		}
	}
	for _, in := range inputs {
		if value := strings.TrimSpace(form.Get("f." + in.name)); value != "" {
			in.put(v, value, d.opt.Now())
		}
	}
	addCondition(v, form.Get("add.field"), strings.TrimSpace(form.Get("add.key")), form.Get("add.op"), form.Get("add.value"))
	for name, values := range v {
		slices.Sort(values)
		v[name] = slices.Compact(values)
	}
	return redirect(w, link(pathExplore, v))
}

// addCondition takes the boxes that any dimension or metadata key can be asked by.
func addCondition(v url.Values, field, key, op, value string) {
	if field == "metadata" {
		if key == "" {
			return
		}
		field = audit.MetadataPrefix + key
		if op == "" {
			field = metadataParam(key)
		}
	}
	if field == "" {
		return
	}
	if op != "" && !slices.ContainsFunc(operators, func(o operator) bool { return o.Suffix == op }) {
		op = ""
	}
	name := field + op
	if op == ".min" || op == ".max" {
		v[name] = []string{value} // a range has one end
		return
	}
	v[name] = append(v[name], value)
}
