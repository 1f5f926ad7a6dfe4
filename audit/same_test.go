package audit

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Each field alone decides as documented.
func TestSameContentByField(t *testing.T) {
	for _, f := range Fields() {
		a := &Record{Event: Event{Action: "a", OccurredAt: fixedNow}, RecordedAt: fixedNow.Add(time.Second)}
		b := *a
		switch f.Kind {
		case Text:
			f.SetText(&b, "other")
		case Document:
			f.SetBytes(&b, []byte("1"))
		case Identity, Hash:
			f.SetBytes(&b, []byte{1})
		default:
			f.SetInt(&b, 1)
		}
		if got := SameContent(a, &b); got != doorFields[f.Name] || got != SameContent(&b, a) {
			t.Errorf("two records that differ in %s: same is %v", f.Name, got)
		}
	}
}

func TestSameContentOfFilledTimes(t *testing.T) {
	at := func(occurred, recorded int) *Record {
		return &Record{Event: Event{Action: "a", OccurredAt: FromMicros(int64(occurred))}, RecordedAt: FromMicros(int64(recorded))}
	}
	for _, tc := range []struct {
		name string
		a, b *Record
		want bool
	}{
		{"the sender's time, delivered twice", at(5, 10), at(5, 20), true},
		{"two times of the sender's", at(5, 10), at(6, 20), false},
		{"the door filled both", at(10, 10), at(20, 20), true},
		{"the door filled the first only", at(10, 10), at(5, 20), false},
		{"the door filled the second only", at(5, 10), at(20, 20), false},
	} {
		if got := SameContent(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestSameContentSurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genNormal().Draw(t, "record")
		back, err := DecodeRecord(r.AppendJSON(nil))
		if err != nil || !SameContent(r, back) {
			t.Fatalf("%v, %s", err, r.AppendJSON(nil))
		}
	})
}
