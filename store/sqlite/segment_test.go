package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

func thing(i int) *audit.Record {
	at := storetest.CorpusStart.Add(time.Duration(i) * time.Second)
	return &audit.Record{Kind: audit.KindEvent, RecordedAt: at, Level: "all", Event: audit.Event{
		ID: audit.NewID(), Namespace: victim.Namespace, Tenant: victim.Tenant, OccurredAt: at, Action: "thing.read",
	}}
}

// A file from before there were segments gets a place for them.
func TestSegmentsInAnOlderFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "old.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	chainAll(t, s, []*audit.Record{thing(0), thing(1)})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	old := tamper(t, path, "DROP TABLE annals_segments", "DROP INDEX annals_records_chain",
		"CREATE UNIQUE INDEX annals_records_chain ON annals_records(scope, sequence) WHERE sequence IS NOT NULL",
		"UPDATE annals_meta SET value = 2 WHERE key = 'version'")
	recs := []*audit.Record{thing(2), thing(3), thing(4)}
	from := chain.Head{Key: chain.Key{Scope: victim, Segment: "writer.1"}}
	if err := old.Restore(t.Context(), from, chain.Seal(from, recs), recs); err != nil {
		t.Fatal(err)
	}
	chainAll(t, old, []*audit.Record{thing(5)})
	heads, err := old.Heads(t.Context(), &victim)
	if err != nil || len(heads) != 2 {
		t.Fatalf("the heads are %+v, %v", heads, err)
	}
	for _, h := range heads {
		report, err := chain.Verify(t.Context(), old, h.Key, chain.VerifyOptions{})
		if err != nil || !report.Valid || report.RecordsChecked != 3 {
			t.Errorf("%+v: %+v, %v", h.Key, report, err)
		}
	}
}

// Whoever removes the head of a segment, or gives a record to one, is found out.
func TestSegmentTampered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segments.db")
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	chainAll(t, s, []*audit.Record{thing(0), thing(1), thing(2)})
	recs := []*audit.Record{thing(3), thing(4)}
	from := chain.Head{Key: chain.Key{Scope: victim, Segment: "writer.1"}}
	if err := s.Restore(t.Context(), from, chain.Seal(from, recs), recs); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, sql string
		reason    chain.Reason
	}{
		{"its head deleted", "DELETE FROM annals_segments", chain.ReasonDuplicate},
		{"a record given to it", "UPDATE annals_records SET segment = 'writer.1' WHERE sequence = 3", chain.ReasonTail},
		{"a record given to nobody", "UPDATE annals_records SET segment = 'nobody' WHERE sequence = 3", chain.ReasonContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := tamper(t, copyOf(t, path), c.sql)
			report, err := chain.Verify(t.Context(), s, chain.Key{Scope: victim}, chain.VerifyOptions{})
			if err != nil || report.Valid || report.FirstBroken.Reason != c.reason {
				t.Errorf("got %+v, %v, want %s", report, err, c.reason)
			}
		})
	}
}
