package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/backends"
)

func migrateCommand(g *globals) *cobra.Command {
	check := false
	cmd := annotate(&cobra.Command{
		Use:   "migrate",
		Short: "Bring the schema of the local store up to date",
		Long: `Makes the tables of the engine in the settings, or brings them up to date.
Servers do so too when they start, unless audit.postgres.migrate is false: then
this command does it as the user of audit.postgres.maintenance_url. Several at
once wait for each other.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := g.settings(nil)
			if err != nil {
				return err
			}
			use := backends.Migration
			if check {
				use = backends.Look
			}
			store, err := backends.Open(cmd.Context(), cfg, use)
			if err != nil {
				return err
			}
			defer store.Close()
			answer := struct {
				Store string `json:"store"`
				Have  int    `json:"schema"`
				Want  int    `json:"wanted"`
			}{Store: backends.Describe(cfg)}
			if m, ok := audit.As[audit.Migrator](store); ok {
				if answer.Have, answer.Want, err = m.SchemaVersion(cmd.Context()); err != nil {
					return err
				}
			}
			return g.value(cmd, answer, func(w io.Writer) {
				if answer.Want == 0 {
					fmt.Fprintf(w, "%s has no schema\n", answer.Store)
					return
				}
				fmt.Fprintf(w, "%s has schema %d of %d\n", answer.Store, answer.Have, answer.Want)
			})
		},
	}, localOnly)
	cmd.Flags().BoolVar(&check, "check", false, "change nothing; exit 1 when the schema is not up to date")
	return cmd
}
