package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

func tailCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Show records as they are stored, until interrupted",
		Args:  cobra.NoArgs,
	}
	q := questionFlags(cmd, "")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query, err := q.query(time.Now())
		if err != nil {
			return err
		}
		var out recordWriter
		switch g.format(cmd) {
		case "json":
			return misuse("--output json has an end, a tail has none: want table, ndjson or csv")
		case "table":
			out = lines{cmd.OutOrStdout()}
		default:
			out = g.records(cmd)
		}
		return g.ask(cmd, func(t trail) error {
			err := t.Tail(cmd.Context(), query, audit.Position{}, func(r *audit.Record) error {
				if err := out.Write(r); err != nil {
					return err
				}
				return out.Flush() // whoever watches wants it now
			})
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				return nil // an interrupt is how a tail ends
			}
			return err
		})
	}
	return annotate(cmd, writesCSV)
}

// lines writes records for people as they come, without waiting to align them.
type lines struct{ w io.Writer }

func (l lines) Write(r *audit.Record) error {
	_, err := fmt.Fprintf(l.w, "%s  %-32s %-8s %s → %s\n", r.OccurredAt.Format(time.RFC3339), cell(r.Action), cell(string(r.Outcome)), who(r), what(r))
	return err
}

func (l lines) Flush() error { return nil }

func (l lines) Close() error { return nil }
