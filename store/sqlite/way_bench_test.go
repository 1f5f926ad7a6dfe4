package sqlite

import (
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
)

// BenchmarkWay takes events the whole way: recorder, redaction, chain, store.
// One operation is one event that was acknowledged and then counted in the
// store; "raw" beside it is BenchmarkAppend/…/raw and /rawchained.
func BenchmarkWay(b *testing.B) {
	for _, v := range []struct {
		name      string
		text      bool
		unchained bool
		flush     int
	}{
		{"batch=500/text=false/chained", false, false, 500},
		{"batch=500/text=false/plain", false, true, 500},
		{"batch=5000/text=false/chained", false, false, 5000},
		{"batch=5000/text=false/plain", false, true, 5000},
		{"batch=5000/text=true/chained", true, false, 5000},
	} {
		b.Run(v.name, func(b *testing.B) {
			s := benchStore(b, Options{NoFullText: !v.text})
			trail, err := annals.New(s, annals.Options{
				Policy: policy.Config{Level: policy.All}, Unchained: v.unchained, FlushSize: v.flush,
				Redact: redact.Config{Enabled: true, Fields: []string{"password", "payload.arguments.secret"}},
			})
			check(b, err)
			defer trail.Close(b.Context())
			g := newGenerator()
			events := make([]*audit.Event, b.N)
			for i, r := range g.batch(b.N) {
				events[i] = &r.Event
			}
			var took meter
			took.start()
			for _, ev := range events {
				if _, err := trail.Record(b.Context(), ev); err != nil {
					b.Fatal(err)
				}
			}
			check(b, trail.Flush(b.Context()))
			took.stop()
			n, err := trail.Count(b.Context(), &audit.Query{})
			check(b, err)
			if n != int64(b.N) {
				b.Fatalf("recorded %d events, found %d", b.N, n)
			}
			took.report(b, b.N)
		})
	}
}
