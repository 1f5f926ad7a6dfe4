package cli

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

// question holds the flags that make a question. Every dimension is a flag;
// --where says what a flag cannot. All of them end as parameters for
// audit.ParseParams, the one reader of questions.
type question struct {
	dims  map[string]*[]string
	where []string
	from  string
	to    string
	since time.Duration
	text  string
	phase string
	order string
	open  bool
}

// questionFlags adds the flags. order is the default order; "" leaves the flag
// out, as a count or a tail has none.
func questionFlags(cmd *cobra.Command, order string) *question {
	q := &question{dims: map[string]*[]string{}}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&q.text, "text", "q", "", "full text: every one of the `WORDS` must occur; word* is any word that begins so")
	f.StringArrayVarP(&q.where, "where", "w", nil, "a `CONDITION`: FIELD=VALUE, !=, ^= (prefix), >=, <=; also metadata.KEY (repeat for all of)")
	f.DurationVar(&q.since, "since", 0, "from this long ago on, e.g. 24h")
	f.StringVar(&q.from, "from", "", "from this `TIME` on, RFC 3339 or a date")
	f.StringVar(&q.to, "to", "", "before this `TIME`, RFC 3339 or a date")
	f.StringVar(&q.phase, "phase", "", "only records of the `PHASE` intent or outcome")
	f.BoolVar(&q.open, "open", false, "only intents whose action has no outcome")
	if order != "" {
		f.StringVar(&q.order, "order", order, "newest or oldest first")
	}
	for _, d := range audit.Dimensions() {
		if d.Ops&audit.OpIs == 0 {
			continue
		}
		values := new([]string)
		name := flagName(d.Name)
		f.StringArrayVar(values, name, nil, d.Doc)
		f.Lookup(name).Annotations = map[string][]string{dimensionNote: {d.Name}}
		q.dims[d.Name] = values
	}
	return q
}

func flagName(dimension string) string { return strings.ReplaceAll(dimension, "_", "-") }

// query gives the question, validated; an error names the flag.
func (q *question) query(now time.Time) (*audit.Query, error) {
	query, err := q.parse(now)
	if err == nil {
		_, err = query.Validate()
	}
	if err != nil {
		return nil, q.blame(err)
	}
	return query, nil
}

func (q *question) parse(now time.Time) (*audit.Query, error) {
	v := url.Values{}
	for name, values := range q.dims {
		if len(*values) > 0 {
			v[name] = *values
		}
	}
	for _, w := range q.where {
		param, value, err := audit.ParseWhere(w)
		if err != nil {
			return nil, err
		}
		v.Add(param, value)
	}
	from := q.from
	if q.since != 0 {
		if from != "" || q.since < 0 {
			return nil, audit.Invalid("since", "is either negative or given together with --from")
		}
		from = now.Add(-q.since).UTC().Format(time.RFC3339Nano)
	}
	for name, value := range map[string]string{
		audit.ParamFrom: from, audit.ParamTo: q.to, audit.ParamText: q.text,
		audit.ParamPhase: q.phase, audit.ParamOrder: q.order,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.open {
		v.Set(audit.ParamOpen, strconv.FormatBool(true))
	}
	query, _, err := audit.ParseParams(v)
	return query, err
}

// blame names the flag that a parameter came from.
func (q *question) blame(err error) error {
	var e *audit.Error
	if !errors.As(err, &e) {
		return err
	}
	named := *e
	switch e.Field {
	case audit.ParamText:
		named.Field = "--text"
	case audit.ParamFrom, audit.ParamTo, audit.ParamPhase, audit.ParamOrder, audit.ParamOpen, "since", "where":
		named.Field = "--" + e.Field
	default:
		named.Field = "--where " + e.Field
		if values := q.dims[e.Field]; values != nil && len(*values) > 0 {
			named.Field = "--" + flagName(e.Field)
		}
	}
	return usageError{&named}
}
