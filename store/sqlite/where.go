package sqlite

import (
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// where gathers conditions on a record r and the arguments of their
// parameters. Values of users are always parameters, never part of the text.
// audit.Query.Match is the meaning that each translation must have.
type where struct {
	sql  strings.Builder
	args []any
}

// and begins one more condition that must hold too.
func (w *where) and() {
	if w.sql.Len() > 0 {
		w.sql.WriteString(" AND ")
	}
}

// add appends text and the arguments of the parameters in it.
func (w *where) add(sql string, args ...any) {
	w.sql.WriteString(sql)
	w.args = append(w.args, args...)
}

// append adds all of another's conditions.
func (w *where) append(other *where) {
	if other.sql.Len() > 0 {
		w.and()
		w.add(other.sql.String(), other.args...)
	}
}

// filter adds a condition on any field or key but namespace and tenant. The
// result may be NULL where it is not true.
func (w *where) filter(f *audit.Filter) error {
	if key, ok := f.MetadataKey(); ok {
		w.and()
		w.metadata(key, f)
		return nil
	}
	d, ok := f.Dimension()
	if !ok {
		return audit.Invalid(f.Field, "is not a dimension")
	}
	w.and()
	column := "r." + d.Name
	switch d.Kind {
	case audit.Text:
		w.text(column, f)
	case audit.Flag:
		w.flag(column, f)
	case audit.Identity:
		return w.identity(column, f)
	case audit.Instant:
		w.bounds(column, f)
		w.add(" AND " + column + " <> 0") // 0 is an absent time
	default:
		return w.number(column, f)
	}
	return nil
}

// text compares a text column in which NULL and ” are both the absent value.
func (w *where) text(column string, f *audit.Filter) {
	switch f.Op {
	case audit.OpPrefix:
		w.prefixes(column, f.Values)
	case audit.OpNot:
		w.add("ifnull(" + column + ", '') NOT IN ")
		w.list(f.Values)
	default:
		for _, v := range f.Values {
			if v == "" {
				column = "ifnull(" + column + ", '')"
				break
			}
		}
		if len(f.Values) == 1 {
			w.add(column+" = ?", f.Values[0])
			return
		}
		w.add(column + " IN ")
		w.list(f.Values)
	}
}

func (w *where) list(values []string) {
	w.add("(")
	for i, v := range values {
		if i > 0 {
			w.add(",")
		}
		w.add("?", v)
	}
	w.add(")")
}

// prefixes compares by ranges of bytes: the columns have the collation BINARY,
// so a value begins with p when it is at least p and less than p's successor.
func (w *where) prefixes(column string, prefixes []string) {
	w.add("(")
	for i, p := range prefixes {
		if i > 0 {
			w.add(" OR ")
		}
		w.add(column+" >= ?", p)
		if next, ok := successor(p); ok {
			w.add(" AND "+column+" < ?", next)
		}
	}
	w.add(")")
}

// successor gives the least string that is greater than every string with the
// prefix; there is none after a run of 0xff.
func successor(p string) (string, bool) {
	b := []byte(p)
	for len(b) > 0 {
		if last := len(b) - 1; b[last] < 0xff {
			b[last]++
			return string(b), true
		}
		b = b[:len(b)-1]
	}
	return "", false
}

func (w *where) flag(column string, f *audit.Filter) {
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
		w.add("1")
	case yes:
		w.add("ifnull(" + column + ", 0) = 1")
	case no:
		w.add("ifnull(" + column + ", 0) <> 1")
	default:
		w.add("0")
	}
}

func (w *where) identity(column string, f *audit.Filter) error {
	if f.Op == audit.OpNot {
		w.add(column + " NOT IN (")
	} else {
		w.add(column + " IN (")
	}
	for i, v := range f.Values {
		id, err := audit.ParseID(v)
		if err != nil {
			return err
		}
		if i > 0 {
			w.add(",")
		}
		w.add("?", id)
	}
	w.add(")")
	return nil
}

// number compares a column in which NULL is 0.
func (w *where) number(column string, f *audit.Filter) error {
	column = "ifnull(" + column + ", 0)"
	if f.Op == audit.OpRange {
		w.bounds(column, f)
		return nil
	}
	if f.Op == audit.OpNot {
		w.add(column + " NOT IN (")
	} else {
		w.add(column + " IN (")
	}
	for i, v := range f.Values {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return audit.Invalid(f.Field, "%.40q is not a whole number", v)
		}
		if i > 0 {
			w.add(",")
		}
		w.add("?", n)
	}
	w.add(")")
	return nil
}

func (w *where) bounds(column string, f *audit.Filter) {
	if f.Min != nil {
		w.add(column+" >= ?", *f.Min)
	}
	if f.Min != nil && f.Max != nil {
		w.add(" AND ")
	}
	if f.Max != nil {
		w.add(column+" <= ?", *f.Max)
	}
}

// match gives the expression of a full text search: every term a quoted token,
// in which nothing is an operator. Tokens hold letters and digits only.
func match(terms []audit.Term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(" AND ")
		}
		b.WriteString(`"` + t.Token + `"`)
		if t.Prefix {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// open adds the conditions of Query.Open. The outcome of an action is mostly
// near its intent, so the intent's own block is looked at first, then the later
// ones and then the earlier ones.
func (w *where) open() {
	w.and()
	w.add("r.outcome = 'pending' AND r.action_id <> ''")
	const ended = "o.action_id = r.action_id AND o.scope = r.scope AND ifnull(o.outcome, '') <> 'pending')"
	w.add(" AND NOT EXISTS (SELECT 1 FROM @records o INDEXED BY @records_action_id WHERE (o.n >> 14) = (r.n >> 14) AND " + ended)
	for _, side := range []string{">", "<"} {
		w.add(" AND NOT EXISTS (SELECT 1 FROM @blocks b CROSS JOIN @records o INDEXED BY @records_action_id" +
			" WHERE b.block " + side + " (r.n >> 14) AND (o.n >> 14) = +b.block AND " + ended) // + as the index has no affinity
	}
}
