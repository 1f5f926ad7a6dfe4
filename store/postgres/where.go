package postgres

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// where gathers conditions on a record r and the arguments of their
// parameters. Values of users are always parameters, never part of the text.
// audit.Query.Match is the meaning that each translation must have.
//
// A condition is plain where it has the form that an index can serve, and
// fenced where it hides the column in an expression: PostgreSQL would otherwise
// be free to go by another index than the one we chose. A
// condition may be NULL where it is not true: use NOT with IS NOT TRUE.
type where struct {
	sql  strings.Builder
	args []any
}

// arg adds an argument and gives the text that stands for it.
func (w *where) arg(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// add appends text.
func (w *where) add(parts ...string) {
	for _, p := range parts {
		w.sql.WriteString(p)
	}
}

// and begins one more condition that must hold too.
func (w *where) and() {
	if w.sql.Len() > 0 {
		w.sql.WriteString(" AND ")
	}
}

// text gives the conditions, "true" where there is none.
func (w *where) text() string {
	if w.sql.Len() == 0 {
		return "true"
	}
	return w.sql.String()
}

// filter adds a condition on any field or key but namespace and tenant.
func (w *where) filter(f *audit.Filter, plain bool) error { return w.filterAs(f, plain, bare) }

// bare is a column as it is.
func bare(table, name string) string { return table + name }

// filterAs does so with the form that an index holds of a column, where the
// condition is to be plain.
func (w *where) filterAs(f *audit.Filter, plain bool, form func(table, name string) string) error {
	if key, ok := f.MetadataKey(); ok {
		w.and()
		w.metadata(key, f)
		return nil
	}
	d, ok := f.Dimension()
	if !ok || d.Ops&f.Op == 0 {
		return audit.Invalid(f.Field, "is not a dimension, or has no such comparison")
	}
	w.and()
	name := "r." + column(d)
	if plain {
		name = form("r.", column(d))
	}
	switch d.Kind {
	case audit.Text:
		w.texts(name, f, plain)
	case audit.Flag:
		w.flag(name, f)
	case audit.Identity:
		return w.identity(name, f)
	case audit.Instant:
		w.instants(name, f, plain)
	default:
		return w.numbers(name, f, plain)
	}
	return nil
}

// texts compares a text column in which NULL and the empty text both are the absent value.
func (w *where) texts(name string, f *audit.Filter, plain bool) {
	fenced := "coalesce(" + name + ", '')"
	if !plain || hasEmpty(f.Values) {
		name = fenced
	}
	switch {
	case f.Op == audit.OpPrefix:
		w.prefixes(name, f.Values)
	case f.Op == audit.OpNot && len(f.Values) == 1:
		w.add(fenced, " <> ", w.arg(f.Values[0]))
	case f.Op == audit.OpNot && len(f.Values) > fewValues:
		w.add("(", fenced, " NOT IN (SELECT unnest(", w.arg(f.Values), "::text[]))) IS TRUE")
	case f.Op == audit.OpNot:
		w.add(fenced, " <> ALL(", w.arg(f.Values), "::text[])")
	case len(f.Values) == 1:
		w.add(name, " = ", w.arg(f.Values[0]))
	case !plain && len(f.Values) > fewValues:
		w.add("(", fenced, " IN (SELECT unnest(", w.arg(f.Values), "::text[]))) IS TRUE")
	default:
		w.add(name, " = ANY(", w.arg(f.Values), "::text[])")
	}
}

func hasEmpty(values []string) bool {
	for _, v := range values {
		if v == "" {
			return true
		}
	}
	return false
}

// prefixes compares one prefix by a range, which an index can serve: the
// columns are compared by bytes, so a value begins with p when it is at least p
// and less than p's successor. Nothing in a prefix is an operator.
func (w *where) prefixes(name string, prefixes []string) {
	if len(prefixes) > 1 {
		w.add(name, " ^@ ANY(", w.arg(prefixes), "::text[])")
		return
	}
	w.add(name, " >= ", w.arg(prefixes[0]))
	if next, ok := successor(prefixes[0]); ok {
		w.add(" AND ", name, " < ", w.arg(next))
	}
}

// successor gives the least text that is greater than every text with the
// prefix. It is UTF-8 as the prefix is, whose order is that of its bytes; there
// is none after a run of the last code point.
func successor(p string) (string, bool) {
	for p != "" {
		last, size := utf8.DecodeLastRuneInString(p)
		p = p[:len(p)-size]
		switch {
		case last == 0xd7ff: // before the surrogates, which are no text
			return p + "\ue000", true
		case last < utf8.MaxRune:
			return p + string(last+1), true
		}
	}
	return "", false
}

// flag compares a boolean column in which NULL is false.
func (w *where) flag(name string, f *audit.Filter) {
	yes, no := false, false
	for _, v := range f.Values {
		yes = yes || v == "true"
		no = no || v == "false"
	}
	if f.Op == audit.OpNot {
		yes, no = !yes, !no
	}
	switch {
	case yes && no:
		w.add("true")
	case yes:
		w.add(name, " IS TRUE")
	case no:
		w.add(name, " IS NOT TRUE")
	default:
		w.add("false")
	}
}

func (w *where) identity(name string, f *audit.Filter) error {
	ids, err := idsOf(f)
	if err != nil {
		return err
	}
	if f.Op == audit.OpNot {
		w.add(name, " <> ALL(", w.arg(ids), "::uuid[])")
	} else {
		w.add(name, " = ANY(", w.arg(ids), "::uuid[])")
	}
	return nil
}

// idsOf gives the values of a filter on ids as the driver takes them.
func idsOf(f *audit.Filter) ([][16]byte, error) {
	ids := make([][16]byte, len(f.Values))
	for i, v := range f.Values {
		id, err := audit.ParseID(v)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	return ids, nil
}

// numbers compares a column in which NULL is 0.
func (w *where) numbers(name string, f *audit.Filter, plain bool) error {
	fenced := "coalesce(" + name + ", 0)"
	if f.Op == audit.OpRange {
		// A bare NULL is outside of every range that does not hold 0.
		if !plain || (f.Min == nil || *f.Min <= 0) && (f.Max == nil || *f.Max >= 0) {
			name = fenced
		}
		if f.Min != nil {
			w.add(name, " >= ", w.arg(*f.Min), "::bigint")
		}
		if f.Min != nil && f.Max != nil {
			w.add(" AND ")
		}
		if f.Max != nil {
			w.add(name, " <= ", w.arg(*f.Max), "::bigint")
		}
		return nil
	}
	list, err := numbersOf(f)
	if err != nil {
		return err
	}
	if f.Op == audit.OpNot {
		w.add(fenced, " <> ALL(", w.arg(list), "::bigint[])")
		return nil
	}
	zero := false
	for _, n := range list {
		zero = zero || n == 0
	}
	if !plain || zero {
		name = fenced
	}
	if len(list) == 1 {
		w.add(name, " = ", w.arg(list[0]), "::bigint")
	} else {
		w.add(name, " = ANY(", w.arg(list), "::bigint[])")
	}
	return nil
}

func numbersOf(f *audit.Filter) ([]int64, error) {
	list := make([]int64, len(f.Values))
	for i, v := range f.Values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, audit.Invalid(f.Field, "%.40q is not a whole number", v)
		}
		list[i] = n
	}
	return list, nil
}

// epochText is the time that a record holds where it holds none.
const epochText = "timestamptz 'epoch'"

// instants compares a time, which an absent one never meets.
func (w *where) instants(name string, f *audit.Filter, plain bool) {
	if !plain {
		name = "coalesce(" + name + ", " + epochText + ")"
	}
	if f.Min != nil {
		w.add(name, " >= ", w.arg(time.UnixMicro(*f.Min).UTC()), " AND ")
	}
	if f.Max != nil {
		w.add(name, " <= ", w.arg(time.UnixMicro(*f.Max).UTC()), " AND ")
	}
	w.add(name, " <> ", epochText)
}

// fewValues is how many values are compared one after the other; more are put
// into a table of hashes for the statement.
const fewValues = 16

// scopes adds the condition on the scope, fenced.
func (w *where) scopes(numbers []int32) {
	w.and()
	if len(numbers) > fewValues {
		w.add("((r.scope + 0) IN (SELECT unnest(", w.arg(numbers), "::int[]))) IS TRUE")
		return
	}
	w.add("(r.scope + 0) = ANY(", w.arg(numbers), "::int[])")
}

// open adds what Query.Open asks of other records: that none of the same action
// and scope has another outcome. It is looked for in the intent's own block
// first and then in the blocks given.
func (w *where) open(blocks []int32) {
	const ended = " AND o.action_id = r.action_id AND o.scope = r.scope AND coalesce(o.outcome, '') <> 'pending' LIMIT 1)"
	w.and()
	// Scalar queries, as PostgreSQL would make a join of EXISTS, in an order of its own.
	w.add("CASE WHEN r.action_id IS NULL OR r.action_id = '' THEN false",
		" WHEN (SELECT true FROM @records o WHERE o.block = r.block", ended, " THEN false",
		" ELSE (SELECT true FROM unnest(", w.arg(blocks), "::int[]) AS b(block) CROSS JOIN LATERAL",
		" (SELECT 1 FROM @records o WHERE o.block = b.block", ended, " x LIMIT 1) IS NULL END")
}
