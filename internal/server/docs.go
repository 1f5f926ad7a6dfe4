package server

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

//go:embed docs.html
var docsSource string

var docsPage = template.Must(template.New("docs").Parse(docsSource))

type docsTag struct {
	Name, Description string
	Operations        []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Parameters                             []docsParam // its own
	Filters                                bool        // takes every filter as well
	Bodies, Answers                        []docsBody
}

type docsParam struct {
	Name, In, Type, Description string
	Required                    bool
}

type docsBody struct{ Type, Shape, Ref string }

type docsSchema struct{ Name, JSON string }

// renderDocs writes the document as one page that loads nothing from anywhere.
func renderDocs(doc *huma.OpenAPI) ([]byte, error) {
	page := struct {
		Title, Version, Description string
		Tags                        []docsTag
		Filters                     []docsParam
		Schemas                     []docsSchema
	}{Title: doc.Info.Title, Version: doc.Info.Version, Description: doc.Info.Description}

	// A parameter that the list of records takes is a filter; the pages show
	// the whole table once.
	filters := map[string]bool{}
	for _, p := range doc.Paths["/v1/events"].Get.Parameters {
		name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
		filters[name] = true
		page.Filters = append(page.Filters, docsParamOf(doc.Components.Parameters[name]))
	}
	for _, tag := range doc.Tags {
		t := docsTag{Name: tag.Name, Description: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			item := doc.Paths[path]
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Delete} {
				if op != nil && slices.Contains(op.Tags, tag.Name) {
					t.Operations = append(t.Operations, docsOperationOf(doc, op, filters))
				}
			}
		}
		page.Tags = append(page.Tags, t)
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		b, err := json.MarshalIndent(schemas[name], "", "  ")
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInternal, Message: "the schema " + name + " cannot be written", Cause: err}
		}
		page.Schemas = append(page.Schemas, docsSchema{name, string(b)})
	}
	var b bytes.Buffer
	if err := docsPage.Execute(&b, page); err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the documentation cannot be written", Cause: err}
	}
	return b.Bytes(), nil
}

func docsOperationOf(doc *huma.OpenAPI, op *huma.Operation, filters map[string]bool) docsOperation {
	o := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description}
	for _, p := range op.Parameters {
		if p.Ref != "" {
			name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
			if filters[name] {
				o.Filters = true
				continue
			}
			p = doc.Components.Parameters[name]
		}
		o.Parameters = append(o.Parameters, docsParamOf(p))
	}
	if op.RequestBody != nil {
		o.Bodies = docsBodies(op.RequestBody.Content)
	}
	if ok := op.Responses["200"]; ok != nil {
		o.Answers = docsBodies(ok.Content)
	}
	return o
}

func docsParamOf(p *huma.Param) docsParam {
	d := docsParam{Name: p.Name, In: p.In, Description: p.Description, Required: p.Required}
	d.Type, _ = shapeOf(p.Schema)
	return d
}

func docsBodies(content map[string]*huma.MediaType) (out []docsBody) {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		b := docsBody{Type: kind}
		b.Shape, b.Ref = shapeOf(content[kind].Schema)
		out = append(out, b)
	}
	return out
}

// shapeOf says in a word or two what a schema holds, and the schema it refers to.
func shapeOf(s *huma.Schema) (shape, ref string) {
	switch {
	case s == nil:
		return "", ""
	case s.Ref != "":
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return name, name
	case len(s.OneOf) > 0:
		var all []string
		for _, one := range s.OneOf {
			name, r := shapeOf(one)
			all = append(all, name)
			ref = r
		}
		return strings.Join(all, " or "), ref
	case s.Type == huma.TypeArray:
		name, r := shapeOf(s.Items)
		return "list of " + name, r
	case len(s.Enum) > 0:
		var all []string
		for _, v := range s.Enum {
			all = append(all, v.(string))
		}
		return strings.Join(all, " · "), ""
	case s.Format != "":
		return s.Format, ""
	}
	return s.Type, ""
}
