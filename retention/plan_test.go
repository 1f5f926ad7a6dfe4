package retention

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// A plan is what Cut.Selects says of each record, and what a run then does.
func TestPlanIsExact(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		seed := rapid.Uint64Range(0, 1<<20).Draw(rt, "seed")
		recs := storetest.Corpus(seed, rapid.IntRange(0, 150).Draw(rt, "records"))
		if _, err := r.AppendChained(t.Context(), recs); err != nil {
			rt.Fatal(err)
		}
		now := storetest.CorpusStart.Add(time.Duration(rapid.Int64Range(0, int64(2*storetest.CorpusSpan)).Draw(rt, "now")))
		l, err := New(r, r.Store, Options{
			Now: func() time.Time { return now }, Logger: discard, BatchSize: rapid.IntRange(1, 40).Draw(rt, "batch"),
			Ceiling: time.Duration(rapid.Int64Range(0, int64(storetest.CorpusSpan)).Draw(rt, "ceiling")),
		})
		if err != nil {
			rt.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 1))
		for range rapid.IntRange(0, 4).Draw(rt, "holds") {
			q := audit.Query{Filters: []audit.Filter{storetest.RandomFilter(random, recs...)}}
			if _, err := l.AddHold(t.Context(), hold(q.Params().Encode())); err != nil && audit.CodeOf(err) != audit.CodeInvalid {
				rt.Fatal(err)
			}
		}
		holds, err := l.held(t.Context())
		if err != nil {
			rt.Fatal(err)
		}
		want := Plan{At: audit.FromMicros(now.UnixMicro()), Holds: len(holds)}
		byExpiry, byAge := audit.Cut{ExpiredAt: now}, audit.Cut{}
		if l.opt.Ceiling > 0 {
			byAge.RecordedBefore = now.Add(-l.opt.Ceiling)
			want.Before = audit.FromMicros(ceilMicros(byAge.RecordedBefore))
		}
		all := audit.Cut{ExpiredAt: now, RecordedBefore: byAge.RecordedBefore, Holds: holds}
		for _, rec := range recs {
			switch expired := byExpiry.Selects(rec); {
			case !expired && !byAge.Selects(rec):
			case !all.Selects(rec):
				want.Held++
			case expired:
				want.Expired++
			default:
				want.Ceiling++
			}
		}
		want.Deleted = want.Expired + want.Ceiling

		before := r.left("")
		got, err := l.Plan(t.Context())
		if err != nil || *got != want {
			rt.Fatalf("got  %+v, %v\nwant %+v", got, err, want)
		}
		if r.left("") != before {
			rt.Fatal("the plan deleted something")
		}
		run, err := l.RunNow(t.Context())
		if err != nil || run.Expired != want.Expired || run.Ceiling != want.Ceiling || r.left("") != before-want.Deleted {
			rt.Fatalf("the run did otherwise: %+v, %v", run, err)
		}
	})
}
