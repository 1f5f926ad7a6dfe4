package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

func queryCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Search records",
		Example: `  annals query --actor alice --since 24h
  annals query --outcome failure --outcome denied -w 'action^=tool.' -w 'duration_ms>=500'
  annals query -q 'access denied' -w metadata.region=us-east-1 -o json`,
		Args: cobra.NoArgs,
	}
	q := questionFlags(cmd, "newest")
	limit := cmd.Flags().Int("limit", audit.DefaultLimit, "records at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query, err := q.query(time.Now())
		if err != nil {
			return err
		}
		if *limit < 1 {
			return misuse("--limit: is %d, want 1 or more", *limit)
		}
		return g.ask(cmd, func(t trail) error {
			out := g.records(cmd)
			more, err := pages(cmd.Context(), t, query, *limit, out.Write)
			if err != nil {
				return err
			}
			if err := out.Close(); err != nil {
				return err
			}
			if more && g.format(cmd) == "table" {
				fmt.Fprintf(cmd.ErrOrStderr(), "there are more than these %d: see --limit\n", *limit)
			}
			return nil
		})
	}
	return annotate(cmd, writesCSV)
}

// pages walks as many pages as limit records need; more says that there are others.
func pages(ctx context.Context, t trail, q *audit.Query, limit int, fn func(*audit.Record) error) (more bool, err error) {
	cursor := ""
	for {
		q.Limit = min(limit, audit.MaxLimit)
		page, err := t.Query(ctx, q, cursor)
		if err != nil {
			return false, err
		}
		for _, r := range page.Records {
			if err := fn(r); err != nil {
				return false, err
			}
		}
		limit -= len(page.Records)
		if cursor = page.Next; cursor == "" || limit <= 0 {
			return cursor != "", nil
		}
	}
}

func getCommand(g *globals) *cobra.Command {
	var namespace, tenant, action string
	cmd := &cobra.Command{
		Use:   "get [ID]",
		Short: "Show one record by its id, or the newest one of an action",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 0) == (action == "") {
				return misuse("give either an id or --action-id")
			}
			scope := scopeFlags(cmd, namespace, tenant)
			return g.ask(cmd, func(t trail) (err error) {
				var r *audit.Record
				if action != "" {
					r, err = t.GetAction(cmd.Context(), action, scope)
				} else {
					r, err = t.Find(cmd.Context(), args[0], scope)
				}
				if err != nil {
					return err
				}
				return g.record(cmd, r)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&namespace, "namespace", "", "namespace of the record")
	f.StringVar(&tenant, "tenant", "", "tenant of the record; needed when several have the id")
	f.StringVar(&action, "action-id", "", "id of the action instead of the record's own")
	return annotate(cmd, writesCSV)
}

// scopeFlags gives the scope that the flags name; nil where neither is given.
func scopeFlags(cmd *cobra.Command, namespace, tenant string) *audit.Scope {
	if !cmd.Flags().Changed("namespace") && !cmd.Flags().Changed("tenant") {
		return nil
	}
	return &audit.Scope{Namespace: namespace, Tenant: tenant}
}

// record shows one record: all its fields as a list, or in the chosen format.
func (g *globals) record(cmd *cobra.Command, r *audit.Record) error {
	if g.format(cmd) != "table" {
		out := g.records(cmd)
		if err := out.Write(r); err != nil {
			return err
		}
		return out.Close()
	}
	w := cmd.OutOrStdout()
	for _, f := range audit.Fields() {
		if f.Absent(r) {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-28s %s\n", f.Path, safe(f.Text(r))); err != nil {
			return err
		}
	}
	return nil
}

func exportCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "export",
		Short:   "Write every record that a question selects, in constant memory",
		Example: "  annals export --tenant acme --from 2026-01-01 -o csv > acme.csv",
		Args:    cobra.NoArgs,
	}
	q := questionFlags(cmd, "oldest")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		query, err := q.query(time.Now())
		if err != nil {
			return err
		}
		return g.ask(cmd, func(t trail) error {
			out := g.records(cmd)
			if err := t.Export(cmd.Context(), query, out.Write); err != nil {
				return err
			}
			return out.Close()
		})
	}
	return annotate(cmd, writesCSV)
}
