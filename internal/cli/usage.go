package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// dimensionNote marks the flags that stand for a dimension.
const dimensionNote = "annals_dimension"

func isDimension(f *pflag.Flag) bool { return f.Annotations[dimensionNote] != nil }

// runsAlone reports whether a command that has others below it also does
// something by itself: it then has flags of its own. A group has only --help.
func runsAlone(cmd *cobra.Command) bool {
	alone := false
	cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { alone = alone || f.Name != "help" })
	return cmd.Runnable() && alone
}

// usage writes how a command is used. The dimensions, of which there are many,
// stand apart from the other flags and in the order of the field table.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:\n")
	if cmd.HasAvailableSubCommands() {
		if runsAlone(cmd) {
			fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
		}
		fmt.Fprintf(&b, "  %s COMMAND\n", cmd.CommandPath())
	} else {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if cmd.HasExample() {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\nCommands:\n")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "  %-*s %s\n", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = false
	var dims []*pflag.Flag
	local := cmd.LocalFlags()
	local.SortFlags = false
	local.VisitAll(func(f *pflag.Flag) {
		if isDimension(f) {
			dims = append(dims, f)
		} else {
			own.AddFlag(f)
		}
	})
	if own.HasAvailableFlags() {
		fmt.Fprintf(&b, "\nFlags:\n%s", own.FlagUsages())
	}
	if len(dims) > 0 {
		b.WriteString("\nDimensions (--NAME VALUE; repeat a flag for any of its values):\n")
		for _, f := range dims {
			fmt.Fprintf(&b, "  --%-18s %s\n", f.Name, f.Usage)
		}
	}
	if cmd.HasAvailableInheritedFlags() {
		fmt.Fprintf(&b, "\nFlags of every command:\n%s", cmd.InheritedFlags().FlagUsages())
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String())
	return err
}
