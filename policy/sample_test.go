package policy_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// The places follow from values of XXH64 with seed 0 that the reference
// implementation gives, and so pin the sampling for all time.
func TestPointIsPredictable(t *testing.T) {
	for text, hash := range map[string]uint64{
		"a":    0xd24ec4f1a98c6e5b,
		"abc":  0x44bc2cf5ad770999,
		"asdf": 0x415872f599cea71e,
		"Call me Ishmael. Some years ago--never mind how long precisely-": 0x02a2e85470d6fd96,
		"Nobody inspects the spammish repetition":                         0xfbcea83c8a378bf1,
	} {
		ev := &audit.Event{Request: audit.Request{CorrelationID: text}}
		if got, want := policy.Point(ev), float64(hash>>11)/(1<<53); got != want {
			t.Errorf("%q falls at %v, want %v", text, got, want)
		}
	}
}

func TestPointOfAnIDIsThatOfItsText(t *testing.T) {
	id := audit.NewID()
	byID := policy.Point(&audit.Event{ID: id})
	byText := policy.Point(&audit.Event{Request: audit.Request{CorrelationID: id.String()}})
	if byID != byText {
		t.Errorf("the id falls at %v, its text at %v", byID, byText)
	}
	// The correlation id wins.
	if got := policy.Point(&audit.Event{ID: audit.NewID(), Request: audit.Request{CorrelationID: id.String()}}); got != byText {
		t.Error(got, byText)
	}
}

func TestSamplingNeverTakesFailuresDenialsAndDeletes(t *testing.T) {
	p := mustNew(t, policy.Config{Level: policy.All, SampleRate: new(0.0), SampleReads: new(0.0)})
	for _, op := range audit.Operations() {
		for _, outcome := range audit.Outcomes() {
			want := policy.BySampling
			if op == audit.Delete || outcome == audit.Failure || outcome == audit.Denied {
				want = policy.Recorded
			}
			if got := p.Decide(&audit.Event{Action: "x", ID: audit.NewID(), Operation: op, Outcome: outcome}); got != want {
				t.Errorf("%s, %s: %v, want %v", op, outcome, got, want)
			}
		}
	}
	if got := p.Decide(&audit.Event{Action: "users.delete", ID: audit.NewID()}); got != policy.Recorded {
		t.Error("a delete by its verb:", got)
	}
}

func TestReadsHaveTheirOwnRate(t *testing.T) {
	read, write := &audit.Event{Action: "x.get"}, &audit.Event{Action: "x.put"}
	for _, tt := range []struct {
		rate, reads *float64
		read, write policy.Reason
	}{
		{nil, nil, policy.Recorded, policy.Recorded},
		{nil, new(0.0), policy.BySampling, policy.Recorded},
		{new(0.0), new(1.0), policy.Recorded, policy.BySampling},
		{new(0.0), nil, policy.Recorded, policy.BySampling},
	} {
		p := mustNew(t, policy.Config{Level: policy.All, SampleRate: tt.rate, SampleReads: tt.reads})
		if r, w := p.Decide(read), p.Decide(write); r != tt.read || w != tt.write {
			t.Errorf("%v %v, want %v %v", r, w, tt.read, tt.write)
		}
	}
}

func TestShareOfManyIDs(t *testing.T) {
	const n = 100_000
	kinds := map[string]func(int) *audit.Event{
		"version 7": func(int) *audit.Event { return &audit.Event{Action: "x", ID: audit.NewID()} },
		"counted ids": func(i int) *audit.Event {
			return &audit.Event{Action: "x", ID: audit.ID{14: byte(i >> 8), 13: byte(i >> 16), 15: byte(i)}}
		},
		"counted texts": func(i int) *audit.Event { return correlated(fmt.Sprint("req-", i)) },
		"hex trace ids": func(i int) *audit.Event {
			return correlated(hex.EncodeToString([]byte{byte(i >> 16), byte(i >> 8), byte(i), 0, 0, 0, 0, 0}))
		},
		"one long start": func(i int) *audit.Event { return correlated(fmt.Sprintf("a-service-with-a-very-long-name/%08d", i)) },
	}
	for name, make := range kinds {
		for _, share := range []float64{0, 0.001, 0.1, 0.5, 0.9, 1} {
			p := mustNew(t, policy.Config{SampleRate: &share})
			kept := 0
			for i := range n {
				if p.Decide(make(i)) == policy.Recorded {
					kept++
				}
			}
			// Five standard deviations of a fair draw; 0 and 1 are exact.
			tolerance := 5 * math.Sqrt(n*share*(1-share))
			if off := math.Abs(float64(kept) - n*share); off > tolerance {
				t.Errorf("%s at %v: kept %d of %d", name, share, kept, n)
			}
		}
	}
}

func TestRecordsOfOneRequestStayTogether(t *testing.T) {
	low := mustNew(t, policy.Config{Level: policy.All, SampleRate: new(0.3), SampleReads: new(0.3)})
	high := mustNew(t, policy.Config{Level: policy.All, SampleRate: new(0.6), SampleReads: new(0.6)})
	actions := []string{"x.get", "x.create", "x.update", "x.run", "frobnicate"}
	kept := 0
	for i := range 1000 {
		first := low.Decide(&audit.Event{Action: "x", ID: audit.NewID(), Request: audit.Request{CorrelationID: fmt.Sprint(i)}})
		for _, a := range actions {
			ev := &audit.Event{Action: a, ID: audit.NewID(), Outcome: audit.Pending, Request: audit.Request{CorrelationID: fmt.Sprint(i)}}
			if got := low.Decide(ev); got != first {
				t.Fatalf("request %d: %s is %v, the first was %v", i, a, got, first)
			}
			// What a low rate keeps, a higher one keeps too.
			if got := high.Decide(ev); first == policy.Recorded && got != first {
				t.Fatalf("request %d is kept at 0.3 and not at 0.6", i)
			}
		}
		if first == policy.Recorded {
			kept++
		}
	}
	if kept < 200 || kept > 400 {
		t.Errorf("%d of 1000 requests kept at 0.3", kept)
	}
}

func correlated(id string) *audit.Event {
	return &audit.Event{Action: "x", Request: audit.Request{CorrelationID: id}}
}
