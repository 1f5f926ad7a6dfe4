package analytics

import (
	"cmp"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// Records gives the question as Distinct and DistinctPairs ask it: validated,
// without a position, every record of every kind and outcome. Its order is
// newest first and its limit, which only a page has, audit.MaxLimit.
func Records(q *audit.Query) (*audit.Query, error) {
	all := *q
	all.Order, all.After, all.Limit = audit.NewestFirst, audit.Position{}, audit.MaxLimit
	return all.Validate()
}

// Calls gives the question that keeps calls only: [Records] with the conditions
// kind=event and outcome≠pending. Where the question has conditions on these
// itself, they are narrowed. ok is false when no call can meet the question,
// because it asks for intents or for another kind: the answer is then the empty
// one, not an error.
//
// The result is in the canonical form of [audit.Query.Validate] but may have
// two filters, and one value in a filter, more than a caller may ask for.
func Calls(q *audit.Query) (calls *audit.Query, ok bool, err error) {
	calls, err = Records(q)
	if err != nil {
		return nil, false, err
	}
	ok = !calls.Open && keepOnly(calls, "kind", string(audit.KindEvent)) &&
		leaveOut(calls, "outcome", string(audit.Pending))
	return calls, ok, nil
}

// keepOnly adds the condition that the field has one of the values, and reports
// whether a record can still meet it together with the one that was there. The
// question must be validated and the caller's own.
func keepOnly(q *audit.Query, field string, values ...string) bool {
	is, at := findFilter(q, field, audit.OpIs)
	if is == nil {
		values = slices.Compact(slices.Sorted(slices.Values(values)))
		q.Filters = slices.Insert(q.Filters, at, audit.Is(field, values...))
		return true
	}
	is.Values = slices.DeleteFunc(is.Values, func(v string) bool { return !slices.Contains(values, v) })
	return len(is.Values) > 0
}

// leaveOut adds the condition that the field has not the value; as keepOnly.
func leaveOut(q *audit.Query, field, value string) bool {
	if is, _ := findFilter(q, field, audit.OpIs); is != nil {
		is.Values = slices.DeleteFunc(is.Values, func(v string) bool { return v == value })
		return len(is.Values) > 0
	}
	not, at := findFilter(q, field, audit.OpNot)
	if not == nil {
		q.Filters = slices.Insert(q.Filters, at, audit.Not(field, value))
		return true
	}
	if i, found := slices.BinarySearch(not.Values, value); !found {
		not.Values = slices.Insert(not.Values, i, value)
	}
	return true
}

// findFilter gives the filter, or nil, and its place in the canonical order.
func findFilter(q *audit.Query, field string, op audit.Ops) (*audit.Filter, int) {
	at, found := slices.BinarySearchFunc(q.Filters, op, func(f audit.Filter, op audit.Ops) int {
		return cmp.Or(cmp.Compare(f.Field, field), cmp.Compare(f.Op, op))
	})
	if !found {
		return nil, at
	}
	return &q.Filters[at], at
}

// CheckBreakdown checks the arguments of Breakdown and gives the field and the
// limit in force. Errors name dimension or limit.
func CheckBreakdown(dimension string, limit int) (*audit.Field, int, error) {
	f, ok := audit.FieldByName(dimension)
	if !ok || f.Ops&audit.OpIs == 0 || f.Kind != audit.Text && f.Kind != audit.Flag {
		return nil, 0, audit.Invalid("dimension", "%.40q is not a dimension that holds texts or flags", dimension)
	}
	switch {
	case limit < 0:
		return nil, 0, audit.Invalid("limit", "is negative")
	case limit > MaxGroups:
		return nil, 0, audit.Invalid("limit", "is %d, at most %d", limit, MaxGroups)
	case limit == 0:
		limit = DefaultGroups
	}
	return f, limit, nil
}

// GroupValue gives the value by which Breakdown groups the call: that of the
// field, but for the dimension actor the e-mail where the call has one.
func GroupValue(f *audit.Field, r *audit.Record) string {
	if f.Name == "actor" && r.Actor.Email != "" {
		return r.Actor.Email
	}
	return f.Text(r)
}

// CheckColumn checks a column for Distinct or DistinctPairs: it must be a
// dimension that holds texts. The error names the parameter that gave it:
// column, a or b.
func CheckColumn(param, column string) (*audit.Field, error) {
	f, ok := audit.FieldByName(column)
	if !ok || f.Ops&audit.OpIs == 0 || f.Kind != audit.Text {
		return nil, audit.Invalid(param, "%.40q is not a dimension that holds texts", column)
	}
	return f, nil
}

// TooManyValues is the error for a column with more than MaxDistinct values.
func TooManyValues(f *audit.Field) error {
	e := audit.Invalid(f.Name, "has more than %d distinct values: narrow the question", MaxDistinct).(*audit.Error)
	e.Code = audit.CodeTooLarge
	return e
}

// CheckKinds gives the toolkit kinds in force, each list in order and without
// repetition. An empty list stands for the default one. An empty kind and more
// than half of audit.MaxValues kinds are errors that name the list.
func CheckKinds(kinds DiscoveryKinds) (DiscoveryKinds, error) {
	standard := DefaultDiscoveryKinds()
	var err error
	if kinds.Discovery, err = checkKinds("discovery", kinds.Discovery, standard.Discovery); err != nil {
		return DiscoveryKinds{}, err
	}
	if kinds.Query, err = checkKinds("query", kinds.Query, standard.Query); err != nil {
		return DiscoveryKinds{}, err
	}
	return kinds, nil
}

func checkKinds(param string, kinds, standard []string) ([]string, error) {
	// Both lists together fit into one filter.
	const most = audit.MaxValues / 2
	switch {
	case len(kinds) == 0:
		return standard, nil
	case len(kinds) > most:
		return nil, audit.Invalid(param, "%d toolkit kinds, at most %d", len(kinds), most)
	case slices.Contains(kinds, ""):
		return nil, audit.Invalid(param, "a toolkit kind must not be empty")
	}
	return slices.Compact(slices.Sorted(slices.Values(kinds))), nil
}
