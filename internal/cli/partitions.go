package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/retention"
)

func partitionsCommand(g *globals) *cobra.Command {
	return group("partitions", "The months that an engine keeps apart, to be dropped as a whole",
		partitionsListCommand(g), partitionsEnsureCommand(g), partitionsDropCommand(g))
}

// partitions runs fn with the local trail.
func (g *globals) partitions(cmd *cobra.Command, fn func(t *annals.Trail) error) error {
	cfg, err := g.settings(nil)
	if err != nil {
		return err
	}
	if !cfg.Audit.Enabled {
		return cfg.Blame(audit.Invalid("", "is false: no engine is opened"), "audit.enabled")
	}
	if err := backends.MustExist(cfg); err != nil {
		return err
	}
	return g.local(cmd, cfg, nil, fn)
}

func partitionsListCommand(g *globals) *cobra.Command {
	return annotate(&cobra.Command{
		Use:   "list",
		Short: "List the partitions, with about how many records each has",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.partitions(cmd, func(t *annals.Trail) error {
				list, err := t.Partitions(cmd.Context())
				if err != nil {
					return err
				}
				return g.value(cmd, list, func(tab io.Writer) { partitionTable(tab, list) })
			})
		},
	}, localOnly)
}

func partitionsEnsureCommand(g *globals) *cobra.Command {
	plan := false
	cmd := annotate(&cobra.Command{
		Use:   "ensure MONTHS",
		Short: "Make the partitions of the next months that are not there",
		Long: `Makes the partitions of the next MONTHS months of UTC that are not there, and
gives those that it made. Records of such a month that came before are moved into
it. The current month is left alone. A server makes the next ` + strconv.Itoa(retention.DefaultMonthsAhead) + ` by itself.`,
		Example: "  annals partitions ensure 6 --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			months, err := strconv.Atoi(args[0])
			if err != nil {
				return misuse("MONTHS is %q, want a whole number", args[0])
			}
			return g.partitions(cmd, func(t *annals.Trail) error {
				made, err := t.EnsurePartitions(cmd.Context(), months, plan)
				if err != nil {
					return err
				}
				list := make([]madeMonth, len(made))
				for i, m := range made {
					list[i] = madeMonth{m.Format("2006-01"), !plan}
				}
				return g.value(cmd, list, func(tab io.Writer) {
					fmt.Fprintln(tab, "MONTH\tMADE")
					for _, m := range list {
						fmt.Fprintf(tab, "%s\t%t\n", m.Month, m.Made)
					}
				})
			})
		},
	}, localOnly)
	cmd.Flags().BoolVar(&plan, "dry-run", false, "say which would be made, and make none")
	return cmd
}

// madeMonth is a line of what ensure did.
type madeMonth struct {
	Month string `json:"month"`
	Made  bool   `json:"made"`
}

func partitionsDropCommand(g *globals) *cobra.Command {
	plan, days := false, 0
	cmd := annotate(&cobra.Command{
		Use:   "drop --older-than-days DAYS",
		Short: "Drop the partitions of months that ended long ago",
		Long: `Drops the partitions that end at or before DAYS days ago, with all their records,
and gives those that went. What a legal hold protects survives, in the default
partition; where that is much, the partition stays and the rest of it is deleted.
Chained records leave anchors, so that their chains still verify. The default
partition is never dropped: see annals retention run.`,
		Example: "  annals partitions drop --older-than-days 365 --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("older-than-days") {
				return misuse("--older-than-days is required")
			}
			return g.partitions(cmd, func(t *annals.Trail) error {
				list, err := t.DropPartitions(cmd.Context(), days, plan)
				if err != nil {
					return err
				}
				return g.value(cmd, list, func(tab io.Writer) { partitionTable(tab, list) })
			})
		},
	}, localOnly)
	f := cmd.Flags()
	f.IntVar(&days, "older-than-days", 0, "only partitions that ended at least `DAYS` days ago (required)")
	f.BoolVar(&plan, "dry-run", false, "say which would be dropped, and drop none")
	return cmd
}

func partitionTable(w io.Writer, list []retention.Partition) {
	bound := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.DateOnly)
	}
	fmt.Fprintln(w, "NAME\tFROM\tTO\tRECORDS\tBYTES")
	for _, p := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\n", cell(p.Name), bound(p.From), bound(p.To), p.Records, p.Bytes)
	}
}
