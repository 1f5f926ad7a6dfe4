package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

const (
	chainsShown = 200 // heads on a page
	scopesShown = 200 // results of a run on its page
	runsShown   = 50  // removed runs of a chain on its page
	formMost    = 16 << 10
)

// integrityPage lists chains and starts verifications.
type integrityPage struct {
	Base      string
	Chained   bool
	Heads     answer[[]chain.Head]
	All       int  // how many there are
	Segments  bool // some chain has a segment
	Named     bool
	Namespace string
	Tenant    string
	Runs      []runRow
	Fault     *audit.Error // what is wrong with the form
	Form      verifyForm
}

// verifyForm is what was typed.
type verifyForm struct{ Namespace, Tenant, From, To string }

// ErrorAt gives the message for a field of the form.
func (p integrityPage) ErrorAt(field string) string {
	if p.Fault != nil && p.Fault.Field == field {
		return p.Fault.Message
	}
	return ""
}

type runRow struct {
	*run
	progress
}

// Link is the address of the run's page.
func (r runRow) Link() string { return "/integrity/runs/" + r.ID }

// What says what a run verifies.
func (r runRow) What() string {
	if len(r.Scopes) != 1 {
		return plural(int64(len(r.Scopes)), "scope", "scopes")
	}
	return scopeWords(r.Scopes[0])
}

func scopeWords(s audit.Scope) string {
	name := func(v string) string {
		if v == "" {
			return "(none)"
		}
		return clip(60, v)
	}
	return "namespace " + name(s.Namespace) + ", tenant " + name(s.Tenant)
}

func (d *dash) integrity(w http.ResponseWriter, r *http.Request) error {
	v, err := params(r)
	if err != nil {
		return err
	}
	for name, values := range v {
		if name != "namespace" && name != "tenant" || len(values) != 1 {
			return audit.Invalid(clip(40, name), "is not a parameter of this page")
		}
	}
	return d.showIntegrity(w, r, http.StatusOK, v, verifyForm{Namespace: v.Get("namespace"), Tenant: v.Get("tenant")}, nil)
}

func (d *dash) showIntegrity(w http.ResponseWriter, r *http.Request, status int, v url.Values, form verifyForm, fault *audit.Error) error {
	page := integrityPage{Base: base(r), Chained: d.trail.Chained(), Named: len(v) > 0, Namespace: v.Get("namespace"), Tenant: v.Get("tenant"), Form: form, Fault: fault}
	b := d.board(r)
	defer b.close()
	var scope *audit.Scope
	if page.Named {
		scope = &audit.Scope{Namespace: page.Namespace, Tenant: page.Tenant}
	}
	page.Heads = ask(b, "chains", func(ctx context.Context) ([]chain.Head, error) { return d.trail.Chains(ctx, scope) }).wait()
	page.All = len(page.Heads.Value)
	page.Segments = slices.ContainsFunc(page.Heads.Value, func(h chain.Head) bool { return h.Segment != "" })
	page.Heads.Value = page.Heads.Value[:min(page.All, chainsShown)]
	for _, run := range d.runs.recent() {
		page.Runs = append(page.Runs, runRow{run, run.now()})
	}
	return d.show(w, r, status, "integrity", view{Title: "Integrity", Section: "/integrity", Body: page})
}

// startRun begins a verification and goes on to its page.
func (d *dash) startRun(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, formMost)
	if err := r.ParseForm(); err != nil {
		return audit.Invalid("", "the form cannot be read")
	}
	form := verifyForm{r.PostForm.Get("namespace"), r.PostForm.Get("tenant"), r.PostForm.Get("from"), r.PostForm.Get("to")}
	run, err := d.newRun(r, form)
	if audit.CodeOf(err) == audit.CodeInvalid || audit.CodeOf(err) == audit.CodeNotFound {
		_, field, message := public(err)
		return d.showIntegrity(w, r, http.StatusBadRequest, nil, form, &audit.Error{Field: cmp.Or(field, "tenant"), Message: message})
	}
	if err != nil {
		return err
	}
	return redirect(w, runRow{run: run}.Link())
}

func (d *dash) newRun(r *http.Request, form verifyForm) (*run, error) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	if r.PostForm.Get("all") != "" {
		heads, err := d.trail.Chains(ctx, nil)
		if err != nil {
			return nil, err
		}
		var scopes []audit.Scope
		for _, h := range heads {
			scopes = append(scopes, h.Scope)
		}
		scopes = slices.Compact(scopes) // of several segments; heads are in order
		if len(scopes) == 0 {
			return nil, &audit.Error{Code: audit.CodeNotFound, Field: "tenant", Message: "there is no chain yet"}
		}
		return d.runs.start(scopes, 0, 0)
	}
	from, err := sequenceOf("from", form.From)
	if err != nil {
		return nil, err
	}
	to, err := sequenceOf("to", form.To)
	if err != nil {
		return nil, err
	}
	if to != 0 && to < from {
		return nil, audit.Invalid("to", "is before the first sequence")
	}
	scope := audit.Scope{Namespace: form.Namespace, Tenant: form.Tenant}
	heads, err := d.trail.Chains(ctx, &scope)
	if err != nil {
		return nil, err
	}
	if len(heads) == 0 {
		return nil, audit.Invalid("tenant", "there is no chain in this namespace and tenant")
	}
	var last int64
	for _, h := range heads {
		last = max(last, h.Sequence)
	}
	if from > last+1 {
		return nil, audit.Invalid("from", "is %d, but the chain ends at %d", from, last)
	}
	return d.runs.start([]audit.Scope{scope}, from, to)
}

// sequenceOf reads a sequence; nothing is 0.
func sequenceOf(name, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		return 0, audit.Invalid(name, "%.40q is not a sequence: a whole number from 1", s)
	}
	return n, nil
}

// runPage is a verification under way, or its result.
type runPage struct {
	Run     runRow
	Verdict verdict
	Results []scopeResult // to be shown one by one: what is broken or undecided, or all there is
	Valid   []scopeResult // to be shown as a table
	More    int           // results not shown
	Percent int64
	Took    string
}

func (d *dash) showRun(w http.ResponseWriter, r *http.Request) error {
	run, err := d.runs.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	p := run.now()
	page := runPage{Run: runRow{run, p}, Verdict: p.Verdict()}
	for _, s := range p.Results {
		if len(run.Scopes) == 1 || !s.valid() {
			page.Results = append(page.Results, s)
		} else {
			page.Valid = append(page.Valid, s)
		}
	}
	page.More = max(len(page.Results)-scopesShown, 0) + max(len(page.Valid)-scopesShown, 0)
	page.Results, page.Valid = page.Results[:min(len(page.Results), scopesShown)], page.Valid[:min(len(page.Valid), scopesShown)]
	done := float64(p.Scope)
	if p.Total > 0 {
		done += float64(p.Checked) / float64(p.Total)
	}
	page.Percent = min(int64(done/float64(len(run.Scopes))*100), 100)
	v := view{Title: "Verification", Section: "/integrity"}
	if p.Running {
		v.Refresh = 1
		page.Took = span(d.opt.Now().Sub(run.Started))
	} else {
		page.Took = span(p.Ended.Sub(run.Started))
	}
	v.Body = page
	return d.show(w, r, http.StatusOK, "run", v)
}

// stopRun ends a verification.
func (d *dash) stopRun(w http.ResponseWriter, r *http.Request) error {
	run, err := d.runs.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	run.cancel()
	return redirect(w, runRow{run: run}.Link())
}

func (s scopeResult) valid() bool {
	return s.Failed == "" && !slices.ContainsFunc(s.Reports, func(r *chain.Report) bool { return !r.Valid })
}

// Words names the scope.
func (s scopeResult) Words() string { return scopeWords(s.Scope) }

// BrokenLink is the address of the record at a break.
func (s scopeResult) BrokenLink(b *chain.Break) string {
	if b.ID.IsZero() {
		return ""
	}
	return refLink(b.ID.String(), s.Scope)
}

// Pruned lists the removed runs of a report in words, as many as a page shows.
func (s scopeResult) Pruned(r *chain.Report) []string {
	var out []string
	for _, p := range r.Pruned[:min(len(r.Pruned), runsShown)] {
		if p.First == p.Last {
			out = append(out, number(p.First))
		} else {
			out = append(out, number(p.First)+"–"+number(p.Last))
		}
	}
	if more := len(r.Pruned) - runsShown; more > 0 {
		out = append(out, fmt.Sprintf("and %s more", number(int64(more))))
	}
	return out
}

// PrunedRecords counts the records of the removed runs.
func (s scopeResult) PrunedRecords(r *chain.Report) (n int64) {
	for _, p := range r.Pruned {
		n += p.Last - p.First + 1
	}
	return n
}

// reasonWords explain how a chain is broken.
var reasonWords = map[chain.Reason]string{
	chain.ReasonDuplicate:  "two records claim this sequence",
	chain.ReasonContent:    "the record's content does not give its hash: it was changed",
	chain.ReasonLink:       "the record does not link to the one before it",
	chain.ReasonPruned:     "a record stands where retention removed a run, and nothing after it confirms it",
	chain.ReasonMissing:    "a record is missing, and retention did not remove it",
	chain.ReasonTail:       "the chain's head names a record that is not there: the end was removed",
	chain.ReasonHead:       "the chain's head does not have the hash of the last record",
	chain.ReasonBeyond:     "there is a record after the chain's head",
	chain.ReasonCheckpoint: "the chain does not hold the checkpoint any more",
}

// ReasonWords explains a break.
func (s scopeResult) ReasonWords(r chain.Reason) string { return cmp.Or(reasonWords[r], string(r)) }
