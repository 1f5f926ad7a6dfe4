package audit

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Filter is one condition on one field or metadata key.
type Filter struct {
	// Field is the name of a dimension, or "metadata." and a key.
	Field string
	Op    Ops
	// Values are for OpIs, OpNot and OpPrefix: any of them (OpNot: none of
	// them). Numbers, flags and ids are written as in the JSON form.
	Values []string
	// Min and Max are for OpRange, inclusive, nil for unbounded, in the
	// field's number (see [Field.Int]).
	Min, Max *int64
}

// MetadataPrefix begins the Field of a filter on a metadata key.
const MetadataPrefix = "metadata."

// Dimension gives the field that the filter is on; ok is false for a metadata key.
func (f *Filter) Dimension() (*Field, bool) {
	if strings.HasPrefix(f.Field, MetadataPrefix) {
		return nil, false
	}
	return FieldByName(f.Field)
}

// MetadataKey gives the metadata key that the filter is on.
func (f *Filter) MetadataKey() (string, bool) {
	return strings.CutPrefix(f.Field, MetadataPrefix)
}

// Match reports whether the record meets the condition.
func (f *Filter) Match(r *Record) bool {
	if key, ok := f.MetadataKey(); ok {
		v, _ := MetadataValue(r.Metadata, key)
		return f.matchText(v)
	}
	d, ok := FieldByName(f.Field)
	if !ok {
		return false
	}
	if f.Op == OpRange {
		n := d.Int(r)
		if d.Kind == Instant && n == 0 {
			return false
		}
		return (f.Min == nil || n >= *f.Min) && (f.Max == nil || n <= *f.Max)
	}
	return f.matchText(d.Text(r))
}

func (f *Filter) matchText(v string) bool {
	switch f.Op {
	case OpIs:
		return slices.Contains(f.Values, v)
	case OpNot:
		return !slices.Contains(f.Values, v)
	case OpPrefix:
		for _, p := range f.Values {
			if strings.HasPrefix(v, p) {
				return true
			}
		}
	}
	return false
}

// Is makes a filter: the field equals any of the values.
func Is(field string, values ...string) Filter { return Filter{Field: field, Op: OpIs, Values: values} }

// Not makes a filter: the field equals none of the values.
func Not(field string, values ...string) Filter {
	return Filter{Field: field, Op: OpNot, Values: values}
}

// Prefix makes a filter: the field starts with any of the values.
func Prefix(field string, values ...string) Filter {
	return Filter{Field: field, Op: OpPrefix, Values: values}
}

func (f *Filter) validate() error {
	if key, ok := f.MetadataKey(); ok {
		key = mendText(key)
		f.Field = MetadataPrefix + key
		if key == "" || len(key) > MaxMetadataKey {
			return Invalid(clip(f.Field), "a metadata key has 1 to %d bytes", MaxMetadataKey)
		}
		if f.Op != OpIs && f.Op != OpNot && f.Op != OpPrefix {
			return Invalid(clip(f.Field), "a metadata key can be compared, negated or matched by prefix")
		}
		for i, v := range f.Values {
			f.Values[i] = mendText(v)
		}
		return f.checkValues()
	}
	d, ok := FieldByName(f.Field)
	if !ok || d.Ops == 0 {
		return Invalid(clip(f.Field), "is not a dimension")
	}
	if f.Op&d.Ops == 0 || f.Op&(f.Op-1) != 0 {
		return Invalid(d.Name, "does not support this comparison")
	}
	if f.Op == OpRange {
		if f.Min == nil && f.Max == nil {
			return Invalid(d.Name, "a range needs a minimum or a maximum")
		}
		for _, bound := range []*int64{f.Min, f.Max} {
			if d.Kind == Instant && bound != nil && !writableTime(FromMicros(*bound)) {
				return Invalid(d.Name, "a bound is outside the years 1 to %d", MaxYear)
			}
		}
		return nil
	}
	if d.Kind == Text {
		if err := f.mendValues(d); err != nil {
			return err
		}
	}
	if err := f.checkValues(); err != nil {
		return err
	}
	for i, v := range f.Values {
		switch d.Kind {
		case Flag:
			if v != "true" && v != "false" {
				return Invalid(d.Name, "is %q, want true or false", clip(v))
			}
		case Number:
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil || n < 0 {
				return Invalid(d.Name, "%q is not a whole number from 0 to 2^63-1", clip(v))
			}
			f.Values[i] = strconv.FormatInt(n, 10)
		case Identity:
			id, _, err := IDFrom(v)
			if err != nil {
				return err
			}
			f.Values[i] = id.String()
		}
	}
	return nil
}

func (f *Filter) checkValues() error {
	if len(f.Values) == 0 {
		return Invalid(clip(f.Field), "needs a value")
	}
	if len(f.Values) > MaxValues {
		return Invalid(clip(f.Field), "%d values, at most %d", len(f.Values), MaxValues)
	}
	for _, v := range f.Values {
		if f.Op == OpPrefix && v == "" {
			return Invalid(clip(f.Field), "a prefix must not be empty")
		}
		if len(v) > limitLong {
			return Invalid(clip(f.Field), "a value has %d bytes, at most %d", len(v), limitLong)
		}
	}
	return nil
}

// mendValues brings the values into the form that the door gave the texts of
// the records, so that equal texts are found; and no engine has to be asked for
// a NUL or invalid UTF-8.
func (f *Filter) mendValues(d *Field) error {
	for i, v := range f.Values {
		switch {
		case isBoundary(d):
			if cleanText(v, d.Limit) != v {
				return Invalid(d.Name, "is longer than %d bytes, has a NUL or is not valid UTF-8", d.Limit)
			}
		case f.Op == OpPrefix:
			f.Values[i] = mendText(v)
		default:
			f.Values[i] = cleanText(v, d.Limit)
		}
	}
	return nil
}

// mendText is [cleanText] without a limit.
func mendText(s string) string { return cleanText(s, len(s)*utf8.UTFMax) }
