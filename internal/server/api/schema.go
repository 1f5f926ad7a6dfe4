package api

import (
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

const (
	schemaPrefix = "#/components/schemas/"
	paramPrefix  = "#/components/parameters/"
)

// doorFields are the fields of a record that an event does not have.
var doorFields = map[string]bool{
	"kind": true, "recorded_at": true, "level": true,
	"sequence": true, "segment": true, "prev_hash": true, "hash": true,
}

// fieldTree makes the JSON shape of an event or a record from the field table.
func fieldTree(doc string, keep func(*audit.Field) bool) *huma.Schema {
	root := &huma.Schema{Type: huma.TypeObject, Description: doc, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for _, f := range audit.Fields() {
		if !keep(f) {
			continue
		}
		at := root
		parts := strings.Split(f.Path, ".")
		for _, group := range parts[:len(parts)-1] {
			next := at.Properties[group]
			if next == nil {
				next = &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
				at.Properties[group] = next
			}
			at = next
		}
		at.Properties[parts[len(parts)-1]] = fieldSchema(f)
	}
	return root
}

// fieldSchema describes a field's value in the JSON form. Texts carry no
// maximum: a longer one is cut by rule and not refused.
func fieldSchema(f *audit.Field) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString, Description: f.Doc}
	zero := 0.0
	switch f.Kind {
	case audit.Document:
		s.Type = ""
		if f.Name == "metadata" {
			s.Type = huma.TypeObject
		}
	case audit.Number:
		s.Type, s.Format, s.Minimum = huma.TypeInteger, "int64", &zero
	case audit.Span:
		s.Type, s.Minimum = huma.TypeNumber, &zero
	case audit.Flag:
		s.Type = huma.TypeBoolean
	case audit.Instant:
		s.Format = "date-time"
	}
	switch f.Name {
	case "operation":
		for _, v := range audit.Operations() {
			s.Enum = append(s.Enum, string(v))
		}
	case "outcome":
		for _, v := range audit.Outcomes() {
			s.Enum = append(s.Enum, string(v))
		}
	case "kind":
		for _, v := range audit.Kinds() {
			s.Enum = append(s.Enum, string(v))
		}
	}
	return s
}

func ref(name string) *huma.Schema { return &huma.Schema{Ref: schemaPrefix + name} }

func listOf(s *huma.Schema) *huma.Schema { return &huma.Schema{Type: huma.TypeArray, Items: s} }

// defineSchemas adds the shapes that no Go type of ours describes.
func defineSchemas(schemas map[string]*huma.Schema) {
	event := fieldTree("What an application reports. Only action is required; an unknown field is an error.", func(f *audit.Field) bool { return !doorFields[f.Name] })
	event.Required = []string{"action"}
	schemas["Event"] = event
	schemas["Record"] = fieldTree("An accepted event as it is stored. Absent values are left out.", func(*audit.Field) bool { return true })

	text := func(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: doc} }
	one := 1.0
	zero := 0.0
	status := text("recorded: the store has it; queued: accepted under the durability in force; filtered: the policy does not record it; duplicate: it was there before with the same content; rejected: see error")
	status.Enum = []any{string(audit.StatusRecorded), string(audit.StatusQueued), string(audit.StatusFiltered), string(audit.StatusDuplicate), string(audit.StatusRejected)}
	schemas["Result"] = &huma.Schema{
		Type: huma.TypeObject, Description: "What became of one event, in the order of the request.", Required: []string{"status"},
		Properties: map[string]*huma.Schema{
			"id":       text("id of the record; left out where the event was rejected before it had one"),
			"status":   status,
			"reason":   text("the rule that filtered the event, or why it was not stored"),
			"sequence": {Type: huma.TypeInteger, Format: "int64", Minimum: &one, Description: "place in the chain; known once the store has answered"},
			"hash":     text("hash of the record, 64 hexadecimal digits; known once the store has answered"),
			"error": {
				Type: huma.TypeObject, Required: []string{"index", "code", "message"},
				Description: "why the event was rejected; with the status queued, that the store has not answered in time and may still take it",
				Properties: map[string]*huma.Schema{
					"index":   {Type: huma.TypeInteger, Format: "int64", Minimum: &zero, Description: "place of the event in the request, from 0"},
					"code":    text("see Problem"),
					"field":   text("the field that is wrong"),
					"message": text("what is wrong, for people"),
				},
			},
		},
	}
	schemas["Results"] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"results"},
		Properties: map[string]*huma.Schema{"results": listOf(ref("Result"))},
	}
	schemas["Page"] = &huma.Schema{
		Type: huma.TypeObject, Required: []string{"records"},
		Properties: map[string]*huma.Schema{
			"records":     listOf(ref("Record")),
			"next_cursor": text("the cursor parameter of the next page; left out at the end"),
		},
	}
}

// schemaOf gives a reference to the shape of a Go value.
func (a *API) schemaOf(v any) *huma.Schema {
	return a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeOf(v), true, "")
}

func (a *API) problemSchema() *huma.Schema { return a.schemaOf(Problem{}) }
