// Package cli is the command line. Data goes to standard output, everything
// else to standard error. Exit codes: 0 fine, 1 failed, 2 wrong usage or
// settings, 3 verification found a break.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 3
)

// errBroken ends a verification that found a break; it was reported already.
var errBroken = errors.New("the chain is broken")

// usageError marks an error of the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// dataError marks an error of what was read, as against one of the command line
// or the settings, which may have the same code.
type dataError struct{ error }

func (e dataError) Unwrap() error { return e.error }

// Main runs the program and gives its exit code. The first interrupt asks the
// command to end, the second ends the program.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return run(ctx, args, stdin, stdout, stderr)
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if errors.Is(err, errBroken) {
		return exitBroken
	}
	message := err.Error()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		message = "interrupted"
	}
	fmt.Fprintf(stderr, "annals: %s\n", safe(message))
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintf(stderr, "Try '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

func exitCode(err error) int {
	var usage usageError
	var data dataError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &data):
		return exitFailed
	}
	switch audit.CodeOf(err) {
	case audit.CodeInvalid, audit.CodeUnsupported: // the settings, or what was asked for
		return exitUsage
	}
	return exitFailed
}

// globals are the flags of every command.
type globals struct {
	server     string
	configFile string
	set        []string
	output     string
}

func newRoot() *cobra.Command {
	g := &globals{}
	root := group("annals", "The audit trail: record, search and verify who did what",
		serveCommand(g), recordCommand(g), importCommand(g),
		queryCommand(g), getCommand(g), tailCommand(g), statsCommand(g), exportCommand(g),
		verifyCommand(g), retentionCommand(g), partitionsCommand(g), migrateCommand(g), copyCommand(g), policyCommand(g), configCommand(g), doctorCommand(g), benchCommand(g), versionCommand(g),
	)
	root.Long = `Annals records who did what on what and how it ended, searches it, and proves
that nobody changed it. Commands work on the local store of the settings
(./annals-data unless told otherwise) or, with --server, on a running server.`
	root.SilenceUsage, root.SilenceErrors = true, true
	root.PersistentPreRunE = g.check
	root.SetUsageFunc(usage)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	p := root.PersistentFlags()
	p.StringVar(&g.server, "server", "", "`URL` of a running server instead of the local store, e.g. http://127.0.0.1:8480")
	p.StringVar(&g.configFile, "config", "", "TOML `FILE` with settings; annals.toml in this folder when it exists")
	p.StringArrayVar(&g.set, "set", nil, "`KEY=VALUE` of one setting, e.g. audit.level=all; see 'annals config print'")
	p.StringVarP(&g.output, "output", "o", "", "output `FORMAT`: table, json, ndjson or csv; a table on a terminal, else ndjson")
	markUsage(root)
	return root
}

// group makes a command that only holds others. Any other word after it is a
// mistake, for which cobra would print the help and call it a success.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			hint := ""
			cmd.SuggestionsMinimumDistance = 2
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return misuse("%q is no command of %s%s", args[0], cmd.CommandPath(), hint)
		},
	}
	cmd.AddCommand(subs...)
	return cmd
}

// markUsage makes a wrong number of arguments a usage error, for every command.
func markUsage(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markUsage(sub)
	}
}

// The annotations of commands that the check of the global flags looks at.
const (
	writesCSV = "annals_csv"   // it writes records, which have a CSV form
	localOnly = "annals_local" // --server has no meaning for it
)

func annotate(cmd *cobra.Command, notes ...string) *cobra.Command {
	if cmd.Annotations == nil {
		cmd.Annotations = map[string]string{}
	}
	for _, n := range notes {
		cmd.Annotations[n] = "yes"
	}
	return cmd
}

// check refuses global flags that the command cannot follow, before it does anything.
func (g *globals) check(cmd *cobra.Command, _ []string) error {
	if g.output != "" && !slices.Contains([]string{"table", "json", "ndjson", "csv"}, g.output) {
		return misuse("--output %s: want table, json, ndjson or csv", g.output)
	}
	if g.output == "csv" && cmd.Annotations[writesCSV] == "" {
		return misuse("--output csv is for records; want table, json or ndjson")
	}
	if g.server == "" {
		return nil
	}
	if cmd.Annotations[localOnly] != "" {
		return misuse("--server has no meaning for %s", cmd.CommandPath())
	}
	for _, name := range []string{"set", "config", "level"} {
		// A question has a flag of that name too: the dimension.
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed && !isDimension(f) {
			return misuse("--%s is for a local store: a server has its own settings", name)
		}
	}
	return nil
}
