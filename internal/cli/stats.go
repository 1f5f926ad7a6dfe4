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

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

func statsCommand(g *globals) *cobra.Command {
	return group("stats", "Statistics over records: of the last 24 hours unless told otherwise",
		countStat(g), overviewStat(g), seriesStat(g), breakdownStat(g), performanceStat(g),
		discoveryStat(g), enrichmentStat(g), distinctStat(g), pairsStat(g),
	)
}

// stat makes one command: ask is given the trail and the question and returns
// the answer with the table that a person sees.
func stat(g *globals, use, short string, args cobra.PositionalArgs, flags func(*cobra.Command),
	ask func(ctx context.Context, t trail, q *audit.Query, args []string) (any, func(io.Writer), error)) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	if flags != nil {
		flags(cmd)
	}
	q := questionFlags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		query, err := q.query(time.Now())
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		if f := cmd.Flags().Lookup(exactFlag); f != nil && f.Value.String() == "true" {
			ctx = analytics.WithExact(ctx)
		}
		return g.ask(cmd, func(t trail) error {
			v, human, err := ask(ctx, t, query, args)
			if err != nil {
				return err
			}
			return g.value(cmd, v, human)
		})
	}
	return cmd
}

const exactFlag = "exact"

// exactly adds --exact to the statistics that an engine may estimate.
func exactly(cmd *cobra.Command) {
	cmd.Flags().Bool(exactFlag, false, "never estimate percentiles and distinct counts, however long that takes")
}

// within says how far an estimate may be off, nothing of what is exact.
func within(w io.Writer, what string, relative float64) {
	if relative > 0 {
		fmt.Fprintf(w, "%s within\t%s\n", what, percent(relative))
	}
}

func countStat(g *globals) *cobra.Command {
	return stat(g, "count", "Number of records (of all times)", cobra.NoArgs, nil,
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			n, err := t.Count(ctx, q)
			return map[string]int64{"count": n}, func(w io.Writer) { fmt.Fprintln(w, n) }, err
		})
}

func overviewStat(g *globals) *cobra.Command {
	return stat(g, "overview", "The whole at a glance", cobra.NoArgs, exactly,
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			o, err := t.Overview(ctx, q)
			return o, func(w io.Writer) {
				fmt.Fprintf(w, "calls\t%d\nsuccess rate\t%s\nerrors\t%d\naverage duration\t%s\nactors\t%d\ntools\t%d\nenrichment rate\t%s\n",
					o.Total, percent(o.SuccessRate), o.ErrorCount, millis(o.AvgDurationMS), o.UniqueActors, o.UniqueTools, percent(o.EnrichmentRate))
				within(w, "actors", o.ActorsError)
			}, err
		})
}

func seriesStat(g *globals) *cobra.Command {
	var unit string
	return stat(g, "timeseries", "Calls over time", cobra.NoArgs,
		func(cmd *cobra.Command) { cmd.Flags().StringVar(&unit, "unit", "hour", "minute, hour or day") },
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			buckets, err := t.Timeseries(ctx, q, analytics.Unit(unit))
			return buckets, func(w io.Writer) {
				fmt.Fprintln(w, "START\tCALLS\tSUCCESS\tERRORS\tAVERAGE")
				for _, b := range buckets {
					fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", b.Start.Format(time.RFC3339), b.Count, b.SuccessCount, b.ErrorCount, millis(b.AvgDurationMS))
				}
			}, err
		})
}

func breakdownStat(g *globals) *cobra.Command {
	var limit int
	return stat(g, "breakdown DIMENSION", "Calls by a dimension, e.g. tool_name, actor, action", cobra.ExactArgs(1),
		func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&limit, "limit", analytics.DefaultGroups, "groups at most, up to 100")
		},
		func(ctx context.Context, t trail, q *audit.Query, args []string) (any, func(io.Writer), error) {
			groups, err := t.Breakdown(ctx, q, args[0], limit)
			return groups, func(w io.Writer) { groupTable(w, groups) }, err
		})
}

func groupTable(w io.Writer, groups []analytics.Group) {
	fmt.Fprintln(w, "VALUE\tCALLS\tSUCCESS\tAVERAGE")
	for _, b := range groups {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", cell(b.Value), b.Count, percent(b.SuccessRate), millis(b.AvgDurationMS))
	}
}

func performanceStat(g *globals) *cobra.Command {
	return stat(g, "performance", "Percentiles of durations, and sizes", cobra.NoArgs, exactly,
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			p, err := t.Performance(ctx, q)
			return p, func(w io.Writer) {
				fmt.Fprintf(w, "median\t%s\n95th percentile\t%s\n99th percentile\t%s\naverage\t%s\nmaximum\t%s\naverage request\t%.0f B\naverage response\t%.0f B\n",
					millis(p.P50MS), millis(p.P95MS), millis(p.P99MS), millis(p.AvgMS), millis(p.MaxMS), p.AvgRequestBytes, p.AvgResponseBytes)
				within(w, "percentiles", p.PercentileError)
			}, err
		})
}

func discoveryStat(g *globals) *cobra.Command {
	return stat(g, "discovery", "Sessions that looked around before they asked", cobra.NoArgs, exactly,
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			d, err := t.Discovery(ctx, q)
			return d, func(w io.Writer) {
				fmt.Fprintf(w, "sessions\t%d\nwith discovery\t%d\nwith queries\t%d\ndiscovery first\t%d\nwithout discovery\t%d\nrate\t%s\n",
					d.TotalSessions, d.DiscoverySessions, d.QuerySessions, d.Before, d.Without, percent(d.Rate))
				within(w, "sessions", d.SessionsError)
				if len(d.TopTools) > 0 {
					fmt.Fprintln(w)
					groupTable(w, d.TopTools)
				}
			}, err
		})
}

func enrichmentStat(g *globals) *cobra.Command {
	return stat(g, "enrichment", "What context was added to answers, and its cost", cobra.NoArgs, exactly,
		func(ctx context.Context, t trail, q *audit.Query, _ []string) (any, func(io.Writer), error) {
			e, err := t.Enrichment(ctx, q)
			return e, func(w io.Writer) {
				fmt.Fprintf(w, "calls\t%d\nenriched\t%d\nrate\t%s\ntokens\t%d\ntokens after deduplication\t%d\ntokens saved\t%d\nsessions\t%d\n",
					e.Calls, e.Enriched, percent(e.Rate), e.TokensFull, e.TokensDedup, e.TokensSaved, e.UniqueSessions)
				within(w, "sessions", e.SessionsError)
				for _, mode := range slices.Sorted(maps.Keys(e.ByMode)) {
					fmt.Fprintf(w, "mode %s\t%d\n", cell(mode), e.ByMode[mode])
				}
			}, err
		})
}

func distinctStat(g *globals) *cobra.Command {
	return stat(g, "distinct COLUMN", "Values of a dimension (of all times)", cobra.ExactArgs(1), nil,
		func(ctx context.Context, t trail, q *audit.Query, args []string) (any, func(io.Writer), error) {
			values, err := t.Distinct(ctx, q, args[0])
			return values, func(w io.Writer) {
				for _, v := range values {
					fmt.Fprintln(w, cell(v))
				}
			}, err
		})
}

func pairsStat(g *globals) *cobra.Command {
	return stat(g, "distinct-pairs A B", "Values of one dimension with those of another, e.g. actor actor_email", cobra.ExactArgs(2), nil,
		func(ctx context.Context, t trail, q *audit.Query, args []string) (any, func(io.Writer), error) {
			pairs, err := t.DistinctPairs(ctx, q, args[0], args[1])
			return pairs, func(w io.Writer) {
				for _, k := range slices.Sorted(maps.Keys(pairs)) {
					fmt.Fprintf(w, "%s\t%s\n", cell(k), cell(pairs[k]))
				}
			}, err
		})
}

func percent(rate float64) string { return fmt.Sprintf("%.1f %%", rate*100) }

func millis(ms float64) string { return number(ms) + " ms" }

// number writes a measure with about three digits, and never with an exponent.
func number(v float64) string {
	decimals := 3
	switch {
	case v >= 100:
		decimals = 0
	case v >= 10:
		decimals = 1
	case v >= 1:
		decimals = 2
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
