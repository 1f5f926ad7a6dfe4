package model

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func record(tenant string, at time.Time) *audit.Record {
	return &audit.Record{
		Kind: audit.KindEvent, RecordedAt: at,
		Event: audit.Event{ID: audit.NewID(), Tenant: tenant, OccurredAt: at, Action: "thing.update", Operation: audit.Update, Outcome: audit.Success},
	}
}

func TestAppendGivesVerdicts(t *testing.T) {
	m := New()
	a, b := record("a", start), record("a", start.Add(time.Second))
	conflict := Clone(a)
	conflict.Error = "changed"
	got := m.AppendChained([]*audit.Record{a, b, a, conflict})
	if got[0].Sequence != 1 || got[1].Sequence != 2 || got[2].Sequence != 1 || !got[2].Duplicate || !errors.Is(got[3].Err, audit.ErrConflict) {
		t.Errorf("got %+v", got)
	}
	if a.Sequence != 0 {
		t.Error("the given record was changed")
	}
	if heads := m.Heads(); len(heads) != 1 || heads[0].Sequence != 2 || heads[0].Hash != got[1].Hash {
		t.Errorf("heads %+v", heads)
	}
}

func TestAnswerStartsAfterThePosition(t *testing.T) {
	m := New()
	recs := []*audit.Record{record("a", start), record("a", start.Add(time.Second)), record("a", start.Add(2*time.Second))}
	m.Append(recs)
	middle := recs[1].Position()
	if got := m.Answer(&audit.Query{After: middle}); len(got) != 1 || got[0].ID != recs[0].ID {
		t.Errorf("newest first: %+v", got)
	}
	if got := m.Answer(&audit.Query{After: middle, Order: audit.OldestFirst}); len(got) != 1 || got[0].ID != recs[2].ID {
		t.Errorf("oldest first: %+v", got)
	}
}

// The model follows a right deletion and says what is wrong with any other.
func TestDelete(t *testing.T) {
	cut := &audit.Cut{RecordedBefore: start.Add(time.Second), Reason: "ttl"}
	setup := func() (m *Model, old, young, anchor *audit.Record) {
		m = New()
		m.AppendChained([]*audit.Record{record("a", start), record("a", start.Add(time.Minute))})
		old, young = m.recs[0], m.recs[1]
		key := chain.KeyOf(old)
		anchor = chain.Anchor(key, chain.Runs([]chain.Link{{Sequence: 1, PrevHash: old.PrevHash, Hash: old.Hash}}), "ttl", start.Add(time.Hour))
		chain.Seal(m.heads[key], []*audit.Record{anchor})
		return m, old, young, anchor
	}
	for _, c := range []struct {
		name string
		n    int
		left func(old, young, anchor *audit.Record) []*audit.Record
		want string // "" is right
	}{
		{"right", 1, func(_, young, anchor *audit.Record) []*audit.Record { return []*audit.Record{young, anchor} }, ""},
		{"nothing", 0, func(old, young, _ *audit.Record) []*audit.Record { return []*audit.Record{old, young} }, ""},
		{"a wrong count", 2, func(_, young, anchor *audit.Record) []*audit.Record { return []*audit.Record{young, anchor} }, "are gone"},
		{"the wrong record", 1, func(old, _, anchor *audit.Record) []*audit.Record { return []*audit.Record{old, anchor} }, "does not select"},
		{"no anchor", 1, func(_, young, _ *audit.Record) []*audit.Record { return []*audit.Record{young} }, "0 anchors"},
		{"an anchor for nothing", 0, func(old, young, anchor *audit.Record) []*audit.Record { return []*audit.Record{old, young, anchor} }, "nothing is gone"},
		{"another anchor", 1, func(_, young, anchor *audit.Record) []*audit.Record {
			anchor.Payload = []byte(strings.Replace(string(anchor.Payload), "ttl", "xxx", 1))
			return []*audit.Record{young, anchor}
		}, "differs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, old, young, anchor := setup()
			left := c.left(old, young, anchor)
			err := m.Delete(cut, c.n, left)
			if c.want == "" && (err != nil || !slices.EqualFunc(m.recs, left, func(a, b *audit.Record) bool { return a.Hash == b.Hash })) {
				t.Errorf("got %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
