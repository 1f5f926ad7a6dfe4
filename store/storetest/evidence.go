package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Victim is the scope of that chain of [Evidence] which is tampered with.
var Victim = audit.Scope{Namespace: "prod", Tenant: "victim"}

// victims are the records of its chain.
const victims = 40

// Evidence gives the batches that make two chains of 40 records each, one of
// [Victim] and one of a bystander, for the tests of an engine that tamper with what
// it stores. The records at odd sequences have few fields, those at even ones all.
func Evidence() (batches [][]*audit.Record) {
	for i := range victims {
		at := CorpusStart.Add(time.Duration(i) * time.Minute)
		r := &audit.Record{Kind: audit.KindEvent, RecordedAt: at, Level: "all", Event: audit.Event{
			ID: audit.NewID(), Namespace: Victim.Namespace, Tenant: Victim.Tenant, OccurredAt: at, Action: "thing.read",
		}}
		if i%2 == 1 {
			setAll(r)
		}
		other := Clone(r)
		other.Tenant = "bystander"
		batches = append(batches, []*audit.Record{r, other})
	}
	return batches
}

// setAll sets every field that is empty and is not the chain's.
func setAll(r *audit.Record) {
	for _, f := range audit.Fields() {
		if !f.Absent(r) || slices.Contains([]string{"sequence", "segment", "prev_hash", "hash"}, f.Name) {
			continue
		}
		switch f.Kind {
		case audit.Text:
			f.SetText(r, "value of "+f.Name)
		case audit.Document:
			f.SetBytes(r, []byte(`{"document":"`+f.Name+`\n"}`))
		case audit.Number, audit.Flag, audit.Span:
			f.SetInt(r, 1)
		case audit.Instant:
			f.SetInt(r, audit.Micros(r.OccurredAt)+1)
		}
	}
}

// Tampering is something that is done to the victim's chain of [Evidence] behind
// the engine's back, and what verification has to find.
type Tampering struct {
	Name     string
	Sequence int64        // 0: wherever
	Reason   chain.Reason // empty: whatever
}

// Tamperings are those that every engine has a way to do which keeps records,
// heads and the names of scopes in tables.
func Tamperings() []Tampering {
	return []Tampering{
		{"the first record deleted", 1, chain.ReasonMissing},
		{"one deleted from the middle", 17, chain.ReasonMissing},
		{"the last deleted", victims, chain.ReasonTail},
		{"the tail after 30 deleted", 31, chain.ReasonTail},
		{"all deleted", 1, ""},
		{"12 and 14 swapped", 12, chain.ReasonContent},
		{"5 inserted again at the end", victims + 1, chain.ReasonBeyond},
		{"5 replayed at the end with the head", victims + 1, chain.ReasonContent},
		{"sequence 5 twice", 5, chain.ReasonDuplicate},
		{"all renumbered", 1, chain.ReasonMissing},
		{"9 taken out of the chain", 9, chain.ReasonMissing},
		{"the bystander's 9 put in its place", 9, chain.ReasonContent},
		{"the head moved back to 30", 31, chain.ReasonBeyond},
		{"the head moved on", victims + 1, chain.ReasonTail},
		{"the head's hash", victims, chain.ReasonHead},
		{"the head's hash made longer", victims, chain.ReasonHead},
		{"the head given to nobody", 1, chain.ReasonBeyond},
		{"the head deleted", 1, chain.ReasonBeyond},
		{"the tenant renamed", 1, chain.ReasonContent},
		{"the namespace renamed", 1, chain.ReasonContent},
		{"the names deleted", 1, chain.ReasonContent},
	}
}

// Check demands that verification finds it in the store.
func (c *Tampering) Check(t testing.TB, s chain.Source) {
	t.Helper()
	b := FirstBreak(t, s)
	if b == nil || c.Sequence != 0 && b.Sequence != c.Sequence || c.Reason != "" && b.Reason != c.Reason {
		t.Errorf("found %+v, want %s at %d", b, c.Reason, c.Sequence)
	}
}

// FirstBreak verifies every chain, and the victim's even where its head is gone.
// It gives what is broken first in the victim's, or else in any.
func FirstBreak(t testing.TB, s chain.Source) *chain.Break {
	t.Helper()
	heads, err := s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := []chain.Key{{Scope: Victim}}
	for _, h := range heads {
		if h.Scope != Victim {
			keys = append(keys, h.Key)
		}
	}
	for _, key := range keys {
		report, err := chain.Verify(t.Context(), s, key, chain.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if report.FirstBroken != nil {
			return report.FirstBroken
		}
	}
	return nil
}
