package dashboard

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// pathExplore is where questions are asked.
const pathExplore = "/explore"

// link makes the address of a page of ours.
func link(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

// with gives a copy of the parameters with one of them set anew.
func with(v url.Values, name string, values ...string) url.Values {
	c := maps.Clone(v)
	if c == nil {
		c = url.Values{}
	}
	c[name] = values
	return c
}

// without gives a copy of the parameters that lacks some.
func without(v url.Values, names ...string) url.Values {
	c := maps.Clone(v)
	for _, name := range names {
		delete(c, name)
	}
	return c
}

// recordLink is the address of a record's own page. Tenants may share ids, so
// it always names the scope.
func recordLink(r *audit.Record) string {
	return refLink(r.ID.String(), r.Scope())
}

func refLink(id string, s audit.Scope) string {
	return "/records/" + url.PathEscape(id) + "?" + scopeParams(s).Encode()
}

func scopeParams(s audit.Scope) url.Values {
	return url.Values{"namespace": {s.Namespace}, "tenant": {s.Tenant}}
}

// operator is one way to compare, as people see it and as the parameter spells it.
type operator struct {
	Suffix, Words string
	op            audit.Ops
}

var operators = []operator{
	{"", "is", audit.OpIs},
	{".not", "is not", audit.OpNot},
	{".prefix", "starts with", audit.OpPrefix},
	{".min", "at least", audit.OpRange},
	{".max", "at most", audit.OpRange},
}

// condition is a parameter of a question as a person reads it.
type condition struct {
	Name   string // as in the address
	ID     string // of the element on the page
	Label  string
	Words  string // the comparison
	Values []string
	Remove string // the page without it
	Error  string
	Raw    string // name=value pairs, for a form that carries the condition along
}

// special are the words for parameters that are no dimension.
var special = map[string][2]string{
	audit.ParamText: {"Full text", "has"}, audit.ParamFrom: {"Time", "from"}, audit.ParamTo: {"Time", "before"},
	audit.ParamOpen: {"Intents without an outcome", "is"}, audit.ParamPhase: {"Phase", "is"},
	audit.ParamOrder: {"Order", "is"}, audit.ParamLimit: {"Records on a page", "is"}, audit.ParamCursor: {"Place in the list", "is"},
}

// conditionOf describes a parameter. It takes also what is no parameter at all,
// so that a page can say so beside it.
func conditionOf(path string, v url.Values, name string, fault *audit.Error) condition {
	c := condition{Name: name, ID: "c-" + name, Label: name, Words: "is", Raw: url.Values{name: v[name]}.Encode()}
	c.Remove = link(path, without(v, name, audit.ParamCursor))
	if words, ok := special[name]; ok {
		c.Label, c.Words = words[0], words[1]
	} else if key, ok := strings.CutPrefix(name, audit.MetadataPrefix); ok {
		for _, o := range slices.Backward(operators) {
			if base, ok := strings.CutSuffix(key, o.Suffix); ok && o.op != audit.OpRange {
				c.Label, c.Words = "Metadata "+clip(60, strings.TrimSuffix(base, ".is")), o.Words
				break
			}
		}
	} else if f, o, ok := splitParam(name); ok {
		c.Label, c.Words = label(f.Name), o.Words
	}
	for _, value := range v[name] {
		if value == "" {
			c.Values = append(c.Values, "(absent)")
			continue
		}
		c.Values = append(c.Values, clip(80, value))
	}
	if fault != nil && faultAt(fault, name) {
		c.Error = fault.Message
	}
	return c
}

// splitParam finds the dimension and the operator that a parameter stands for.
func splitParam(name string) (*audit.Field, operator, bool) {
	for _, o := range slices.Backward(operators) {
		if base, ok := strings.CutSuffix(name, o.Suffix); ok {
			if f, ok := audit.FieldByName(base); ok && f.Ops&o.op != 0 {
				return f, o, true
			}
		}
	}
	if base, ok := strings.CutSuffix(name, ".is"); ok {
		if f, ok := audit.FieldByName(base); ok && f.Ops&audit.OpIs != 0 {
			return f, operators[0], true
		}
	}
	return nil, operator{}, false
}

// faultAt reports whether an error is about the parameter: by its name, by that
// of its dimension, or by the beginning of one too long to be repeated whole.
func faultAt(fault *audit.Error, name string) bool {
	if fault.Field == "" {
		return false
	}
	if fault.Field == name {
		return true
	}
	if f, _, ok := splitParam(name); ok && f.Name == fault.Field {
		return true
	}
	if start, ok := strings.CutSuffix(fault.Field, "…"); ok {
		return strings.HasPrefix(name, start)
	}
	for _, o := range operators {
		if fault.Field+o.Suffix == name {
			return true
		}
	}
	return false
}

// conditions describes the parameters but those left out, in their order by name.
func conditions(path string, v url.Values, fault *audit.Error, leave ...string) []condition {
	var out []condition
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(leave, name) {
			out = append(out, conditionOf(path, v, name, fault))
		}
	}
	return out
}
