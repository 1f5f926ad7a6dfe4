package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// measured is one line of the command.
type measured struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func benchStoreCommand(g *globals) *cobra.Command {
	var records, producers int
	var dir string
	cmd := &cobra.Command{
		Use:   "store",
		Short: "Measure this machine without a server: record, find, search and verify",
		Long: `Records synthetic events through the whole write path of the settings into an
empty SQLite store in a temporary folder, counts what is there, asks for
records and verifies the chain. What is counted as stored was read back.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if records < 1 || producers < 1 {
				return misuse("--records and --producers must be 1 or more")
			}
			tmp, err := os.MkdirTemp(dir, "annals-bench-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(tmp)
			cfg, err := g.settings(benchStoreSettings(filepath.Join(tmp, "bench.db")))
			if err != nil {
				return err
			}
			var lines []measured
			err = g.local(cmd, cfg, nil, func(t *annals.Trail) (err error) {
				lines, err = runBenchStore(cmd.Context(), t, records, producers)
				return err
			})
			if err != nil {
				return err
			}
			return g.value(cmd, lines, func(w io.Writer) {
				for _, l := range lines {
					fmt.Fprintf(w, "%s\t%s\t%s\n", l.What, number(l.Value), l.Unit)
				}
			})
		},
	}
	cmd.Flags().IntVar(&records, "records", 50_000, "events to record")
	cmd.Flags().IntVar(&producers, "producers", runtime.GOMAXPROCS(0), "goroutines that record")
	cmd.Flags().StringVar(&dir, "dir", "", "folder for the temporary store; its disk is what is measured")
	return annotate(cmd, localOnly)
}

// benchStoreSettings make a store of its own that keeps every event.
func benchStoreSettings(path string) map[string]string {
	return map[string]string{
		"audit.enabled": "true", "audit.backend": "sqlite", "audit.url": path,
		"audit.level": "all", "audit.sample_rate": "1", "audit.sample_reads": "1",
		"audit.exclude_actions": "", "audit.exclude_resources": "",
		"audit.async": "true", "audit.durability": "memory", "audit.on_full": "block",
	}
}

func runBenchStore(ctx context.Context, t *annals.Trail, records, producers int) ([]measured, error) {
	var out []measured
	start := time.Now()
	if err := produce(ctx, t, records, producers); err != nil {
		return nil, err
	}
	if err := t.Flush(ctx); err != nil {
		return nil, err
	}
	took := time.Since(start)
	found, err := t.Count(ctx, &audit.Query{})
	if err != nil {
		return nil, err
	}
	if found != int64(records) {
		return nil, fmt.Errorf("recorded %d events, found %d", records, found)
	}
	out = append(out,
		measured{"records stored and found", float64(found), "records"},
		measured{"recorded", float64(found) / took.Seconds(), "records/s"})

	questions := []struct {
		name string
		q    audit.Query
	}{
		{"newest 50", audit.Query{}},
		{"newest 50 of an actor", audit.Query{Filters: []audit.Filter{audit.Is("actor", "user-7")}}},
		{"newest 50 failures", audit.Query{Filters: []audit.Filter{audit.Is("outcome", "failure", "denied")}}},
		{"newest 50 by text", audit.Query{Text: "quarterly report"}},
	}
	for _, question := range questions {
		if question.q.Text != "" && !t.Capabilities().Text {
			continue
		}
		var times []time.Duration
		for range 21 {
			from := time.Now()
			if _, err := t.Query(ctx, &question.q, ""); err != nil {
				return nil, err
			}
			times = append(times, time.Since(from))
		}
		slices.Sort(times)
		out = append(out, measured{question.name + ", median", float64(times[len(times)/2].Microseconds()) / 1000, "ms"})
	}
	if !t.Chained() {
		return out, nil
	}
	start = time.Now()
	var checked int64
	for tenant := range benchTenants {
		reports, err := t.Verify(ctx, audit.Scope{Namespace: "bench", Tenant: "tenant-" + strconv.Itoa(tenant)}, chain.VerifyOptions{})
		if audit.CodeOf(err) == audit.CodeNotFound {
			continue // fewer records than tenants
		}
		if err != nil {
			return nil, err
		}
		for _, r := range reports {
			if !r.Valid {
				return nil, errBroken
			}
			checked += r.RecordsChecked
		}
	}
	return append(out, measured{"verified", float64(checked) / time.Since(start).Seconds(), "records/s"}), nil
}

const benchTenants = 4

func produce(ctx context.Context, t *annals.Trail, records, producers int) error {
	var wg sync.WaitGroup
	errs := make([]error, producers)
	for p := range producers {
		wg.Go(func() {
			for i := p; i < records && errs[p] == nil; i += producers {
				_, errs[p] = t.Record(ctx, benchEvent(i))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func benchEvent(i int) *audit.Event {
	n := strconv.Itoa(i)
	outcome := audit.Success
	if i%50 == 0 {
		outcome = audit.Failure
	}
	return &audit.Event{
		Namespace: "bench", Tenant: "tenant-" + strconv.Itoa(i%benchTenants), Action: "document.update", ActionID: "act-" + n,
		Actor:    audit.Actor{Type: "user", ID: "user-" + strconv.Itoa(i%200), IP: "192.0.2." + strconv.Itoa(i%256), SessionID: "s-" + strconv.Itoa(i/40)},
		Resource: audit.Resource{Type: "document", ID: "doc-" + strconv.Itoa(i%5000), Name: "quarterly report " + n},
		Outcome:  outcome, Duration: time.Duration(i%900) * time.Millisecond,
		Tool:     audit.Tool{Name: "editor", Kind: "office", Connection: "main"},
		Request:  audit.Request{ID: "req-" + n, CorrelationID: "corr-" + strconv.Itoa(i/4), Method: "PUT", Path: "/documents/" + n},
		Metadata: []byte(`{"region":"eu-1","release":"2026.11"}`),
		Payload:  []byte(`{"title":"quarterly report","version":` + n + `,"body":"Figures of the third quarter, reviewed by the finance team before publication on the intranet and in the annual letter to the members of the cooperative."}`),
	}
}
