package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

func verifyCommand(g *globals) *cobra.Command {
	var namespace, tenant, file string
	var opt chain.VerifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Re-read and re-hash the chains and say where they are broken",
		Long: `Re-reads and re-hashes every record of the chains: of all of them, or of one
namespace and tenant. The exit code is 3 when a chain is broken; the first bad
sequence, its id and the reason are shown.

A store that was rewritten or cut off as a whole is right in itself. So keep what
this command prints as JSON out of reach of whoever runs the store, and give it
with --heads later: each head in it must still be in its chain.`,
		Example: "  annals verify -o json > kept.json\n  annals verify --heads kept.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opt.From < 0 || opt.To < 0 || opt.To > 0 && opt.To < opt.From {
				return misuse("--from-sequence %d --to-sequence %d: not a range", opt.From, opt.To)
			}
			kept, err := keptHeads(file)
			if err != nil {
				return err
			}
			return g.ask(cmd, func(t trail) error {
				line := newProgress(cmd.ErrOrStderr())
				opt.Progress = func(checked, total int64) { line.show("%d of %d records ", checked, total) }
				reports, err := verifyAll(cmd.Context(), t, scopeFlags(cmd, namespace, tenant), kept, opt)
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
	f.StringVar(&file, "heads", "", "`FILE` with what this command printed before as JSON: the heads in it must still be in their chains")
	f.Int64Var(&opt.From, "from-sequence", 0, "first sequence; 0 is the beginning")
	f.Int64Var(&opt.To, "to-sequence", 0, "last sequence; 0 is the head")
	return cmd
}

// verifyAll verifies the chains of the scope, or of every scope when only is nil,
// together with those that only the kept heads remember.
func verifyAll(ctx context.Context, t trail, only *audit.Scope, kept []chain.Head, opt chain.VerifyOptions) ([]*chain.Report, error) {
	heads, err := t.Chains(ctx, only)
	if err != nil {
		return nil, err
	}
	var scopes []audit.Scope // the segments of one are verified together
	for _, h := range heads {
		scopes = append(scopes, h.Scope)
	}
	checkpoints := map[audit.Scope][]chain.Head{}
	for _, h := range kept {
		if only == nil || h.Scope == *only {
			scopes = append(scopes, h.Scope)
			checkpoints[h.Scope] = append(checkpoints[h.Scope], h)
		}
	}
	slices.SortFunc(scopes, func(a, b audit.Scope) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Tenant, b.Tenant))
	})
	reports := []*chain.Report{}
	for _, scope := range slices.Compact(scopes) {
		opt.Checkpoints = checkpoints[scope]
		rs, err := t.Verify(ctx, scope, opt)
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
