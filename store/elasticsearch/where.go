package elasticsearch

import (
	"slices"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// where gathers conditions: all of must hold, none of not. Values only ever
// stand as values in JSON; nothing that a user types is read as a query.
type where struct {
	must, not []any
}

func (w *where) query() object {
	b := object{}
	if len(w.must) > 0 {
		b["filter"] = w.must
	}
	if len(w.not) > 0 {
		b["must_not"] = w.not
	}
	if len(b) == 0 {
		return object{"match_all": object{}}
	}
	return object{"bool": b}
}

func exists(field string) object          { return object{"exists": object{"field": field}} }
func term(field string, value any) object { return object{"term": object{field: value}} }
func absent(field string) object          { return object{"bool": object{"must_not": exists(field)}} }
func isEvent() object                     { return term("kind", string(audit.KindEvent)) }
func nothing() object                     { return object{"match_none": object{}} }

// terms is one condition, however many values there are.
func terms[T any](field string, values []T) object {
	if len(values) == 1 {
		return term(field, values[0])
	}
	return object{"terms": object{field: values}}
}

// anyOf holds where one of the conditions does.
func anyOf(list ...any) any {
	if len(list) == 1 {
		return list[0]
	}
	return object{"bool": object{"should": list, "minimum_should_match": 1}}
}

// conditions translates a question but for Open and After.
func conditions(q *audit.Query) (*where, error) {
	w := &where{}
	bounds := object{}
	if !q.From.IsZero() {
		bounds["gte"] = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		bounds["lt"] = q.To.UnixMicro()
	}
	if len(bounds) > 0 {
		w.must = append(w.must, object{"range": object{"occurred_at": bounds}})
	}
	for i := range q.Filters {
		w.filter(&q.Filters[i])
	}
	if q.Open {
		w.must = append(w.must, term("outcome", string(audit.Pending)), exists("action_id"))
	}
	if q.Text != "" {
		words, err := audit.ParseText(q.Text)
		if err != nil {
			return nil, err
		}
		for _, t := range words {
			if t.Prefix {
				w.must = append(w.must, object{"prefix": object{fieldText: t.Token}})
			} else {
				w.must = append(w.must, term(fieldText, t.Token))
			}
		}
	}
	return w, nil
}

func (w *where) filter(f *audit.Filter) {
	if key, ok := f.MetadataKey(); ok {
		w.texts(f, fieldMetadata, term(fieldMetadata, metadataKey(key)), func(v string) string { return metadataTerm(key, v) })
		return
	}
	d, ok := f.Dimension()
	if !ok {
		w.must = append(w.must, nothing())
		return
	}
	switch {
	case f.Op == audit.OpRange:
		w.interval(f, d)
	case d.Kind == audit.Text:
		w.texts(f, d.Name, exists(d.Name), func(v string) string { return v })
	case d.Kind == audit.Flag:
		w.flag(f, d)
	case d.Kind == audit.Identity:
		var ids []string
		for _, v := range f.Values {
			if id, err := audit.ParseID(v); err == nil {
				ids = append(ids, hexOf(id))
			}
		}
		w.either(f.Op, terms(d.Name, ids))
	default:
		w.numbers(f, d)
	}
}

func (w *where) either(op audit.Ops, condition any) {
	if op == audit.OpNot {
		w.not = append(w.not, condition)
	} else {
		w.must = append(w.must, condition)
	}
}

// texts compares a keyword; there is one for every value that is not empty.
func (w *where) texts(f *audit.Filter, field string, there object, termOf func(string) string) {
	var values []string
	empty := false
	for _, v := range f.Values {
		if v == "" {
			empty = true
			continue
		}
		values = append(values, termOf(v))
	}
	switch f.Op {
	case audit.OpPrefix:
		var some []any
		for _, v := range values {
			some = append(some, object{"prefix": object{field: v}})
		}
		w.must = append(w.must, anyOf(some...))
	case audit.OpNot:
		if len(values) > 0 {
			w.not = append(w.not, terms(field, values))
		}
		if empty {
			w.must = append(w.must, there)
		}
	default:
		var some []any
		if len(values) > 0 {
			some = append(some, terms(field, values))
		}
		if empty {
			some = append(some, object{"bool": object{"must_not": there}})
		}
		w.must = append(w.must, anyOf(some...))
	}
}

// flag compares a flag, of which only true is written.
func (w *where) flag(f *audit.Filter, d *audit.Field) {
	yes, no := slices.Contains(f.Values, "true"), slices.Contains(f.Values, "false")
	if f.Op == audit.OpNot {
		yes, no = !yes, !no
	}
	switch {
	case yes && no:
	case yes:
		w.must = append(w.must, term(d.Name, true))
	case no:
		w.not = append(w.not, term(d.Name, true))
	default:
		w.must = append(w.must, nothing())
	}
}

// numbers compares a number, of which zero is not written.
func (w *where) numbers(f *audit.Filter, d *audit.Field) {
	var values []int64
	var some []any
	for _, v := range f.Values {
		switch n, err := strconv.ParseInt(v, 10, 64); {
		case err != nil:
		case n == 0:
			some = append(some, absent(d.Name))
		default:
			values = append(values, n)
		}
	}
	if len(values) > 0 {
		some = append(some, terms(d.Name, values))
	}
	if len(some) == 0 {
		some = append(some, nothing())
	}
	w.either(f.Op, anyOf(some...))
}

// interval compares with bounds; an absent number is 0, an absent time no number.
func (w *where) interval(f *audit.Filter, d *audit.Field) {
	bounds := object{}
	zero := d.Kind != audit.Instant
	if f.Min != nil {
		bounds["gte"] = *f.Min
		zero = zero && *f.Min <= 0
	}
	if f.Max != nil {
		bounds["lte"] = *f.Max
		zero = zero && *f.Max >= 0
	}
	some := []any{object{"range": object{d.Name: bounds}}}
	if zero {
		some = append(some, absent(d.Name))
	}
	w.must = append(w.must, anyOf(some...))
}

// ofScope keeps the records of one namespace and tenant.
func (w *where) ofScope(scope audit.Scope) {
	namespace, tenant := audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant)
	w.filter(&namespace)
	w.filter(&tenant)
}
