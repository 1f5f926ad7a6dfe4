package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

// The parameters that are not part of a question.
const (
	paramNamespace  = "namespace"
	paramTenant     = "tenant"
	paramUnit       = "unit"
	paramDimension  = "dimension"
	paramColumn     = "column"
	paramA          = "a"
	paramB          = "b"
	paramExact      = "exact"
	paramFormat     = "format"
	paramDurability = "durability"
)

// question reads the filters of a request. own are the operation's other
// parameters, which are given back; without are parameters of a question that
// mean nothing to this operation and are refused, like every unknown one.
func question(r *http.Request, own, without []string) (q *audit.Query, cursor string, rest url.Values, err error) {
	v, err := values(r)
	if err != nil {
		return nil, "", nil, err
	}
	rest = url.Values{}
	for _, name := range own {
		if given, ok := v[name]; ok {
			if len(given) != 1 {
				return nil, "", nil, audit.Invalid(name, "is given %d times", len(given))
			}
			rest[name] = given
			delete(v, name)
		}
	}
	for _, name := range without {
		if v.Has(name) {
			return nil, "", nil, audit.Invalid(name, "is not a parameter of this operation")
		}
	}
	q, cursor, err = audit.ParseParams(v)
	return q, cursor, rest, err
}

// only reads the parameters of an operation that takes no filters.
func only(r *http.Request, names ...string) (url.Values, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	v, err := values(r)
	if err != nil {
		return nil, err
	}
	given := make([]string, 0, len(v))
	for name := range v {
		given = append(given, name)
	}
	slices.Sort(given)
	for _, name := range given {
		if !slices.Contains(names, name) {
			return nil, audit.Invalid(clip(name), "is not a parameter of this operation")
		}
		if len(v[name]) != 1 {
			return nil, audit.Invalid(name, "is given %d times", len(v[name]))
		}
	}
	return v, nil
}

// values parses the query string strictly: a part that cannot be read is an
// error, as a lost condition would answer too much.
func values(r *http.Request) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, audit.Invalid("", "the query string is malformed")
	}
	return v, nil
}

// scopeOf reads the scope that namespace and tenant name; nil when neither is given.
func scopeOf(v url.Values) *audit.Scope {
	if !v.Has(paramNamespace) && !v.Has(paramTenant) {
		return nil
	}
	return &audit.Scope{Namespace: v.Get(paramNamespace), Tenant: v.Get(paramTenant)}
}

// clip keeps what a client sent short enough to stand in an error.
func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// defineParams adds a parameter of the document for every dimension and
// operator, and gives their names in order.
func defineParams(params map[string]*huma.Param) (filters []string) {
	explode := true
	add := func(name, doc string, schema *huma.Schema, many bool) {
		p := &huma.Param{Name: name, In: "query", Description: doc, Schema: schema}
		if many {
			p.Schema, p.Explode = listOf(schema), &explode
		}
		params[name] = p
		filters = append(filters, name)
	}
	for _, f := range audit.Dimensions() {
		value := func() *huma.Schema {
			s := fieldSchema(f)
			s.Description, s.Minimum = "", nil
			return s
		}
		if f.Ops&audit.OpIs != 0 {
			add(f.Name, f.Doc+"; any of the values, an empty value finds records without it", value(), true)
		}
		if f.Ops&audit.OpNot != 0 {
			add(f.Name+".not", f.Doc+"; none of the values", value(), true)
		}
		if f.Ops&audit.OpPrefix != 0 {
			s := value()
			s.Enum = nil
			add(f.Name+".prefix", f.Doc+"; begins with any of the values", s, true)
		}
		if f.Ops&audit.OpRange != 0 {
			add(f.Name+".min", f.Doc+"; at least", value(), false)
			add(f.Name+".max", f.Doc+"; at most", value(), false)
		}
	}
	time := func() *huma.Schema { return &huma.Schema{Type: huma.TypeString} }
	add(audit.ParamFrom, "records that occurred at or after it: RFC 3339, or a date for midnight UTC", time(), false)
	add(audit.ParamTo, "records that occurred before it: RFC 3339, or a date for midnight UTC", time(), false)
	add(audit.ParamText, fmt.Sprintf("full text: every word must occur, at most %d; a word ending in * stands for every word that begins so", audit.MaxTextTerms), time(), false)
	add(audit.ParamOpen, "true: only intents whose action has no outcome", &huma.Schema{Type: huma.TypeBoolean}, false)
	add(audit.ParamPhase, "intent: only pending records; outcome: only the others", &huma.Schema{Type: huma.TypeString, Enum: []any{"intent", "outcome"}}, false)

	one, most := 1.0, float64(audit.MaxLimit)
	params[audit.ParamOrder] = &huma.Param{Name: audit.ParamOrder, In: "query", Description: "the order by time; newest first where it is left out", Schema: &huma.Schema{Type: huma.TypeString, Enum: []any{"newest", "oldest"}}}
	params[audit.ParamLimit] = &huma.Param{Name: audit.ParamLimit, In: "query", Description: "records on a page", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: &one, Maximum: &most, Default: audit.DefaultLimit}}
	params[audit.ParamCursor] = &huma.Param{Name: audit.ParamCursor, In: "query", Description: "next_cursor of the page before; it fits the same filters and order only", Schema: time()}
	params["scope."+paramNamespace] = &huma.Param{Name: paramNamespace, In: "query", Description: "with the tenant, the scope to look in; every scope where both are left out", Schema: time()}
	params["scope."+paramTenant] = &huma.Param{Name: paramTenant, In: "query", Description: "with the namespace, the scope to look in; every scope where both are left out", Schema: time()}
	return filters
}

// metadataNote stands in the description of every operation that takes filters.
const metadataNote = " Besides the parameters listed, metadata.KEY=VALUE filters by a metadata key, also with .not and .prefix."

func paramRefs(names ...string) []*huma.Param {
	refs := make([]*huma.Param, len(names))
	for i, name := range names {
		refs[i] = &huma.Param{Ref: paramPrefix + name}
	}
	return refs
}

func scopeParams() []*huma.Param {
	return paramRefs("scope."+paramNamespace, "scope."+paramTenant)
}

// queryParam describes a parameter of one operation.
func queryParam(name, doc string, required bool, enum ...any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: doc, Required: required, Schema: &huma.Schema{Type: huma.TypeString, Enum: enum}}
}
