package clickhouse

import (
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// where gathers conditions. audit.Query.Match is the meaning that each
// translation must have; no column is ever NULL.
type where struct{ sql strings.Builder }

// and adds a condition, which must bind its parts together itself.
func (w *where) and(parts ...string) {
	if w.sql.Len() > 0 {
		w.sql.WriteString(" AND ")
	}
	for _, p := range parts {
		w.sql.WriteString(p)
	}
}

// String gives the conditions, "1" where there is none.
func (w *where) String() string {
	if w.sql.Len() == 0 {
		return "1"
	}
	return w.sql.String()
}

// question adds every condition of the question but After. full says whether
// the tables have full text.
func (s *Store) question(w *where, q *audit.Query) error {
	if !q.From.IsZero() {
		w.and("occurred_at>=", integer(q.From.UnixMicro()))
	}
	if !q.To.IsZero() {
		w.and("occurred_at<", integer(q.To.UnixMicro()))
	}
	for i := range q.Filters {
		if err := w.filter(&q.Filters[i]); err != nil {
			return err
		}
	}
	if q.Open {
		w.and("outcome='pending'")
		w.and("action_id!=''")
		// The outcome may be anywhere, whatever else the question asks for.
		w.and("(namespace,tenant,action_id) NOT IN (SELECT namespace,tenant,action_id FROM ", s.records,
			" WHERE outcome!='pending' AND action_id!='' AND action_id IN (SELECT action_id FROM ", s.records, " WHERE ", openIntents(q), "))")
	}
	if q.Text != "" {
		return s.fullText(w, q.Text)
	}
	return nil
}

// openIntents are the conditions that narrow the intents of a question without
// a reference to other records.
func openIntents(q *audit.Query) string {
	var w where
	w.and("outcome='pending' AND action_id!=''")
	if !q.From.IsZero() {
		w.and("occurred_at>=", integer(q.From.UnixMicro()))
	}
	if !q.To.IsZero() {
		w.and("occurred_at<", integer(q.To.UnixMicro()))
	}
	return w.String()
}

// filter adds the condition of one filter.
func (w *where) filter(f *audit.Filter) error {
	if key, ok := f.MetadataKey(); ok {
		w.metadata(key, f)
		return nil
	}
	d, ok := f.Dimension()
	if !ok || d.Ops&f.Op == 0 {
		return audit.Invalid(f.Field, "is not a dimension, or has no such comparison")
	}
	if f.Op == audit.OpRange {
		w.between(d, f)
		return nil
	}
	switch d.Kind {
	case audit.Text:
		w.texts(d.Name, f)
	case audit.Flag:
		w.flag(d.Name, f)
	case audit.Identity:
		return w.identities(d.Name, f)
	default:
		return w.numbers(d.Name, f)
	}
	return nil
}

func (w *where) texts(name string, f *audit.Filter) {
	switch {
	case f.Op == audit.OpPrefix:
		parts := make([]string, len(f.Values))
		for i, v := range f.Values {
			parts[i] = "startsWith(" + name + "," + text(v) + ")"
		}
		w.and("(", strings.Join(parts, " OR "), ")")
	case f.Op == audit.OpNot && len(f.Values) == 1:
		w.and(name, "!=", text(f.Values[0]))
	case f.Op == audit.OpNot:
		w.and(name, " NOT IN ", texts(f.Values))
	case len(f.Values) == 1:
		w.and(name, "=", text(f.Values[0]))
	default:
		w.and(name, " IN ", texts(f.Values))
	}
}

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
		w.and("1")
	case yes:
		w.and(name, "!=0")
	case no:
		w.and(name, "=0")
	default:
		w.and("0")
	}
}

func (w *where) identities(name string, f *audit.Filter) error {
	list := make([]string, len(f.Values))
	for i, v := range f.Values {
		id, err := audit.ParseID(v)
		if err != nil {
			return err
		}
		list[i] = identity(id)
	}
	op := " IN ("
	if f.Op == audit.OpNot {
		op = " NOT IN ("
	}
	w.and(name, op, strings.Join(list, ","), ")")
	return nil
}

func (w *where) numbers(name string, f *audit.Filter) error {
	list := make([]string, len(f.Values))
	for i, v := range f.Values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return audit.Invalid(f.Field, "%.40q is not a whole number", v)
		}
		list[i] = strconv.FormatInt(n, 10)
	}
	op := " IN ("
	if f.Op == audit.OpNot {
		op = " NOT IN ("
	}
	w.and(name, op, strings.Join(list, ","), ")")
	return nil
}

// between compares by a range, which an absent time never meets.
func (w *where) between(d *audit.Field, f *audit.Filter) {
	if f.Min != nil {
		w.and(d.Name, ">=", integer(*f.Min))
	}
	if f.Max != nil {
		w.and(d.Name, "<=", integer(*f.Max))
	}
	if d.Kind == audit.Instant {
		w.and(d.Name, "!=0")
	}
}

// fullText adds the condition that every word occurs.
func (s *Store) fullText(w *where, search string) error {
	if !s.text {
		return audit.Unsupported("these tables have no full text")
	}
	terms, err := audit.ParseText(search)
	if err != nil {
		return err
	}
	var whole []string
	for _, t := range terms {
		if t.Prefix {
			w.and("position(concat(' ',search),", text(" "+t.Token), ")>0")
		} else {
			whole = append(whole, text(t.Token))
		}
	}
	if len(whole) > 0 {
		w.and("hasAllTokens(search,[", strings.Join(whole, ","), "])")
	}
	return nil
}

// after adds what comes after a position in the order; with is whether the
// position itself is in it.
func (w *where) after(p audit.Position, order audit.Order, with bool) {
	if p.IsZero() {
		return
	}
	at, id := integer(audit.Micros(p.OccurredAt)), identity(p.ID)
	op := "<"
	if order == audit.OldestFirst {
		op = ">"
	}
	eq := ""
	if with {
		eq = "="
	}
	// The first condition is the one that indexes serve.
	w.and("occurred_at", op, "=", at)
	w.and("(occurred_at", op, at, " OR id", op, eq, id, ")")
}
