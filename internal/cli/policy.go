package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

func policyCommand(g *globals) *cobra.Command {
	return group("policy", "The recording policy", explainCommand(g))
}

func explainCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Say whether an event would be recorded, and which rule decides",
		Long: `Judges an event, a JSON object from a file or standard input, by the policy of
the settings, or with --server by that of the server. Nothing is recorded.`,
		Args: cobra.MaximumNArgs(1),
	}
	level := levelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ev, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		x, err := g.explain(cmd, ev, *level)
		if err != nil {
			return err
		}
		return g.value(cmd, x, func(tab io.Writer) { explanationTable(tab, x) })
	}
	return cmd
}

func (g *globals) explain(cmd *cobra.Command, ev *audit.Event, level string) (policy.Explanation, error) {
	// What the door would refuse has no explanation by policy.
	if err := audit.Normalize(&audit.Record{Event: *ev}, time.Now()); err != nil {
		return policy.Explanation{}, dataError{err}
	}
	if g.server != "" {
		c, err := g.remote()
		if err != nil {
			return policy.Explanation{}, err
		}
		defer c.Close()
		return c.Explain(cmd.Context(), ev)
	}
	cfg, err := g.settings(levelSetting(level))
	if err != nil {
		return policy.Explanation{}, err
	}
	p, err := policy.New(cfg.TrailOptions().Policy)
	if err != nil {
		return policy.Explanation{}, err
	}
	return p.Explain(ev), nil
}

func explanationTable(w io.Writer, x policy.Explanation) {
	verdict := "recorded"
	if !x.Recorded {
		verdict = "not recorded: " + x.Reason
	}
	fmt.Fprintln(w, verdict)
	for _, s := range x.Steps {
		mark := "passed"
		if !s.Passed {
			mark = "stopped"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Rule, mark, safe(s.Detail))
	}
}
