package dynamodb

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// Limits of an expression ("Service, account, and table quotas"): 4 KB of text,
// 300 operators, 100 values of IN.
const (
	maxExpression = 3500
	maxOperands   = 250
	maxIn         = 100
)

// expression is a filter expression. It spares what it drops the way over the
// network, not the price of reading it. It need not be complete, as Query.Match
// has the last word; only a count relies on it where it is.
type expression struct {
	conditions []string
	size       int
	operands   int
	names      map[string]string
	values     item
	exact      bool // whether it says all that the question does

	// Of the condition that is being made.
	newNames  map[string]string
	newValues item
}

// filterOf translates what can be of a question's conditions. Those on
// namespace and tenant are answered by the choice of partitions, those on key by
// the partition itself: an expression must not name the keys of its index.
func filterOf(q *audit.Query, key string, byScope bool) *expression {
	x := &expression{names: map[string]string{}, values: item{}, exact: true}
	if q.Open {
		x.require(x.compare(nameOf("outcome"), "=", text(string(audit.Pending))))
		if key != attrActionID {
			x.require("attribute_exists(" + x.name(attrActionID) + ")")
		}
		x.exact = false
	}
	if !wholeMillis(q.From) {
		x.require(x.compare(nameOf("occurred_at"), ">=", number(q.From.UnixMicro())))
	}
	if !wholeMillis(q.To) {
		x.require(x.compare(nameOf("occurred_at"), "<", number(q.To.UnixMicro())))
	}
	for i := range q.Filters {
		f := &q.Filters[i]
		d, ok := f.Dimension()
		switch {
		case !ok || d.Name == "id": // metadata is one text, and the id is part of the key
			x.exact = false
		case d.Name == "namespace" || d.Name == "tenant":
			x.exact = x.exact && byScope
		case attributeOf(d) == key:
			x.exact = x.exact && f.Op == audit.OpIs
		default:
			x.require(x.condition(f, d))
		}
	}
	return x
}

// apply puts the expression into a call.
func (x *expression) apply(in *dynamodb.QueryInput) {
	if len(x.conditions) == 0 {
		return
	}
	in.FilterExpression = aws.String(strings.Join(x.conditions, " AND "))
	if len(x.names) > 0 {
		in.ExpressionAttributeNames = x.names
	}
	maps.Copy(in.ExpressionAttributeValues, x.values)
}

// require takes a condition in, if there is one and there is room for it.
func (x *expression) require(condition string) {
	operands := 1 + len(x.newValues)
	fits := condition != "" && condition != "()" && x.size+len(condition) <= maxExpression && x.operands+operands <= maxOperands
	if fits {
		x.conditions = append(x.conditions, condition)
		x.size += len(condition) + len(" AND ")
		x.operands += operands
		maps.Copy(x.names, x.newNames)
		maps.Copy(x.values, x.newValues)
	}
	x.exact = x.exact && fits
	x.newNames, x.newValues = nil, nil
}

// name gives the placeholder of an attribute, as many names are reserved words.
func (x *expression) name(attr string) string {
	for _, m := range []map[string]string{x.names, x.newNames} {
		for short, long := range m {
			if long == attr {
				return short
			}
		}
	}
	short := "#n" + strconv.Itoa(len(x.names)+len(x.newNames))
	if x.newNames == nil {
		x.newNames = map[string]string{}
	}
	x.newNames[short] = attr
	return short
}

func (x *expression) value(v types.AttributeValue) string {
	short := ":v" + strconv.Itoa(len(x.values)+len(x.newValues))
	if x.newValues == nil {
		x.newValues = item{}
	}
	x.newValues[short] = v
	return short
}

func (x *expression) compare(attr, op string, v types.AttributeValue) string {
	return x.name(attr) + " " + op + " " + x.value(v)
}

func (x *expression) absent(attr string) string {
	return "attribute_not_exists(" + x.name(attr) + ")"
}

// condition translates one filter; "" where that cannot be done.
func (x *expression) condition(f *audit.Filter, d *audit.Field) string {
	attr := attributeOf(d)
	if f.Op == audit.OpRange {
		return x.within(f, d, attr)
	}
	values, empty := operands(f, d)
	switch f.Op {
	case audit.OpIs:
		alternatives := x.anyOf(attr, values)
		if empty {
			alternatives = append(alternatives, x.absent(attr))
		}
		return join(alternatives, " OR ")
	case audit.OpNot:
		var all []string
		if empty {
			all = append(all, "attribute_exists("+x.name(attr)+")")
		}
		if alternatives := x.anyOf(attr, values); len(alternatives) > 0 {
			all = append(all, join([]string{x.absent(attr), "(NOT " + join(alternatives, " OR ") + ")"}, " OR "))
		}
		return join(all, " AND ")
	case audit.OpPrefix:
		var alternatives []string
		for _, v := range values {
			alternatives = append(alternatives, "begins_with("+x.name(attr)+", "+x.value(v)+")")
		}
		return join(alternatives, " OR ")
	}
	return ""
}

// join puts conditions together, in parentheses unless there is one only:
// DynamoDB refuses parentheses that are not needed.
func join(conditions []string, by string) string {
	if len(conditions) == 1 {
		return conditions[0]
	}
	return "(" + strings.Join(conditions, by) + ")"
}

// operands gives the values of a filter as they are stored; empty is set when
// one of them is that of an absent field.
func operands(f *audit.Filter, d *audit.Field) (values []types.AttributeValue, empty bool) {
	for _, v := range f.Values {
		switch {
		case v == "" || d.Kind == audit.Flag && v == "false" || d.Kind == audit.Number && v == "0":
			empty = true
		case d.Kind == audit.Flag:
			values = append(values, number(1))
		case d.Kind == audit.Number:
			values = append(values, numeric(v))
		default:
			values = append(values, text(v))
		}
	}
	return values, empty
}

// anyOf gives conditions of which one must hold for the attribute to be any of
// the values.
func (x *expression) anyOf(attr string, values []types.AttributeValue) (alternatives []string) {
	for some := range slices.Chunk(values, maxIn) {
		if len(some) == 1 {
			alternatives = append(alternatives, x.compare(attr, "=", some[0]))
			continue
		}
		list := make([]string, len(some))
		for i, v := range some {
			list[i] = x.value(v)
		}
		alternatives = append(alternatives, x.name(attr)+" IN ("+strings.Join(list, ", ")+")")
	}
	return alternatives
}

// within translates a range. An absent number is 0, an absent time in no range.
func (x *expression) within(f *audit.Filter, d *audit.Field, attr string) string {
	if f.Min != nil && f.Max != nil && *f.Min > *f.Max {
		return "" // nothing is in it, and BETWEEN would refuse it
	}
	var all []string
	if f.Min != nil {
		all = append(all, x.compare(attr, ">=", number(*f.Min)))
	}
	if f.Max != nil {
		all = append(all, x.compare(attr, "<=", number(*f.Max)))
	}
	both := join(all, " AND ")
	if d.Kind != audit.Instant && (f.Min == nil || *f.Min <= 0) && (f.Max == nil || *f.Max >= 0) {
		return join([]string{x.absent(attr), both}, " OR ")
	}
	return both
}
