package audit

import (
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The parameters that are not dimensions.
const (
	ParamFrom   = "from"
	ParamTo     = "to"
	ParamText   = "q"
	ParamOpen   = "open"
	ParamPhase  = "phase"
	ParamOrder  = "order"
	ParamLimit  = "limit"
	ParamCursor = "cursor"
)

// The suffixes that choose an operator: tenant.not=a, action.prefix=tool.,
// duration_ms.min=100. A dimension without a suffix is OpIs. A metadata key
// that itself ends in one is written with its own: metadata.a.not.is=1.
const (
	suffixNot    = ".not"
	suffixPrefix = ".prefix"
	suffixMin    = ".min"
	suffixMax    = ".max"
	suffixIs     = ".is" // OpIs spelt out, for a metadata key that ends in a suffix itself
)

var suffixes = []struct {
	text string
	op   Ops
}{
	{suffixNot, OpNot}, {suffixPrefix, OpPrefix}, {suffixMin, OpRange}, {suffixMax, OpRange}, {suffixIs, OpIs},
}

// splitSuffix gives the field and the operator that a parameter's name stands for.
func splitSuffix(name string) (field string, op Ops, suffix string) {
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s.text); ok {
			return base, s.op, s.text
		}
	}
	return name, OpIs, ""
}

// ParseParams reads a question from URL parameters. Repeating a parameter
// means any of its values. An unknown parameter is an error, as a question
// that silently lost a condition would answer too much. The cursor is returned
// as it came; [OpenCursor] reads it.
func ParseParams(v url.Values) (q *Query, cursor string, err error) {
	q = &Query{}
	ranges := map[string]int{}
	names := make([]string, 0, len(v))
	for name := range v {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := v[name]
		switch name {
		case ParamFrom, ParamTo, ParamText, ParamOpen, ParamPhase, ParamOrder, ParamLimit, ParamCursor:
			if len(values) != 1 {
				return nil, "", Invalid(name, "is given %d times", len(values))
			}
			if name == ParamCursor {
				cursor = values[0]
			} else if err := q.setParam(name, values[0]); err != nil {
				return nil, "", err
			}
		default:
			if err := q.addParam(name, values, ranges); err != nil {
				return nil, "", err
			}
		}
	}
	return q, cursor, nil
}

func (q *Query) setParam(name, value string) (err error) {
	switch name {
	case ParamFrom:
		q.From, err = ParseTime(name, value)
	case ParamTo:
		q.To, err = ParseTime(name, value)
	case ParamText:
		q.Text = value
	case ParamOpen:
		if q.Open, err = strconv.ParseBool(value); err != nil {
			return Invalid(name, "is %q, want true or false", clip(value))
		}
	case ParamPhase:
		switch value {
		case "intent":
			q.Filters = append(q.Filters, Is("outcome", string(Pending)))
		case "outcome":
			q.Filters = append(q.Filters, Not("outcome", string(Pending)))
		default:
			return Invalid(name, "is %q, want intent or outcome", clip(value))
		}
	case ParamOrder:
		switch value {
		case "newest":
			q.Order = NewestFirst
		case "oldest":
			q.Order = OldestFirst
		default:
			return Invalid(name, "is %q, want newest or oldest", clip(value))
		}
	case ParamLimit:
		if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 1 || q.Limit > MaxLimit {
			return Invalid(name, "is %q, want 1 to %d", clip(value), MaxLimit)
		}
	}
	return err
}

func (q *Query) addParam(name string, values []string, ranges map[string]int) error {
	field, op, bound := splitSuffix(name)
	d, isDim := FieldByName(field)
	if isMeta := strings.HasPrefix(field, MetadataPrefix); isMeta && op == OpRange {
		return Invalid(clip(name), "a metadata key has no range; a key of that name is written with .is at its end")
	} else if !isMeta && (!isDim || d.Ops&op == 0) {
		return Invalid(clip(name), "is not a parameter")
	}
	if op != OpRange {
		q.Filters = append(q.Filters, Filter{Field: field, Op: op, Values: slices.Clone(values)})
		return nil
	}
	if len(values) != 1 {
		return Invalid(name, "is given %d times", len(values))
	}
	n, err := parseBound(d, name, values[0], bound == suffixMin)
	if err != nil {
		return err
	}
	at, ok := ranges[field]
	if !ok {
		at = len(q.Filters)
		ranges[field] = at
		q.Filters = append(q.Filters, Filter{Field: field, Op: OpRange})
	}
	if bound == suffixMin {
		q.Filters[at].Min = &n
	} else {
		q.Filters[at].Max = &n
	}
	return nil
}

// parseBound reads one end of a range in the units of the field's JSON form. A
// minimum between two microseconds is rounded up and a maximum down, which
// keeps exactly the records that it would keep at full resolution.
func parseBound(d *Field, name, value string, isMin bool) (int64, error) {
	switch d.Kind {
	case Instant:
		t, err := ParseTime(name, value)
		if isMin && err == nil && !t.IsZero() {
			t = ceilTime(t)
		}
		return micros(t), err
	case Span:
		us, exact, ok := parseDecimal(value, 3)
		if !ok {
			return 0, Invalid(name, "%q is not a number of milliseconds", clip(value))
		}
		if negative := strings.HasPrefix(value, "-"); !exact && isMin && !negative && us < math.MaxInt64 {
			us++
		} else if !exact && !isMin && negative && us > math.MinInt64 {
			us--
		}
		return us, nil
	default:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, Invalid(name, "%q is not a whole number", clip(value))
		}
		return n, nil
	}
}

// ParseTime reads RFC 3339, or a date alone, which is midnight UTC.
func ParseTime(name, value string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil {
			if t = t.UTC(); t.Year() < 1 || t.Year() > MaxYear {
				break
			}
			return t, nil
		}
	}
	return time.Time{}, Invalid(name, "%q is not a time such as 2026-01-31T12:00:00Z or 2026-01-31", clip(value))
}

// Params writes the question as URL parameters; [ParseParams] reads it back.
// The position is left out: it travels as a sealed cursor.
func (q *Query) Params() url.Values {
	v := url.Values{}
	if !q.From.IsZero() {
		v.Set(ParamFrom, q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		v.Set(ParamTo, q.To.UTC().Format(time.RFC3339Nano))
	}
	if q.Text != "" {
		v.Set(ParamText, q.Text)
	}
	if q.Open {
		v.Set(ParamOpen, "true")
	}
	if q.Order != NewestFirst {
		v.Set(ParamOrder, q.Order.String())
	}
	if q.Limit != 0 {
		v.Set(ParamLimit, strconv.Itoa(q.Limit))
	}
	for _, f := range q.Filters {
		switch f.Op {
		case OpIs:
			name := isParam(f.Field)
			v[name] = append(v[name], f.Values...)
		case OpNot:
			v[f.Field+suffixNot] = append(v[f.Field+suffixNot], f.Values...)
		case OpPrefix:
			v[f.Field+suffixPrefix] = append(v[f.Field+suffixPrefix], f.Values...)
		case OpRange:
			d, ok := f.Dimension()
			if !ok {
				continue
			}
			if f.Min != nil {
				v.Set(f.Field+suffixMin, formatBound(d, *f.Min))
			}
			if f.Max != nil {
				v.Set(f.Field+suffixMax, formatBound(d, *f.Max))
			}
		}
	}
	return v
}

// isParam is the name of the parameter that means OpIs.
func isParam(field string) string {
	if _, _, suffix := splitSuffix(field); suffix != "" {
		return field + suffixIs
	}
	return field
}

func formatBound(d *Field, n int64) string {
	switch d.Kind {
	case Instant:
		return FormatTime(FromMicros(n))
	case Span:
		return string(appendMicros(nil, n))
	}
	return strconv.FormatInt(n, 10)
}

// whereOps are the operators of [ParseWhere], the longer ones first.
var whereOps = []struct{ sign, suffix string }{
	{"!=", suffixNot}, {"^=", suffixPrefix}, {">=", suffixMin}, {"<=", suffixMax}, {"=", ""},
}

// ParseWhere reads one condition as a person types it and gives the parameter
// that means the same: actor=alice, actor!=alice, action^=tool.,
// duration_ms>=100, metadata.env=prod.
func ParseWhere(expr string) (param, value string, err error) {
	at, op := len(expr), -1
	for i, o := range whereOps {
		if j := strings.Index(expr, o.sign); j >= 0 && j < at {
			at, op = j, i
		}
	}
	if op < 0 || strings.TrimSpace(expr[:at]) == "" {
		return "", "", Invalid("where", "%q is not FIELD=VALUE, FIELD!=VALUE, FIELD^=PREFIX, FIELD>=MIN or FIELD<=MAX", clip(expr))
	}
	param, value = strings.TrimSpace(expr[:at]), strings.TrimSpace(expr[at+len(whereOps[op].sign):])
	if suffix := whereOps[op].suffix; suffix != "" {
		return param + suffix, value, nil
	}
	return isParam(param), value, nil
}
