package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// deletions are several processes that delete from one file: each chooses,
// anchors and removes in steps of its own, and may die after any of them.
type deletions struct {
	s     *Store
	left  map[audit.Ref]*audit.Record // the events that must still be there
	under []*underway
	seed  uint64
}

type underway struct {
	list   []doomed
	blocks []int64
}

func (d *deletions) append(t tester, n int) {
	d.seed++
	recs := storetest.Corpus(d.seed, n)
	for i, r := range recs {
		r.ID, r.ExternalID = audit.NewID(), ""
		r.Namespace, r.Tenant = "ns", []string{"shared", "shared", "shared", "other"}[i%4]
		if i%8 < 7 { // so that what is due are runs of a chain
			r.RecordedAt, r.ExpiresAt = storetest.CorpusStart, storetest.CorpusStart
		}
	}
	chainAll(t, d.s, recs)
	for _, r := range recs {
		if r.Kind == audit.KindEvent {
			d.left[r.Ref()] = r
		}
	}
}

// due gives those that a cut selects, as the reference says.
func (d *deletions) due(cut *audit.Cut) (refs []audit.Ref) {
	for ref, r := range d.left {
		if cut.Selects(r) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// cut is one with some holds, which may differ from those of earlier cuts.
func (d *deletions) cut(t *rapid.T) audit.Cut {
	at := storetest.CorpusStart.Add(time.Duration(rapid.IntRange(20, 150).Draw(t, "hours")) * time.Hour)
	cut := audit.Cut{ExpiredAt: at, Reason: "expired"}
	if rapid.Bool().Draw(t, "ceiling") {
		cut = audit.Cut{RecordedBefore: at, Reason: "too old"}
	}
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "holds"), 1))
	for ref := range d.left {
		if r.IntN(20) == 0 {
			cut.Holds = append(cut.Holds, &audit.Query{Filters: []audit.Filter{audit.Is("id", ref.ID.String())}})
		}
	}
	return cut
}

// choose begins a deletion.
func (d *deletions) choose(t tester, cut *audit.Cut, limit int) *underway {
	sel, err := d.s.expired(cut)
	if err != nil {
		t.Fatal(err)
	}
	u := &underway{}
	err = d.s.read(t.Context(), func(v *view) (err error) {
		u.list, u.blocks, err = sel.find(v, limit)
		return err
	})
	if due := len(d.due(cut)); err != nil || len(u.list) != min(due, limit) {
		t.Fatalf("%d chosen, want %d of %d, %v", len(u.list), limit, due, err)
	}
	return u
}

// remove removes the next n of a deletion.
func (d *deletions) remove(t tester, u *underway, n int) {
	n = min(n, len(u.list))
	want := 0
	for _, r := range u.list[:n] {
		ref, gone := d.ref(t, r.n)
		if !gone {
			want++
			delete(d.left, ref)
		}
	}
	if got, err := d.s.remove(t.Context(), u.list[:n]); err != nil || got != want {
		t.Fatalf("%d removed, want %d, %v", got, want, err)
	}
	u.list = u.list[n:]
}

func (d *deletions) ref(t tester, n int64) (ref audit.Ref, gone bool) {
	var rec *audit.Record
	err := d.s.read(t.Context(), func(v *view) (err error) {
		var bad error
		_, err = v.conns[0].one(d.s.selectByN, func(st *z.Stmt) { rec, bad = decodeNew(st, v.scope) }, n)
		if err == nil {
			err = bad
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if rec == nil {
		return ref, true
	}
	return rec.Ref(), false
}

func (d *deletions) check(t tester) {
	heads, err := d.s.Heads(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heads {
		wantValid(t, d.s, h.Scope)
	}
	n, err := d.s.Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindEvent))}})
	if err != nil || n != int64(len(d.left)) {
		t.Fatalf("%d events, want %d, %v", n, len(d.left), err)
	}
}

// However deletions are cut short and run into each other, with whatever holds,
// the chains verify after each step, and a later one ends what is due.
func TestDeletionsInPieces(t *testing.T) {
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > storetest.Rounds(25) {
			return
		}
		d := &deletions{s: sparse(t, Options{LosePowerFailure: true}, 9), left: map[audit.Ref]*audit.Record{}}
		defer d.s.Close()
		c := stranger(t, d.s.opt.Path)
		pick := func(rt *rapid.T) int {
			if len(d.under) == 0 {
				rt.Skip("none is under way")
			}
			return rapid.IntRange(0, len(d.under)-1).Draw(rt, "which")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"append": func(rt *rapid.T) { d.append(rt, rapid.IntRange(1, 25).Draw(rt, "records")) },
			"choose and anchor": func(rt *rapid.T) {
				cut := d.cut(rt)
				u := d.choose(rt, &cut, rapid.IntRange(1, 40).Draw(rt, "limit"))
				if err := d.s.anchor(t.Context(), u.list, cut.Reason); err != nil {
					rt.Fatal(err)
				}
				d.under = append(d.under, u)
			},
			"die between anchors": func(rt *rapid.T) {
				cut := d.cut(rt)
				u := d.choose(rt, &cut, 40)
				if len(u.list) == 0 {
					rt.Skip("nothing is due")
				}
				last := u.list[rapid.IntRange(0, len(u.list)-1).Draw(rt, "up to")].scope
				some := slices.DeleteFunc(u.list, func(r doomed) bool { return r.scope > last })
				if err := d.s.anchor(t.Context(), some, cut.Reason); err != nil {
					rt.Fatal(err)
				}
			},
			"remove some": func(rt *rapid.T) {
				u := d.under[pick(rt)]
				d.remove(rt, u, rapid.IntRange(1, 15).Draw(rt, "n"))
			},
			"remove the rest": func(rt *rapid.T) {
				i := pick(rt)
				u := d.under[i]
				d.remove(rt, u, len(u.list))
				if err := d.s.tighten(t.Context(), u.blocks); err != nil {
					rt.Fatal(err)
				}
				d.under = slices.Delete(d.under, i, i+1)
			},
			"die": func(rt *rapid.T) {
				i := pick(rt)
				d.under = slices.Delete(d.under, i, i+1)
			},
			"delete": func(rt *rapid.T) { d.whole(rt, d.cut(rt), rapid.IntRange(1, 40).Draw(rt, "limit")) },
			"":       func(rt *rapid.T) { d.check(rt) },
		})
		// One held record, and everything else goes.
		cut := audit.Cut{RecordedBefore: storetest.CorpusStart.AddDate(9000, 0, 0)}
		for ref := range d.left {
			cut.Holds = []*audit.Query{{Filters: []audit.Filter{audit.Is("id", ref.ID.String())}}}
			break
		}
		for d.whole(rt, cut, 40) == 40 {
		}
		d.check(rt)
		if len(d.left) != len(cut.Holds) {
			rt.Fatalf("%d events are left", len(d.left))
		}
		soundBlocks(rt, c)
	})
}

// whole deletes in one call and wants it to delete as many as are due.
func (d *deletions) whole(t tester, cut audit.Cut, limit int) int {
	due := d.due(&cut)
	n, err := d.s.DeleteExpired(t.Context(), cut, limit)
	if err != nil || n != min(limit, len(due)) {
		t.Fatalf("%d deleted of %d, the limit is %d, %v", n, len(due), limit, err)
	}
	for _, ref := range due {
		if _, err := d.s.Get(t.Context(), ref); audit.CodeOf(err) == audit.CodeNotFound {
			delete(d.left, ref)
			n--
		}
	}
	if n != 0 {
		t.Fatalf("it says %d more than it deleted", n)
	}
	return min(limit, len(due))
}

const (
	expiring = 3000 // records of which forty and forty have expired, with ten between them
	expired  = expiring / 50 * 40
)

// expiringStore has them in one chain.
func expiringStore(t testing.TB) *Store {
	s := open(t, Options{})
	recs := sameTenant(newGenerator().batch(expiring))
	for i, r := range recs {
		if i%50 < 40 {
			r.ExpiresAt = benchStart
		}
	}
	for batch := range slices.Chunk(recs, 100) {
		chainAll(t, s, batch)
	}
	return s
}

var (
	expiredCut = audit.Cut{ExpiredAt: benchStart, Reason: "expired"}
	hasExpired = audit.Filter{Field: "expires_at", Op: audit.OpRange, Max: new(benchStart.UnixMicro())}
)

// gone counts what was deleted of the store's expired records.
func gone(t testing.TB, s *Store) int {
	n, err := s.Count(t.Context(), &audit.Query{Filters: []audit.Filter{hasExpired}})
	if err != nil {
		t.Error(err)
	}
	return expired - int(n)
}

// TestAsDeleter is not a test: another process that deletes what has expired.
func TestAsDeleter(t *testing.T) {
	path := os.Getenv(deleterEnv)
	if path == "" {
		return
	}
	s, err := Open(context.Background(), Options{Path: path})
	if err == nil {
		_, err = s.DeleteExpired(context.Background(), expiredCut, expiring)
	}
	if err != nil {
		fmt.Println("FAILED", err)
	}
	os.Exit(0)
}

const deleterEnv = "ANNALS_TEST_DELETER"

// A process that is killed while it deletes leaves a chain that verifies, and
// the next deletion deletes what it left, but for what is held since.
func TestKilledWhileDeleting(t *testing.T) {
	s := expiringStore(t)
	p := process("TestAsDeleter", deleterEnv+"="+s.opt.Path)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	for gone(t, s) < expired/10 && !t.Failed() {
		wantValid(t, s, shared)
	}
	if err := p.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // it was killed
	before := gone(t, s)
	if before == expired {
		t.Fatal("it deleted everything in one piece")
	}
	wantValid(t, s, shared)

	cut := expiredCut
	cut.Holds = []*audit.Query{{Filters: []audit.Filter{audit.Is("actor", "user-7")}}}
	held := 0
	err := s.Scan(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("actor", "user-7"), hasExpired}},
		func(*audit.Record) error { held++; return nil })
	if err != nil || held == 0 {
		t.Fatalf("%d are held, %v", held, err)
	}
	if n, err := s.DeleteExpired(t.Context(), cut, expired); err != nil || n != expired-before-held {
		t.Errorf("%d deleted, want %d, %v", n, expired-before-held, err)
	}
	report := wantValid(t, s, shared)
	pruned := 0
	for _, p := range report.Pruned {
		pruned += int(p.Last - p.First + 1)
		if p.Reason != "expired" {
			t.Errorf("%+v", p)
		}
	}
	if pruned != expired-held {
		t.Errorf("%d pruned, want %d", pruned, expired-held)
	}
	soundBlocks(t, stranger(t, s.opt.Path))
}

// While one deletes, others store; and a deletion that is given up says what it
// has deleted.
func TestDeletionGivesWay(t *testing.T) {
	s := expiringStore(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var n int
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { n, err = s.DeleteExpired(ctx, expiredCut, expiring) })
	g := newGenerator()
	for between := 0; between < 3; {
		before := gone(t, s)
		chainAll(t, s, g.batch(1))
		if after := gone(t, s); before > 0 && after < expired {
			between++
		} else if after == expired {
			t.Error("it deleted everything in one piece")
			break
		}
	}
	cancel()
	wg.Wait()
	if audit.CodeOf(err) != audit.CodeUnavailable || n == 0 || n != gone(t, s) {
		t.Errorf("%d deleted, of which it says %d, %v", gone(t, s), n, err)
	}
	wantValid(t, s, shared)
	if more, err := s.DeleteExpired(t.Context(), expiredCut, expiring); err != nil || n+more != expired {
		t.Errorf("%d and then %d deleted, %v", n, more, err)
	}
	wantValid(t, s, shared)
}

// What is deleted leaves the full text index for good, a few pages at a time.
func TestTextIsPurged(t *testing.T) {
	s := expiringStore(t)
	c := stranger(t, s.opt.Path)
	size := func() (bytes int64) {
		if _, err := c.one("SELECT sum(length(block)) FROM annals_text_data", func(st *z.Stmt) { bytes = st.ColumnInt64(0) }); err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	c.must(t, "INSERT INTO annals_text(annals_text) VALUES('optimize')") // one piece, which nothing else makes smaller
	before := size()
	last := audit.Cut{RecordedBefore: benchStart.AddDate(1, 0, 0), Holds: []*audit.Query{{Filters: []audit.Filter{audit.Is("actor", "user-7")}}}}
	for {
		n, err := s.DeleteExpired(t.Context(), last, 500)
		if err != nil {
			t.Fatal(err)
		}
		if n < 500 {
			break
		}
	}
	kept, err := s.Count(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("actor", "user-7")}})
	if err != nil || kept == 0 {
		t.Fatalf("%d, %v", kept, err)
	}
	if n, err := s.Count(t.Context(), &audit.Query{Text: "customer"}); err != nil || n != kept {
		t.Errorf("%d found, want %d, %v", n, kept, err)
	}
	if after := size(); after > before/2 {
		t.Errorf("the index has %d bytes for %d records, after %d for %d", after, kept, before, expiring)
	}
	c.must(t, "INSERT INTO annals_text(annals_text) VALUES('integrity-check')")
}
