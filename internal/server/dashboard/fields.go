package dashboard

import (
	"net/url"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// fieldGroup is a part of a record's page and of the list of dimensions.
type fieldGroup struct {
	name   string
	fields []*audit.Field
}

// groupOf names the group of a field, derived from its place in the JSON form.
func groupOf(f *audit.Field) string {
	if f.Kind == audit.Document {
		return "" // shown on their own
	}
	switch first, _, nested := strings.Cut(f.Path, "."); {
	case nested:
		return strings.ToUpper(first[:1]) + first[1:]
	case strings.Contains(" sequence segment prev_hash hash ", " "+f.Name+" "):
		return "Chain"
	case f.Kind == audit.Instant, f.Kind == audit.Span:
		return "Time"
	case strings.Contains(" action operation action_id outcome error error_code verdict rule ", " "+f.Name+" "):
		return "Action"
	}
	return "Record"
}

// fieldGroups are the groups in the order of the page.
var fieldGroups = func() []fieldGroup {
	order := []string{"Action", "Time", "Actor", "Resource", "Tool", "Source", "Request", "Response", "Record", "Chain"}
	by := map[string][]*audit.Field{}
	for _, f := range audit.Fields() {
		g := groupOf(f)
		if g == "" {
			continue
		}
		if _, known := by[g]; !known && !strings.Contains(strings.Join(order, " "), g) {
			order = append(order, g) // of a field that is newer than this page
		}
		by[g] = append(by[g], f)
	}
	var out []fieldGroup
	for _, name := range order {
		out = append(out, fieldGroup{name, by[name]})
	}
	return out
}()

// shownGroup is a group with what a record has of it.
type shownGroup struct {
	Name   string
	Fields []shownField
}

type shownField struct {
	Name, Label, Doc string
	Value            string
	Time             string // the exact form, for an instant
	Outcome          *outcome
	Mono             bool
	Link             string // the records that have the same value
}

// groupsOf gives what a record has, group by group.
func groupsOf(r *audit.Record) []shownGroup {
	var out []shownGroup
	for _, g := range fieldGroups {
		if g.name == "Chain" {
			continue // it has a part of its own
		}
		s := shownGroup{Name: g.name}
		for _, f := range g.fields {
			if !f.Absent(r) {
				s.Fields = append(s.Fields, shownOf(f, r))
			}
		}
		if len(s.Fields) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// names say which texts are prose; the others are read letter by letter.
var proseFields = map[string]bool{"error": true, "actor_name": true, "resource_name": true, "purpose": true}

func shownOf(f *audit.Field, r *audit.Record) shownField {
	s := shownField{Name: f.Name, Label: fieldLabel(f), Doc: f.Doc, Value: visible(f.Text(r))}
	switch f.Kind {
	case audit.Text:
		s.Mono = !proseFields[f.Name]
	case audit.Instant:
		t := audit.FromMicros(f.Int(r))
		s.Value, s.Time = whenExact(t), audit.FormatTime(t)
	case audit.Span:
		s.Value = span(r.Duration)
		if exact := f.Text(r) + " ms"; exact != s.Value {
			s.Value += " (" + exact + ")"
		}
	case audit.Number:
		s.Value = number(f.Int(r))
	case audit.Identity, audit.Hash:
		s.Mono = true
	}
	if f.Name == "outcome" {
		o := outcomeOf(r.Outcome)
		s.Outcome = &o
	}
	if f.Ops&audit.OpIs != 0 && f.Kind != audit.Identity {
		s.Link = link(pathExplore, url.Values{f.Name: {f.Text(r)}})
	}
	return s
}

// fieldLabel names a field within its group: "Actor IP" is "IP" under Actor.
func fieldLabel(f *audit.Field) string {
	if f.Kind == audit.Span {
		return "Duration"
	}
	path := strings.Split(f.Path, ".")
	if len(path) > 1 {
		return label(strings.Join(path[1:], "_"))
	}
	return label(f.Name)
}
