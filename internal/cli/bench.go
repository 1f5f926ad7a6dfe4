package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/load"
)

func benchCommand(g *globals) *cobra.Command {
	opt := load.Defaults()
	think := formatThink(opt.ThinkMin, opt.ThinkMax)
	var dir string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a server under the load of many users, and check that it keeps what it acknowledges",
		Long: `Lets many users, each with a connection of its own, post what they did: reads,
and now and then a write. It counts answers and errors, and at the end reads the
store: every event that was acknowledged must be there exactly once. Exit code 1
where one is not, or where there were errors.

With --server the load goes to that server, and the events stay there, in the
namespace of --namespace. Without, it goes to a server in this process with the
settings in force, over an empty SQLite store in a temporary folder; the users
then share the processors with it. An interrupt ends the load early.`,
		Example: "  annals bench\n  annals bench --users 200 --think none --duration 10s --level all\n  annals bench --server http://127.0.0.1:8480 --batch 20 -o json",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&opt.Users, "users", opt.Users, "users, each with a connection of its own")
	f.StringVar(&think, "think", think, "`PAUSE` of a user before its next request: FROM-TO, one time, or none")
	f.DurationVar(&opt.Duration, "duration", opt.Duration, "how long users make requests once all are there")
	f.DurationVar(&opt.RampUp, "ramp-up", opt.RampUp, "time over which the users come")
	f.IntVar(&opt.Requests, "requests", opt.Requests, "requests after which a user leaves before that; 0 is no limit")
	f.Float64Var(&opt.Reads, "reads", opt.Reads, "share of events that are reads, 0 to 1; the others create, update and delete")
	f.Float64Var(&opt.Questions, "questions", opt.Questions, "share of requests that ask for records instead of posting events, 0 to 1")
	f.IntVar(&opt.Batch, "batch", opt.Batch, "events of a request")
	f.BoolVar(&opt.Sync, "sync", opt.Sync, "every post waits for the store")
	f.StringVar(&opt.Namespace, "namespace", opt.Namespace, "namespace of the events")
	f.IntVar(&opt.Tenants, "tenants", opt.Tenants, "tenants among which the users are spread")
	f.DurationVar(&opt.Timeout, "timeout", opt.Timeout, "how long one attempt at a request may take")
	f.IntVar(&opt.Attempts, "attempts", opt.Attempts, "attempts at a request that failed for a passing reason; each failure counts as an error")
	f.Uint64Var(&opt.Seed, "seed", opt.Seed, "decides what every user does; 0 chooses one, which the result has")
	f.DurationVar(&opt.Drain, "drain", opt.Drain, "how long the server may take at the end to store what it acknowledged")
	f.BoolVar(&opt.NoCheck, "no-check", opt.NoCheck, "leave out reading the store at the end")
	f.StringVar(&dir, "dir", "", "folder for the temporary store; its disk is what is measured")
	level := levelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if opt.ThinkMin, opt.ThinkMax, err = parseThink(think); err != nil {
			return err
		}
		if opt.Namespace == "" {
			return misuse("--namespace is empty")
		}
		progress := newProgress(cmd.ErrOrStderr())
		opt.Progress = func(p load.Progress) {
			progress.show("%.0f s of %.0f, %d requests, %d events acknowledged, %d errors ", p.Elapsed.Seconds(), (opt.RampUp + opt.Duration).Seconds(), p.Requests, p.Acknowledged, p.Errors)
		}
		var result *load.Result
		measure := func(url string) (err error) {
			// An interrupt ends the load; what it has found by then is told.
			opt.URL, opt.Stop = url, cmd.Context().Done()
			result, err = load.Run(context.WithoutCancel(cmd.Context()), opt)
			progress.clear()
			return flagError(err)
		}
		if g.server != "" {
			err = measure(strings.TrimSuffix(g.server, "/"))
		} else {
			err = g.benchServer(cmd, dir, *level, opt.Users, measure)
		}
		if err != nil {
			return err
		}
		if err := g.value(cmd, result, func(w io.Writer) { loadTable(w, result) }); err != nil {
			return err
		}
		return result.Err()
	}
	cmd.AddCommand(benchStoreCommand(g))
	return cmd
}

// flagError names the flag that an option of the load comes from.
func flagError(err error) error {
	if audit.CodeOf(err) == audit.CodeInvalid {
		return usageError{fmt.Errorf("--%w", err)}
	}
	return err
}

// parseThink reads FROM-TO, one time, or none.
func parseThink(s string) (from, to time.Duration, err error) {
	if s == "none" {
		return 0, 0, nil
	}
	first, second, isRange := strings.Cut(s, "-")
	if from, err = time.ParseDuration(first); err == nil {
		if to = from; isRange {
			to, err = time.ParseDuration(second)
		}
	}
	if err != nil || from < 0 || to < from {
		return 0, 0, misuse("--think %s: want a time such as 1s, a range such as 500ms-2s, or none", s)
	}
	return from, to, nil
}

func formatThink(from, to time.Duration) string { return from.String() + "-" + to.String() }

// loadTable writes the result for people.
func loadTable(w io.Writer, r *load.Result) {
	row := func(what, format string, args ...any) { fmt.Fprintf(w, what+"\t"+format+"\n", args...) }
	row("users", "%d, %d connections opened", r.Users, r.Connections)
	row("time", "%s s, seed %d", number(r.Seconds), r.Seed)
	row("requests answered", "%d, %s a second", r.Requests, number(r.PerSecond))
	row("events acknowledged", "%d of %d%s", r.Acknowledged, r.Sent, listed(r.Statuses))
	latency := func(what string, l load.Latency) {
		if l.Count > 0 {
			row(what, "p50 %s ms, p95 %s ms, p99 %s ms, longest %s ms", number(l.P50), number(l.P95), number(l.P99), number(l.Max))
		}
	}
	latency("posts", r.Posts)
	latency("questions", r.Questions)
	if s := r.Server; s != nil {
		row("batches stored", "%.0f of %.0f events, %s a stored event", s.Batches, s.Stored, strconv.FormatFloat(s.BatchesPerEvent, 'g', 3, 64))
		row("server at most", "%s, %.0f goroutines, %.0f events waiting", megabytes(s.PeakResident), s.PeakGoroutines, s.PeakQueue)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Probe)) {
		row(cell(name), "%s", number(r.Probe[name]))
	}
	if len(r.Errors)+len(r.Rejected) == 0 {
		row("errors", "none")
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		row("errors", "%d %s: %s", r.Errors[kind], cell(kind), cell(r.Examples[kind]))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.Rejected)) {
		row("events rejected", "%d %s", r.Rejected[reason], cell(reason))
	}
	if r.GaveUp > 0 {
		row("requests given up", "%d, %d events of which nobody knows", r.GaveUp, r.Open)
	}
	if c := r.Check; c != nil {
		row("stored exactly once", "%d of %d acknowledged", c.Once, c.Acknowledged)
		if c.Missing+c.Twice > 0 {
			row("NOT AS ACKNOWLEDGED", "%d missing, %d more than once, such as %s", c.Missing, c.Twice, strings.Join(c.Examples, ", "))
		}
	}
}

// listed gives how many events have which status.
func listed(statuses map[audit.Status]int64) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(statuses)) {
		parts = append(parts, fmt.Sprintf("%d %s", statuses[status], status))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

func megabytes(n float64) string {
	if n == 0 {
		return "memory unknown"
	}
	return number(n/(1<<20)) + " MiB"
}
