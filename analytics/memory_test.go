package analytics_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// pages is a scanner as a real engine may be: every record is new and its texts
// are slices of one larger text. At the end it measures what is still reachable.
type pages struct {
	n    int
	held uint64 // bytes of heap in use after the last record, over those before the first
}

func (p *pages) Scan(_ context.Context, _ *audit.Query, fn func(*audit.Record) error) error {
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	filler := strings.Repeat("x", 1000)
	for i := range p.n {
		// 1,000 values, each in 200 texts.
		page := fmt.Sprintf("value-%03d%s", i%1000, filler)
		value := page[:9]
		r := call(time.Duration(i)*time.Millisecond, tool("datahub", value), actor(value, value), inSession(value, value), took(time.Duration(i)*time.Microsecond))
		r.Error = page
		r.Tool.Enrichment.Mode = value
		if err := fn(r); err != nil {
			return err
		}
	}
	if after := inUse(); after > before {
		p.held = after - before
	}
	return nil
}

func TestStreamHoldsNoRecord(t *testing.T) {
	const n, most = 200_000, 1 << 20 // one record of each value alone would hold 1 MB
	ctx, q := context.Background(), &audit.Query{From: noon, To: noon.Add(time.Hour)}
	p := &pages{n: n}
	a := analytics.Stream(p)
	for name, c := range map[string]struct {
		ask  func() error
		most uint64
	}{
		"overview":    {func() error { _, err := a.Overview(ctx, q); return err }, most},
		"timeseries":  {func() error { _, err := a.Timeseries(ctx, q, analytics.Minute); return err }, most},
		"breakdown":   {func() error { _, err := a.Breakdown(ctx, q, "actor", 0); return err }, most},
		"performance": {func() error { _, err := a.Performance(ctx, q); return err }, most + 2*8*n},
		"discovery":   {func() error { _, err := a.Discovery(ctx, q, analytics.DiscoveryKinds{}); return err }, most},
		"enrichment":  {func() error { _, err := a.Enrichment(ctx, q); return err }, most},
		"distinct":    {func() error { _, err := a.Distinct(ctx, q, "actor"); return err }, most},
		"pairs":       {func() error { _, err := a.DistinctPairs(ctx, q, "actor", "actor_email"); return err }, most},
	} {
		if err := c.ask(); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s holds %d KB", name, p.held>>10)
		if p.held > c.most {
			t.Errorf("%s holds %d bytes after %d records, want at most %d", name, p.held, n, c.most)
		}
	}
}
