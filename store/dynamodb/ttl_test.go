package dynamodb

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// clock tells a time that the test sets. Expiry lies in the real future, so that
// the TTL of the server has nothing to do, and the test does it instead.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// dueIn is when the records of these tests expire, seen from now.
const dueIn = 240 * time.Hour

// newTTL opens a store that leaves deletion to TTL, at a time before anything is due.
func newTTL(t *testing.T, change func(*Options)) (*Store, *clock) {
	t.Helper()
	opt := newTable(t)
	c := &clock{at: time.Now()}
	opt.Now, opt.refresh = c.now, 100*time.Millisecond
	if change != nil {
		change(&opt)
	}
	return open(t, opt), c
}

// eat deletes a record as TTL does: it is gone, and nobody is told.
func eat(t *testing.T, s *Store, recs ...*audit.Record) {
	t.Helper()
	for _, r := range recs {
		_, err := s.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(s.opt.TableName), Key: keyOf(recordKey(partition(r.Scope()), r.ID))})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// attributesOf reads the item of a record.
func attributesOf(t *testing.T, s *Store, r *audit.Record) item {
	t.Helper()
	m, err := s.getItem(t.Context(), recordKey(partition(r.Scope()), r.ID))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// anchors gives the runs that the anchors of the scope name, and their reasons.
func anchors(t *testing.T, s *Store, scope audit.Scope) (runs []chain.Run, reasons []string) {
	t.Helper()
	q := &audit.Query{Limit: 1000, Order: audit.OldestFirst, Filters: []audit.Filter{
		audit.Is("kind", "prune"), audit.Is("namespace", scope.Namespace), audit.Is("tenant", scope.Tenant),
	}}
	page, err := s.Query(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Records {
		var p struct {
			Runs   []chain.Run `json:"runs"`
			Reason string      `json:"reason"`
		}
		if err := json.Unmarshal(r.Payload, &p); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, p.Runs...)
		if !slices.Contains(reasons, p.Reason) {
			reasons = append(reasons, p.Reason)
		}
	}
	slices.SortFunc(runs, func(a, b chain.Run) int { return int(a.First - b.First) })
	return runs, reasons
}

// Records say when TTL may take them, and nothing else does.
func TestTTLAttribute(t *testing.T) {
	s, clock := newTTL(t, func(o *Options) { o.Ceiling = 90 * 24 * time.Hour })
	at := clock.at.Truncate(time.Second)
	ceiling := 90 * 24 * time.Hour
	for i, c := range []struct {
		change func(*audit.Record)
		want   time.Time // zero: none
	}{
		{nil, at.Add(time.Second + ceiling)},
		{func(r *audit.Record) { r.ExpiresAt = at.Add(dueIn) }, at.Add(dueIn)},
		{func(r *audit.Record) { r.ExpiresAt = at.Add(dueIn + time.Microsecond) }, at.Add(dueIn + time.Second)},
		{func(r *audit.Record) { r.ExpiresAt = at.Add(100 * ceiling) }, at.Add(time.Second + ceiling)},
		{func(r *audit.Record) { r.Kind = audit.KindGap }, time.Time{}},
		{func(r *audit.Record) { r.Kind, r.ExpiresAt = audit.KindPrune, at.Add(dueIn) }, time.Time{}},
	} {
		for name, do := range map[string]func([]*audit.Record) ([]audit.Result, error){
			"Append":        func(r []*audit.Record) ([]audit.Result, error) { return s.Append(t.Context(), r) },
			"AppendFresh":   func(r []*audit.Record) ([]audit.Result, error) { return s.AppendFresh(t.Context(), r) },
			"AppendChained": func(r []*audit.Record) ([]audit.Result, error) { return s.AppendChained(t.Context(), r) },
		} {
			rec := event(scopeA, at, c.change)
			if results, err := do([]*audit.Record{rec}); err != nil || results[0].Err != nil {
				t.Fatal(err, results)
			}
			got := numberOf(attributesOf(t, s, rec)[attrTTL])
			want := int64(0)
			if !c.want.IsZero() {
				want = c.want.Unix()
			}
			if got != want {
				t.Errorf("%d by %s: TTL at %d, want %d", i, name, got, want)
			}
		}
	}
	// TTL does not look further back than five years.
	now := clock.at
	for ago, want := range map[time.Duration]time.Time{
		time.Hour: now.Add(-time.Hour), 4 * 365 * 24 * time.Hour: now.Add(-4 * 365 * 24 * time.Hour), 6 * 365 * 24 * time.Hour: now,
	} {
		if got := ttlSeconds(now.Add(-ago), now); got != want.Unix() && got != want.Unix()+1 {
			t.Errorf("%v ago: %d, want %d", ago, got, want.Unix())
		}
	}
}

// The ceiling holds for records whose time for TTL says otherwise.
func TestCeilingBesideTTL(t *testing.T) {
	s, clock := newTTL(t, nil)
	recs := events(scopeA, clock.at.Add(-100*time.Hour), 40, func(i int, r *audit.Record) {
		if i%2 == 0 {
			r.ExpiresAt = clock.at.Add(dueIn)
		}
		if i >= 30 {
			r.OccurredAt = clock.at.Add(200 * time.Hour) // dated far ahead of its recording
		}
	})
	outside := events(audit.Scope{Tenant: "b"}, clock.at.Add(-100*time.Hour), 20, nil)
	appendChained(t, s, recs)
	if _, err := s.Append(t.Context(), outside); err != nil {
		t.Fatal(err)
	}
	cut := audit.Cut{RecordedBefore: clock.at.Add(-50 * time.Hour), Reason: "older than 2 days"}
	n, err := s.DeleteExpired(t.Context(), cut, 1000)
	if err != nil || n != 60 {
		t.Fatalf("%d, %v, want 60", n, err)
	}
	if n, err = s.DeleteExpired(t.Context(), cut, 1000); n != 0 || err != nil {
		t.Fatalf("again: %d, %v", n, err)
	}
	report := verify(t, s, scopeA)
	if !report.Valid || len(report.Pruned) != 1 || report.Pruned[0].Reason != cut.Reason {
		t.Errorf("%+v", report)
	}
	// What TTL is about to take is left to it.
	late := events(scopeA, clock.at.Add(-100*time.Hour), 5, func(_ int, r *audit.Record) { r.ExpiresAt = clock.at.Add(dueIn) })
	appendChained(t, s, late)
	clock.at = clock.at.Add(dueIn + time.Hour)
	if n, err = s.DeleteExpired(t.Context(), cut, 1000); n != 0 || err != nil {
		t.Errorf("what TTL takes: %d, %v", n, err)
	}
}
