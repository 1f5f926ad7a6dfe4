package cli

import (
	"fmt"
	"io"
	"net/url"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

func retentionCommand(g *globals) *cobra.Command {
	return group("retention", "How long records are kept, and legal holds",
		retentionStatusCommand(g), retentionPlanCommand(g), retentionRunCommand(g),
		group("holds", "Legal holds, which keep records from being deleted", holdsListCommand(g), holdsAddCommand(g), holdsRemoveCommand(g)))
}

func retentionStatusCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the settings, the legal holds, and what a server has deleted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd, func(t trail) error {
				s, err := t.Retention(cmd.Context())
				if err != nil {
					return err
				}
				return g.value(cmd, s, func(tab io.Writer) { statusTable(tab, s) })
			})
		},
	}
}

func retentionPlanCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "plan",
		Short: "Count what is due to be deleted, and delete nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd, func(t trail) error {
				p, err := t.RetentionPlan(cmd.Context())
				if err != nil {
					return err
				}
				return g.value(cmd, p, func(tab io.Writer) {
					fmt.Fprintln(tab, "DUE\tEXPIRED\tOVER CEILING\tHELD\tHOLDS")
					fmt.Fprintf(tab, "%d\t%d\t%d\t%d\t%d\n", p.Deleted, p.Expired, p.Ceiling, p.Held, p.Holds)
				})
			})
		},
	}
}

func retentionRunCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Delete what is due now",
		Long: `Deletes the records that have expired and those that are older than
audit.retention_days, in batches, and says how many. Legal holds are heeded.
With --server the server does it, by its own settings.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd, func(t trail) error {
				r, err := t.RetentionRun(cmd.Context())
				if err != nil {
					return err
				}
				return g.value(cmd, r, func(tab io.Writer) {
					fmt.Fprintln(tab, "DELETED\tEXPIRED\tOVER CEILING\tBATCHES\tSECONDS")
					fmt.Fprintf(tab, "%d\t%d\t%d\t%d\t%.3f\n", r.Deleted, r.Expired, r.Ceiling, r.Batches, r.Seconds)
				})
			})
		},
	}
}

func holdsListCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the legal holds in force",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.ask(cmd, func(t trail) error {
				s, err := t.Retention(cmd.Context())
				if err != nil {
					return err
				}
				return g.value(cmd, s.Holds, func(tab io.Writer) { holdTable(tab, s.Holds) })
			})
		},
	}
}

func holdsAddCommand(g *globals) *cobra.Command {
	var h retention.Hold
	var from, to string
	cmd := &cobra.Command{
		Use:   "add [CONDITION...]",
		Short: "Add a legal hold on what meets all conditions",
		Long: `Adds a legal hold. What meets all of the conditions is not deleted until the
hold is removed. A condition is FIELD=VALUE, !=, ^= (prefix), >= or <=, as with
--where of a question; a field twice with = is any of the values.`,
		Example: "  annals retention holds add --reason 'case 7' tenant=acme 'action^=payment.' --from 2026-01-01",
		RunE: func(cmd *cobra.Command, args []string) error {
			params, err := holdParams(args, from, to)
			if err != nil {
				return usageError{err}
			}
			h.Params = params.Encode()
			return g.ask(cmd, func(t trail) error {
				added, err := t.AddHold(cmd.Context(), h)
				if err != nil {
					return err
				}
				return g.value(cmd, added, func(tab io.Writer) { holdTable(tab, []retention.Hold{added}) })
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&h.Reason, "reason", "", "why, for people (required)")
	f.StringVar(&h.CreatedBy, "by", userName(), "who adds it")
	f.StringVar(&from, "from", "", "only what occurred from this `TIME` on, RFC 3339 or a date")
	f.StringVar(&to, "to", "", "only what occurred before this `TIME`, RFC 3339 or a date")
	return cmd
}

// holdParams gives the parameters that the conditions stand for.
func holdParams(conditions []string, from, to string) (url.Values, error) {
	v := url.Values{}
	for _, c := range conditions {
		param, value, err := audit.ParseWhere(c)
		if err != nil {
			return nil, err
		}
		v.Add(param, value)
	}
	for name, value := range map[string]string{audit.ParamFrom: from, audit.ParamTo: to} {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v, nil
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func holdsRemoveCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "remove ID",
		Short: "End a legal hold",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.ask(cmd, func(t trail) error {
				h, err := t.RemoveHold(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return g.value(cmd, h, func(tab io.Writer) { holdTable(tab, []retention.Hold{h}) })
			})
		},
	}
}

func holdTable(w io.Writer, holds []retention.Hold) {
	fmt.Fprintln(w, "ID\tCREATED\tBY\tREASON\tHOLDS")
	for _, h := range holds {
		what := h.Params
		if plain, err := url.QueryUnescape(strings.ReplaceAll(h.Params, "&", " ")); err == nil {
			what = plain
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", cell(h.ID), h.CreatedAt.Format(time.RFC3339), cell(h.CreatedBy), cell(h.Reason), cell(what))
	}
}

func statusTable(w io.Writer, s *retention.Status) {
	forever := func(n float64, unit string) string {
		if n == 0 {
			return "for ever"
		}
		return strconv.FormatFloat(n, 'f', -1, 64) + " " + unit
	}
	fmt.Fprintf(w, "ttl_seconds\t%s\n", forever(s.Settings.TTLSeconds, "s"))
	fmt.Fprintf(w, "retention_days\t%s\n", forever(s.Settings.RetentionDays, "days"))
	fmt.Fprintf(w, "cleanup_interval_seconds\t%g s\n", s.Settings.IntervalSeconds)
	fmt.Fprintf(w, "cleanup_batch_size\t%d\n", s.Settings.BatchSize)
	fmt.Fprintf(w, "holds\t%d\n", len(s.Holds))
	state := &s.State
	fmt.Fprintf(w, "running\t%t\n", state.Running)
	fmt.Fprintf(w, "runs\t%d, %d failed, %d given up\n", state.Runs, state.Errors, state.GivenUp)
	fmt.Fprintf(w, "deleted\t%d\n", state.Deleted)
	if !state.LastSuccess.IsZero() {
		fmt.Fprintf(w, "last_success_at\t%s\n", state.LastSuccess.Format(time.RFC3339))
	}
	if r := state.LastRun; r != nil && r.Error != "" {
		fmt.Fprintf(w, "last_error\t%s\n", cell(r.Error))
	}
	if !state.NextRun.IsZero() {
		fmt.Fprintf(w, "next_run_at\t%s\n", state.NextRun.Format(time.RFC3339))
	}
}
