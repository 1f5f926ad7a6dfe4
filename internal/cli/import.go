package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/ingest/cloudtrail"
	"github.com/annals-dev/annals/ingest/ndjson"
)

func importCommand(g *globals) *cobra.Command {
	var format, namespace, tenant string
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "Record the events of files: NDJSON or AWS CloudTrail",
		Long: `Records every event of the files ("-" is standard input) and waits for the
store. An event that has an id, as those of CloudTrail all do, is stored once
however often it is imported. The recording policy applies: give --level all to
keep everything. What cannot be recorded is named with its file and place, the
rest is kept, and the exit code is 1. An interrupt ends the import after the
events that are under way and says how far it came.`,
		Example: "  annals import --format cloudtrail --level all logs/*.json.gz\n  annals import events.ndjson",
		Args:    cobra.MinimumNArgs(1),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&format, "format", "ndjson", "ndjson or cloudtrail")
	level := levelFlag(cmd)
	f.StringVar(&namespace, "namespace", "", "namespace of the events (cloudtrail: aws unless given)")
	f.StringVar(&tenant, "tenant", "", "tenant of the events (cloudtrail: the account id unless given)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		read, err := reader(format, namespace, tenant)
		if err != nil {
			return err
		}
		return g.write(cmd, *level, func(t trail) error {
			im := &importer{trail: t, stderr: cmd.ErrOrStderr(), progress: newProgress(cmd.ErrOrStderr())}
			err := im.run(cmd.Context(), func(ctx context.Context, out chan<- found) {
				for _, path := range args {
					readFile(ctx, path, cmd.InOrStdin(), read, out)
				}
			})
			im.summary()
			return err
		})
	}
	return cmd
}

// readFunc reads events of one format; line is the place of each.
type readFunc func(r io.Reader, fn func(line int, ev *audit.Event, err error) error) error

func reader(format, namespace, tenant string) (readFunc, error) {
	switch format {
	case "ndjson":
		return func(r io.Reader, fn func(int, *audit.Event, error) error) error {
			return ndjson.Read(r, func(line int, ev *audit.Event, err error) error {
				if ev != nil && namespace != "" {
					ev.Namespace = namespace
				}
				if ev != nil && tenant != "" {
					ev.Tenant = tenant
				}
				return fn(line, ev, err)
			})
		}, nil
	case "cloudtrail":
		opt := cloudtrail.Options{Namespace: namespace, Tenant: tenant}
		return func(r io.Reader, fn func(int, *audit.Event, error) error) error {
			return cloudtrail.Read(r, opt, fn)
		}, nil
	}
	return nil, misuse("--format %s: want ndjson or cloudtrail", format)
}

// found is what a reader found at a place: an event, or why there is none.
type found struct {
	place string
	ev    *audit.Event
	err   error
}

// readFile hands over what is in the file until its end or that of ctx.
func readFile(ctx context.Context, path string, stdin io.Reader, read readFunc, out chan<- found) {
	send := func(f found) error {
		select {
		case out <- f:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	in := stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			var p *os.PathError
			if errors.As(err, &p) {
				err = p.Err // the place names the file already
			}
			_ = send(found{place: path, err: err}) // fails at the end only
			return
		}
		defer f.Close()
		in = f
	}
	err := read(in, func(line int, ev *audit.Event, err error) error {
		return send(found{fmt.Sprintf("%s:%d", path, line), ev, err})
	})
	if err != nil {
		_ = send(found{place: path, err: err}) // fails at the end only
	}
}
