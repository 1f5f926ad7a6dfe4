package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

func verifyCommand(g *globals) *cobra.Command {
	var namespace, tenant string
	var opt chain.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Re-read and re-hash the chains and say where they are broken",
		Long: `Re-reads and re-hashes every record of the chains: of all of them, or of one
namespace and tenant. The exit code is 3 when a chain is broken; the first bad
sequence, its id and the reason are shown.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opt.From < 0 || opt.To < 0 || opt.To > 0 && opt.To < opt.From {
				return misuse("--from-sequence %d --to-sequence %d: not a range", opt.From, opt.To)
			}
			return g.ask(cmd, func(t trail) error {
				line := newProgress(cmd.ErrOrStderr())
				opt.Progress = func(checked, total int64) { line.show("%d of %d records ", checked, total) }
				reports, err := verifyAll(cmd.Context(), t, scopeFlags(cmd, namespace, tenant), opt)
				line.clear()
				if err != nil {
					return err
				}
				if err := g.value(cmd, reports, func(tab io.Writer) { reportTable(tab, reports) }); err != nil {
					return err
				}
				for _, r := range reports {
					if !r.Valid {
						return errBroken
					}
				}
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&namespace, "namespace", "", "namespace of the chain")
	f.StringVar(&tenant, "tenant", "", "tenant of the chain")
	f.Int64Var(&opt.From, "from-sequence", 0, "first sequence; 0 is the beginning")
	f.Int64Var(&opt.To, "to-sequence", 0, "last sequence; 0 is the head")
	return cmd
}

func verifyAll(ctx context.Context, t trail, only *audit.Scope, opt chain.VerifyOptions) ([]*chain.Report, error) {
	heads, err := t.Chains(ctx, only)
	if err != nil {
		return nil, err
	}
	reports := []*chain.Report{}
	var last audit.Scope
	for i, h := range heads {
		if i > 0 && h.Scope == last {
			continue // its segments were verified together
		}
		last = h.Scope
		rs, err := t.Verify(ctx, h.Scope, opt)
		if err != nil {
			return nil, err
		}
		reports = append(reports, rs...)
	}
	if only != nil && len(reports) == 0 {
		return nil, &audit.Error{Code: audit.CodeNotFound, Message: "there is no chain in this namespace and tenant"}
	}
	return reports, nil
}

func reportTable(w io.Writer, reports []*chain.Report) {
	fmt.Fprintln(w, "NAMESPACE\tTENANT\tVALID\tCHECKED\tHEAD\tPRUNED RUNS\tFIRST BREAK")
	for _, r := range reports {
		broken := "-"
		if b := r.FirstBroken; b != nil {
			broken = fmt.Sprintf("sequence %d %s %s", b.Sequence, b.Reason, b.ID)
		}
		fmt.Fprintf(w, "%s\t%s\t%t\t%d\t%d\t%d\t%s\n", cell(r.Namespace), cell(r.Tenant), r.Valid, r.RecordsChecked, r.Head.Sequence, len(r.Pruned), broken)
	}
}
