package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/copying"
)

func copyCommand(g *globals) *cobra.Command {
	var from, to string
	cmd := annotate(&cobra.Command{
		Use:   "copy --from STORE --to STORE",
		Short: "Copy everything from one store into another, and verify it there",
		Long: `Copies every record with its id, chain position and hash, the anchors of what
retention removed, and the legal holds, from one store into another, of whatever
engine, and verifies every chain there. It may be interrupted, or killed, at any
moment: the same command goes on where it stopped. A chain that is broken at the
source, and a target that has other records in the same chains, are refused
before anything is written.

STORE is a settings file, or the place of a store:

  FILE.toml
  sqlite:PATH
  postgres://USER@HOST/DATABASE
  clickhouse://USER@HOST:9000/DATABASE
  elasticsearch:https://HOST:9200 (OpenSearch too)
  dynamodb:TABLE or dynamodb:TABLE@ENDPOINT

Nothing but what it says applies to a store that is named: no environment
variable and no --set. A side that is not named is the store of the settings.
What reaches the source while it is copied may be missing: copy again, or stop
the servers. The exit code is 3 when a chain is broken.`,
		Example: `  annals copy --to postgres://annals@db.example/annals
  annals copy --from old.toml --to new.toml -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			source, target, err := g.copySides(from, to)
			if err != nil {
				return err
			}
			if err := source.exists(); err != nil {
				return err
			}
			src, err := source.open(cmd, backends.Look)
			if err != nil {
				return err
			}
			defer src.Close()
			dst, err := target.open(cmd, backends.Command)
			if err != nil {
				return err
			}
			defer dst.Close()
			line := newProgress(cmd.ErrOrStderr())
			report, err := copying.Copy(cmd.Context(), src, dst, copying.Options{Progress: func(p copying.Progress) {
				if p.Total > 0 {
					line.show("%s: %d of %d ", p.Step, p.Done, p.Total)
				} else {
					line.show("%s: %d ", p.Step, p.Done)
				}
			}})
			line.clear()
			if err != nil && !errors.Is(err, copying.ErrBroken) {
				return err
			}
			if e := g.value(cmd, report, func(tab io.Writer) { copyTable(tab, report) }); e != nil {
				return e
			}
			if err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "annals: %s\n", safe(err.Error()))
				return errBroken
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "copied what %s had at %s to %s\n",
				safe(backends.Describe(source.cfg)), audit.FormatTime(report.Began), safe(backends.Describe(target.cfg)))
			return nil
		},
	}, localOnly)
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "`STORE` that is copied; that of the settings unless named")
	f.StringVar(&to, "to", "", "`STORE` that is copied into; that of the settings unless named")
	return cmd
}

func copyTable(w io.Writer, r *copying.Report) {
	fmt.Fprintln(w, "NAMESPACE\tTENANT\tSEGMENT\tCOPIED\tTHERE BEFORE\tSOURCE\tTARGET\tHEAD\tVALID")
	for _, c := range r.Chains {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%t\n", cell(c.Namespace), cell(c.Tenant), cell(c.Segment), c.Copied, c.Present, c.Source, c.Target, c.Head.Sequence, c.Valid)
	}
	for _, o := range r.Outside {
		fmt.Fprintf(w, "%s\t%s\t(no chain)\t%d\t%d\t%d\t%d\t-\t-\n", cell(o.Namespace), cell(o.Tenant), o.Copied, o.Present, o.Source, o.Target)
	}
	fmt.Fprintf(w, "%d records copied, %d were there before, %d legal holds added\n", r.Copied, r.Present, r.Holds)
}
