package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/internal/config"
)

func configCommand(g *globals) *cobra.Command {
	var force bool
	initialise := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Write a file with every setting, its meaning and its default (annals.toml)",
		Long: `Writes a file with every setting, its meaning and its default. All of them are
comments: take away the # in front of what you change.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "annals.toml"
			if len(args) > 0 {
				path = args[0]
			}
			mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
			if force {
				mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := os.OpenFile(path, mode, 0o600)
			if errors.Is(err, os.ErrExist) {
				return misuse("%s exists; --force replaces it", path)
			}
			if err != nil {
				return err
			}
			if _, err := io.WriteString(f, config.Example()); err != nil {
				return errors.Join(err, f.Close())
			}
			if err := f.Close(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "wrote %s\n", path)
			return nil
		},
	}
	initialise.Flags().BoolVar(&force, "force", false, "replace the file when it exists")
	show := &cobra.Command{
		Use:   "print",
		Short: "Print the settings in force, and where each came from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.settings(nil)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), cfg.TOML())
			return err
		},
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Check the settings without starting anything",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := g.settings(nil); err != nil {
				return err
			}
			fmt.Fprintln(cmd.ErrOrStderr(), "the settings are fine")
			return nil
		},
	}
	return group("config", "The settings",
		annotate(initialise, localOnly), annotate(show, localOnly), annotate(check, localOnly))
}
