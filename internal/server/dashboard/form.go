package dashboard

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// input is one of the boxes of the explorer for what is asked most.
type input struct {
	name    string // of the parameter
	label   string
	hint    string   // shown while the box is empty
	options []string // a list to choose from; free text where there is none
	suggest bool     // offers values that occur
	isTime  bool
}

var inputs = []input{
	{name: audit.ParamText, label: "Full text"},
	{name: audit.ParamFrom, label: "From (UTC)", hint: "24h, or 2026-01-31", isTime: true},
	{name: audit.ParamTo, label: "Before (UTC)", hint: "now", isTime: true},
	{name: "action", label: "Action", suggest: true},
	{name: "actor", label: "Actor", suggest: true},
	{name: "resource_type", label: "Resource type", suggest: true},
	{name: "resource", label: "Resource ID"},
	{name: "tool_name", label: "Tool", suggest: true},
	{name: "tenant", label: "Tenant", suggest: true},
	{name: "namespace", label: "Namespace", suggest: true},
	{name: "outcome", label: "Outcome", options: outcomeWords()},
	{name: "operation", label: "Operation", options: operationWords()},
	{name: paramState, label: "Phase", options: []string{"outcome", "intent", "open"}},
	{name: audit.ParamOrder, label: "Order", options: []string{"newest", "oldest"}},
	{name: audit.ParamLimit, label: "Records on a page", options: []string{"25", "50", "100", "200", "500", "1000"}},
}

// paramState is the form's own name for phase and open together.
const paramState = "state"

var optionWords = map[string]map[string]string{
	paramState:       {"outcome": "outcomes only", "intent": "intents only", "open": "intents without an outcome"},
	audit.ParamOrder: {"newest": "newest first", "oldest": "oldest first"},
}

// standing is what an input of options stands for where nothing is chosen.
var standing = map[string]string{audit.ParamOrder: "newest", audit.ParamLimit: strconv.Itoa(audit.DefaultLimit)}

func outcomeWords() (out []string) {
	for _, o := range audit.Outcomes() {
		out = append(out, string(o))
	}
	return out
}

func operationWords() (out []string) {
	for _, o := range audit.Operations() {
		out = append(out, string(o))
	}
	return out
}

// put writes what was typed into the parameters.
func (in input) put(v url.Values, value string, now time.Time) {
	switch {
	case in.name == paramState && value == "open":
		v.Set(audit.ParamOpen, "true")
	case in.name == paramState:
		v.Set(audit.ParamPhase, value)
	case value == standing[in.name]: // need not be said
	case in.isTime:
		v.Set(in.name, typedTime(value, now))
	case in.name == audit.ParamText || in.options != nil && !in.isDimension():
		v.Set(in.name, value)
	case in.options == nil && len(value) > 1 && strings.HasSuffix(value, "*"):
		v[in.name+".prefix"] = append(v[in.name+".prefix"], strings.TrimSuffix(value, "*"))
	default:
		v[in.name] = append(v[in.name], value)
	}
}

func (in input) isDimension() bool {
	_, ok := audit.FieldByName(in.name)
	return ok
}

// take finds the parameter that the box shows, and what it shows. A parameter
// that does not fit into a box stays a condition of its own.
func (in input) take(v url.Values) (param, value string) {
	if in.name == paramState {
		if v.Get(audit.ParamOpen) == "true" {
			return audit.ParamOpen, "open"
		}
		if p := v.Get(audit.ParamPhase); slices.Contains(in.options, p) {
			return audit.ParamPhase, p
		}
		return "", ""
	}
	one := v[in.name]
	if len(one) == 1 && one[0] != "" && strings.TrimSpace(one[0]) == one[0] {
		fits := in.options == nil || slices.Contains(in.options, one[0])
		starred := in.isDimension() && strings.HasSuffix(one[0], "*")
		if fits && !starred {
			return in.name, one[0]
		}
		return "", ""
	}
	begins := v[in.name+".prefix"]
	if len(one) == 0 && len(begins) == 1 && in.options == nil && begins[0] != "" && strings.TrimSpace(begins[0]) == begins[0] {
		return in.name + ".prefix", begins[0] + "*"
	}
	return "", ""
}

// typedTime makes what people type into a time of the API: a length of time
// means so long ago, and a time without a zone is UTC. Anything else stays as it
// is, for the error to show it.
func typedTime(s string, now time.Time) string {
	if n, unit := s[:len(s)-1], s[len(s)-1]; len(s) > 1 {
		if days, err := strconv.Atoi(n); err == nil && days >= 0 && days < 100_000 && unit == 'd' {
			return audit.FormatTime(now.Add(-time.Duration(days) * 24 * time.Hour).Truncate(time.Second))
		}
	}
	if ago, err := time.ParseDuration(s); err == nil && ago > 0 {
		return audit.FormatTime(now.Add(-ago).Truncate(time.Second))
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return audit.FormatTime(t)
		}
	}
	return s
}

// exploreForm is the form with what the address says in it.
type exploreForm struct {
	Boxes      []box
	Conditions []condition // what is in no box
	Groups     []dimGroup
	Operators  []operator
	Ranges     []choice
	Clear      string
}

type box struct {
	ID, Param, Label, Hint string
	Value                  string
	Options                []option
	Suggestions            []string
	Error                  string
	Disabled               string // why the engine cannot be asked
	Wide                   bool
}

type option struct {
	Value, Words string
	Selected     bool
}

type dimGroup struct {
	Name   string
	Fields []*audit.Field
}

func (d *dash) exploreForm(b *board, v url.Values, fault *audit.Error) exploreForm {
	f := exploreForm{Operators: operators, Groups: dimGroups(), Clear: pathExplore}
	boxed := []string{audit.ParamCursor}
	suggested := d.suggests.begin(b)
	for _, in := range inputs {
		param, value := in.take(v)
		x := box{ID: "f-" + in.name, Param: "f." + in.name, Label: in.label, Hint: in.hint, Value: value, Wide: in.name == audit.ParamText}
		if param != "" {
			boxed = append(boxed, param)
			if fault != nil && faultAt(fault, param) {
				x.Error = fault.Message
			}
		}
		if in.options != nil {
			x.Options = in.choices(value)
		}
		if in.name == audit.ParamText && !d.trail.Capabilities().Text && value == "" {
			x.Disabled = "The engine " + d.trail.Capabilities().Engine + " has no full text search."
		}
		if in.suggest {
			x.Suggestions = suggested[in.name].wait().Value
		}
		f.Boxes = append(f.Boxes, x)
	}
	f.Conditions = conditions(pathExplore, v, fault, boxed...)
	f.Ranges = d.ranges(v)
	return f
}

func (in input) choices(value string) []option {
	var out []option
	if standing[in.name] == "" {
		out = append(out, option{"", "any", value == ""})
	} else if value == "" {
		value = standing[in.name]
	}
	for _, o := range in.options {
		words := o
		if w := optionWords[in.name][o]; w != "" {
			words = w
		}
		out = append(out, option{o, words, o == value})
	}
	return out
}

// ranges are links that set the time to the last so many hours.
func (d *dash) ranges(v url.Values) []choice {
	base := without(v, audit.ParamFrom, audit.ParamTo, audit.ParamCursor)
	now := d.opt.Now().UTC().Truncate(time.Second)
	out := []choice{{"any time", link(pathExplore, base), !v.Has(audit.ParamFrom) && !v.Has(audit.ParamTo)}}
	for _, w := range windows {
		out = append(out, choice{Words: "last " + w.words, Link: link(pathExplore, with(base, audit.ParamFrom, audit.FormatTime(now.Add(-w.d))))})
	}
	return out
}

// problem says what is wrong and names the place on the page.
func (f *exploreForm) problem(fault *audit.Error) *problem {
	if fault == nil {
		return nil
	}
	for _, x := range f.Boxes {
		if x.Error != "" {
			return &problem{x.ID, x.Label, x.Error}
		}
	}
	for _, c := range f.Conditions {
		if c.Error != "" {
			return &problem{c.ID, c.Label, c.Error}
		}
	}
	return &problem{Label: clip(60, fault.Field), Message: fault.Message}
}

// dimGroups are the dimensions by what they are about, for the list to choose from.
func dimGroups() []dimGroup {
	var out []dimGroup
	for _, g := range fieldGroups {
		dg := dimGroup{Name: g.name}
		for _, f := range g.fields {
			if f.Ops != 0 {
				dg.Fields = append(dg.Fields, f)
			}
		}
		if len(dg.Fields) > 0 {
			out = append(out, dg)
		}
	}
	return out
}
