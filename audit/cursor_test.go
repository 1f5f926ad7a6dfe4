package audit

import (
	"encoding/base64"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var cursorKey = []byte("0123456789abcdef0123456789abcdef")

func validated(t fataler, q Query) *Query {
	t.Helper()
	v, err := q.Validate()
	if err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

func TestCursorIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := genQuery().Draw(t, "q")
		want := Position{
			OccurredAt: FromMicros(rapid.Int64Range(0, 253402300799999999).Draw(t, "at")),
			ID:         ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		}
		cursor := SealCursor(cursorKey, q, want)
		other := *q
		other.Limit = q.Limit%MaxLimit + 1
		for _, q := range []*Query{q, &other} {
			if got, err := OpenCursor(cursorKey, q, cursor); err != nil || got != want {
				t.Fatalf("got %v, %v; want %v", got, err, want)
			}
		}
	})
}

func TestCursorRefusesEveryChangedBit(t *testing.T) {
	q := validated(t, Query{Filters: []Filter{Is("tenant", "acme")}})
	cursor := SealCursor(cursorKey, q, Position{fixedNow, NewID()})
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(raw) {
		raw[bit/8] ^= 1 << (bit % 8)
		_, err := OpenCursor(cursorKey, q, base64.RawURLEncoding.EncodeToString(raw))
		wantInvalid(t, err, "cursor")
		raw[bit/8] ^= 1 << (bit % 8)
	}
	for i := range cursor { // the text's own bits, those too that carry nothing
		for bit := range 8 {
			b := []byte(cursor)
			b[i] ^= 1 << bit
			_, err := OpenCursor(cursorKey, q, string(b))
			wantInvalid(t, err, "cursor")
		}
	}
	for _, bad := range []string{"", "x", cursor[1:], cursor + "A", cursor + "=", cursor + "\n", cursor[:10] + "\r\n" + cursor[10:], "é"} {
		_, err := OpenCursor(cursorKey, q, bad)
		wantInvalid(t, err, "cursor")
	}
}

func TestCursorBelongsToItsQuestion(t *testing.T) {
	base := Query{Filters: []Filter{Is("tenant", "acme"), Is("metadata.a", "x")}, From: fixedNow, Text: "word"}
	q := validated(t, base)
	cursor := SealCursor(cursorKey, q, Position{fixedNow, NewID()})
	if _, err := OpenCursor(cursorKey, q, cursor); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Query){
		"another tenant":   func(q *Query) { q.Filters[0].Values = []string{"other"} },
		"one tenant more":  func(q *Query) { q.Filters[0].Values = []string{"acme", "other"} },
		"no filter":        func(q *Query) { q.Filters = nil },
		"a filter more":    func(q *Query) { q.Filters = append(q.Filters, Is("actor", "a")) },
		"another operator": func(q *Query) { q.Filters[0].Op = OpNot },
		"another key":      func(q *Query) { q.Filters[1].Field = "metadata.a.is" },
		"another from":     func(q *Query) { q.From = q.From.Add(time.Second) },
		"a to":             func(q *Query) { q.To = q.From.Add(time.Hour) },
		"another text":     func(q *Query) { q.Text = "words" },
		"another order":    func(q *Query) { q.Order = OldestFirst },
		"open":             func(q *Query) { q.Open = true },
	} {
		other := base
		other.Filters = []Filter{Is("tenant", "acme"), Is("metadata.a", "x")}
		change(&other)
		if _, err := OpenCursor(cursorKey, validated(t, other), cursor); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := OpenCursor([]byte("another key"), q, cursor); err == nil {
		t.Error("another trail's cursor is accepted")
	}
	// Two questions that differ only in whether .not is an operator or part of a key.
	a, b := validated(t, Query{Filters: []Filter{Is("metadata.a.not", "x")}}), validated(t, Query{Filters: []Filter{Not("metadata.a", "x")}})
	if _, err := OpenCursor(cursorKey, b, SealCursor(cursorKey, a, Position{fixedNow, NewID()})); err == nil {
		t.Error("a cursor fits a question with the opposite meaning")
	}
}

func TestPosition(t *testing.T) {
	a, b := Position{fixedNow, ID{1}}, Position{fixedNow, ID{2}}
	later := Position{fixedNow.Add(1), ID{}}
	if a.Compare(b) != -1 || b.Compare(a) != 1 || a.Compare(a) != 0 || b.Compare(later) != -1 || later.Compare(b) != 1 {
		t.Error("positions compare wrongly")
	}
	if !(Position{}).IsZero() || a.IsZero() || (Position{ID: ID{1}}).IsZero() {
		t.Error("IsZero")
	}
	r := &Record{Event: Event{ID: ID{1}, Namespace: "n", Tenant: "t", OccurredAt: fixedNow}}
	if r.Position() != a || r.Ref() != (Ref{"n", "t", ID{1}}) || r.Scope() != (Scope{"n", "t"}) {
		t.Error("a record's position, name or scope")
	}
}
