package storetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/model"
)

// Diff says in which fields two records differ, "" when in none. Documents
// count byte by byte, and times must be in UTC.
func Diff(want, got *audit.Record) string {
	if want == nil || got == nil {
		if want == got {
			return ""
		}
		return fmt.Sprintf("want %v, got %v", want, got)
	}
	var b strings.Builder
	for _, f := range audit.Fields() {
		switch f.Kind {
		case audit.Text:
			if w, g := f.Text(want), f.Text(got); w != g {
				fmt.Fprintf(&b, "%s: want %s, got %s\n", f.Name, short(w), short(g))
			}
		case audit.Document, audit.Identity, audit.Hash:
			w, g := f.Bytes(want), f.Bytes(got)
			if !bytes.Equal(w, g) || f.Kind == audit.Document && len(g) == 0 && g != nil {
				fmt.Fprintf(&b, "%s: want %s, got %s\n", f.Name, short(f.Text(want)), short(f.Text(got)))
			}
		default:
			if w, g := f.Int(want), f.Int(got); w != g {
				fmt.Fprintf(&b, "%s: want %d, got %d\n", f.Name, w, g)
			}
		}
	}
	for name, at := range map[string]time.Time{"occurred_at": got.OccurredAt, "recorded_at": got.RecordedAt, "expires_at": got.ExpiresAt} {
		if at.Location() != time.UTC || at.Nanosecond()%1000 != 0 {
			fmt.Fprintf(&b, "%s: %v is not UTC in whole microseconds\n", name, at)
		}
	}
	return b.String()
}

func short(s string) string {
	if len(s) > 200 {
		return fmt.Sprintf("%q… (%d bytes)", s[:200], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Clone gives a copy that shares no memory with r.
func Clone(r *audit.Record) *audit.Record { return model.Clone(r) }

// CloneAll copies every record by [Clone].
func CloneAll(recs []*audit.Record) []*audit.Record {
	out := make([]*audit.Record, len(recs))
	for i, r := range recs {
		out[i] = Clone(r)
	}
	return out
}

// Answer gives what the question selects from the records, in its order, by
// the reference in package audit. Limit and After are ignored.
func Answer(recs []*audit.Record, q *audit.Query) []*audit.Record { return model.Answer(recs, q) }

// store appends the records and wants every one of them stored anew.
func (h *Harness) store(t *testing.T, s audit.Store, recs []*audit.Record) {
	t.Helper()
	for some := range slices.Chunk(recs, 500) {
		results, err := s.Append(t.Context(), some)
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		if len(results) != len(some) {
			t.Fatalf("Append gave %d results for %d records", len(results), len(some))
		}
		for i, r := range results {
			if r != (audit.Result{}) {
				t.Fatalf("Append of a new record %v: got %+v", some[i].Ref(), r)
			}
		}
	}
	h.settle(t, s)
}

// valid gives the validated question.
func valid(t *testing.T, q audit.Query) *audit.Query {
	t.Helper()
	v, err := q.Validate()
	if err != nil {
		t.Fatalf("the question %s is not valid: %v", show(&q), err)
	}
	return v
}

// walk asks page after page and gives all records. It wants pages to be full
// but for the last one, and no page to be announced and empty. A page may go
// past its limit only by records that share one position.
func walk(t *testing.T, s audit.Store, q *audit.Query) []*audit.Record {
	t.Helper()
	var out []*audit.Record
	page := *q
	for {
		p, err := s.Query(t.Context(), &page)
		if err != nil {
			t.Fatalf("Query %s: %v", show(&page), err)
		}
		n := len(p.Records)
		if page.After != q.After && n == 0 {
			t.Errorf("Query %s: an announced page is empty", show(&page))
		}
		if !p.Next.IsZero() && n < page.Limit {
			t.Errorf("Query %s: a page in the middle has %d of %d records", show(&page), n, page.Limit)
		}
		if n > page.Limit && p.Records[n-1].Position() != p.Records[page.Limit-1].Position() {
			t.Errorf("Query %s: a page has %d records, %d were asked for", show(&page), n, page.Limit)
		}
		out = append(out, p.Records...)
		if p.Next.IsZero() {
			return out
		}
		if !advances(&page, p.Next) {
			t.Fatalf("Query %s: the cursor %+v does not move on", show(&page), p.Next)
		}
		page.After = p.Next
	}
}

// advances reports whether a page's end lies behind its beginning, so that a
// walk over a store that nobody writes to comes to an end.
func advances(q *audit.Query, next audit.Position) bool {
	c := next.Compare(q.After)
	return q.After.IsZero() || c > 0 && q.Order == audit.OldestFirst || c < 0 && q.Order == audit.NewestFirst
}

// sameAnswer wants exactly the records of want in the order of the question.
// Records of different scopes that share a position may come in any order.
func sameAnswer(t *testing.T, what string, q *audit.Query, want, got []*audit.Record) {
	t.Helper()
	stored := map[audit.Ref]*audit.Record{}
	for _, r := range want {
		stored[r.Ref()] = r
	}
	seen := map[audit.Ref]bool{}
	for i, r := range got {
		if i > 0 {
			c := got[i-1].Position().Compare(r.Position())
			if q.Order == audit.NewestFirst {
				c = -c
			}
			if c > 0 {
				t.Errorf("%s %s: record %d is out of order", what, show(q), i)
				return
			}
		}
		switch w := stored[r.Ref()]; {
		case w == nil:
			t.Errorf("%s %s: gives %v, which it must not", what, show(q), r.Ref())
			return
		case seen[r.Ref()]:
			t.Errorf("%s %s: gives %v twice", what, show(q), r.Ref())
			return
		default:
			if d := Diff(w, r); d != "" {
				t.Errorf("%s %s: record %v differs:\n%s", what, show(q), r.Ref(), d)
				return
			}
		}
		seen[r.Ref()] = true
	}
	for _, w := range want {
		if !seen[w.Ref()] {
			t.Errorf("%s %s: gives %d of %d records; %v is missing:\n%s", what, show(q), len(got), len(want), w.Ref(), w.AppendJSON(nil))
			return
		}
	}
}

// ask compares the store's answer to a question with the reference.
func ask(t *testing.T, s audit.Store, recs []*audit.Record, q *audit.Query) {
	t.Helper()
	sameAnswer(t, "Query", q, Answer(recs, q), walk(t, s, q))
}

// show writes a question so that a person can repeat it.
func show(q *audit.Query) string {
	b, err := json.Marshal(q)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// event makes a small valid record; change adapts it before it is normalised.
func event(scope audit.Scope, at time.Time, change func(*audit.Record)) *audit.Record {
	recorded := at.Add(time.Second)
	if recorded.Year() > audit.MaxYear {
		recorded = at
	}
	r := &audit.Record{
		Event: audit.Event{ID: audit.NewID(), Namespace: scope.Namespace, Tenant: scope.Tenant, OccurredAt: at, Action: "thing.update"},
		Kind:  audit.KindEvent, RecordedAt: recorded, Level: "all",
	}
	if change != nil {
		change(r)
	}
	return normalized(r)
}

var scopeA = audit.Scope{Namespace: "ns", Tenant: "a"}
