package crashtest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// check starts once more, lets everything be delivered, and looks.
func check(t *testing.T, e Engine, mode Mode, dir string, got *acks) {
	ctx, cancel := finishing()
	defer cancel()
	trail, err := open(ctx, e, mode, dir)
	if err != nil {
		t.Fatal("the last start:", err)
	}
	defer func() {
		account, err := trail.Close(ctx)
		if err != nil || account.Failed+account.Unwritten+account.Spooled > 0 || account.Recovered != account.Stored+account.Duplicates {
			t.Errorf("the last close: %+v, %v", account, err)
		}
	}()
	if err := trail.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	pause(ctx, trail.Capabilities().Lag) // the engine promises to show everything by then
	if st := trail.Stats().Spool; st != nil && (st.Damaged > 0 || st.Depth > 0) {
		t.Errorf("the spool: %+v", *st)
	}

	held := map[name]int{}
	latest := map[[2]int]int{} // by round and producer
	for _, id := range sortedBySequence(t, trail) {
		n, err := parse(id)
		if err != nil {
			t.Error(err)
			continue
		}
		if held[n]++; held[n] > 1 {
			t.Errorf("%s is stored %d times", id, held[n])
		}
		who := [2]int{n.round, n.producer}
		if last, ok := latest[who]; ok && n.number <= last {
			t.Errorf("%s comes after number %d of the same producer", id, last)
		}
		latest[who] = n.number
	}
	acknowledged := map[[2]int]int{} // how many of each
	missing := 0
	for n := range got.ids {
		acknowledged[[2]int{n.round, n.producer}]++
		if held[n] == 0 {
			if missing++; missing <= 5 {
				t.Errorf("%s was acknowledged and is not stored", n)
			}
		}
	}
	if missing > 5 {
		t.Errorf("%d that were acknowledged are not stored", missing)
	}
	// Beyond what was acknowledged there is at most the call under way.
	for n := range held {
		if most := acknowledged[[2]int{n.round, n.producer}] + batchSize; n.number >= most {
			t.Errorf("%s is stored, %d were acknowledged of its producer", n, most-batchSize)
		}
	}
	verify(t, trail)
}

// sortedBySequence gives the ids of all events, chain after chain in its order:
// of the segments of one chain the one that was begun first comes first.
func sortedBySequence(t *testing.T, trail *annals.Trail) (ids []string) {
	ctx, cancel := finishing()
	defer cancel()
	type placed struct {
		sequence int64
		id       string
	}
	chains := map[chain.Key][]placed{}
	begun := map[chain.Key]time.Time{}
	err := trail.Export(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindEvent))}}, func(r *audit.Record) error {
		if want := fmt.Sprintf(`{"of":%q}`, r.ExternalID); string(r.Payload) != want || r.ActionID != r.ExternalID {
			t.Errorf("%s was changed: %s", r.ExternalID, r.Payload)
		}
		key := chain.KeyOf(r)
		chains[key] = append(chains[key], placed{r.Sequence, r.ExternalID})
		if at, ok := begun[key]; !ok || r.RecordedAt.Before(at) {
			begun[key] = r.RecordedAt
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	order := slices.SortedFunc(maps.Keys(chains), func(a, b chain.Key) int { return begun[a].Compare(begun[b]) })
	for _, key := range order {
		places := chains[key]
		at := map[int64]string{}
		most := int64(0)
		for _, p := range places {
			at[p.sequence] = p.id
			most = max(most, p.sequence)
		}
		if len(at) != len(places) {
			t.Errorf("%d records have %d places", len(places), len(at))
		}
		for s := int64(1); s <= most; s++ {
			if id, ok := at[s]; ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func verify(t *testing.T, trail *annals.Trail) {
	ctx, cancel := finishing()
	defer cancel()
	heads, err := trail.Chains(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		reports, err := trail.Verify(ctx, h.Scope, chain.VerifyOptions{})
		if err != nil {
			t.Error(err)
		}
		for _, r := range reports {
			if !r.Valid {
				t.Errorf("the chain of %v is broken: %+v", h.Scope, r.FirstBroken)
			}
		}
	}
}
