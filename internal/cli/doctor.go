package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/spool"
)

// The verdicts of a check.
const (
	healthy = "ok"
	notable = "look" // something to know or to do; nothing is broken
	broken  = "broken"
)

// checked is one line of the doctor.
type checked struct {
	Check   string `json:"check"`
	Verdict string `json:"verdict"`
	Detail  string `json:"detail,omitempty"`
}

// errUnwell ends a doctor that found something broken; it was shown already.
var errUnwell = dataError{errors.New("something is broken")}

func doctorCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check settings, store and spool, and look after dead letters",
		Long: `Checks the settings, opens the store and asks it, and looks at the spool: what
waits there that no running server delivers, what was damaged, and the dead
letters, which are the records that the store refused for good. The exit code
is 1 when something is broken. 'annals doctor dead' shows, replays and drops
dead letters.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines := g.examine(cmd)
			err := g.value(cmd, lines, func(tab io.Writer) {
				fmt.Fprintln(tab, "CHECK\tVERDICT\tDETAIL")
				for _, l := range lines {
					fmt.Fprintf(tab, "%s\t%s\t%s\n", l.Check, l.Verdict, safe(l.Detail))
				}
			})
			if err != nil {
				return err
			}
			for _, l := range lines {
				if l.Verdict == broken {
					return errUnwell
				}
			}
			return nil
		},
	}
	cmd.AddCommand(deadCommand(g))
	return annotate(cmd, localOnly)
}

// examine makes every check that the ones before it allow.
func (g *globals) examine(cmd *cobra.Command) []checked {
	cfg, err := g.settings(nil)
	if err != nil {
		return []checked{{"settings", broken, err.Error()}}
	}
	lines := []checked{{Check: "settings", Verdict: healthy}}
	if !cfg.Audit.Enabled {
		return append(lines, checked{"recording", notable, "audit.enabled is false: nothing is recorded"})
	}
	lines = append(lines, g.examineStore(cmd, cfg))
	return append(lines, examineSpool(cmd.Context(), cfg)...)
}

const pingPatience = 10 * time.Second

func (g *globals) examineStore(cmd *cobra.Command, cfg *config.Config) checked {
	c := checked{Check: "store", Verdict: healthy, Detail: backends.Describe(cfg)}
	if backends.MustExist(cfg) != nil {
		return checked{c.Check, notable, c.Detail + ": not there yet; the first record makes it"}
	}
	err := g.local(cmd, cfg, nil, func(t *annals.Trail) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), pingPatience)
		defer cancel()
		begin := time.Now()
		if err := t.Ping(ctx); err != nil {
			return err
		}
		c.Detail += fmt.Sprintf(": answers in %.1f ms", float64(time.Since(begin).Microseconds())/1000)
		return nil
	})
	if err != nil {
		return checked{c.Check, broken, c.Detail + ": " + err.Error()}
	}
	return c
}

// examineSpool looks at what no running process holds: it takes the spool for a
// moment, as a start does, and leaves everything where it is.
func examineSpool(ctx context.Context, cfg *config.Config) []checked {
	dir := cfg.Audit.SpoolDir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || dir == "" {
		return []checked{{"spool", healthy, "none yet"}}
	}
	s, err := spool.Open(dir, spool.Options{MaxBytes: cfg.Audit.SpoolMaxBytes, Logger: discardLog})
	if err != nil {
		return []checked{{"spool", broken, dir + ": " + err.Error()}}
	}
	found := s.Recovery()
	c := checked{"spool", healthy, dir + ": nothing waits for a start"}
	if found.Entries > 0 {
		c.Verdict, c.Detail = notable, fmt.Sprintf("%s: %d events (%d bytes) wait for 'annals serve' to deliver them", dir, found.Entries, found.Bytes)
	}
	lines := []checked{c}
	for _, d := range found.Damaged {
		if d.Torn {
			continue // what a crash cut short was never acknowledged
		}
		detail := fmt.Sprintf("%s at byte %d: %s, %d events lost", d.File, d.Offset, d.Reason, d.Entries)
		lines = append(lines, checked{"spool damage", broken, detail})
	}
	if err := s.Close(ctx); err != nil {
		lines = append(lines, checked{"spool", broken, dir + ": " + err.Error()})
	}
	if kept, err := os.ReadDir(filepath.Join(dir, "damaged")); err == nil && len(kept) > 0 {
		lines = append(lines, checked{"damaged bytes", notable, fmt.Sprintf("%d files set aside in %s", len(kept), filepath.Join(dir, "damaged"))})
	}
	return append(lines, examineLetters(dir))
}

func examineLetters(dir string) checked {
	letters, err := spool.OpenDeadLetters(dir, nil)
	var list []spool.DeadLetter
	if err == nil {
		list, err = letters.List()
	}
	switch {
	case err != nil:
		return checked{"dead letters", broken, err.Error()}
	case len(list) == 0:
		return checked{"dead letters", healthy, "none"}
	}
	return checked{"dead letters", notable, fmt.Sprintf("%d; see 'annals doctor dead list'", len(list))}
}

// spoolDir gives the directory of the spool where there is one; "" where
// nothing was ever kept.
func (g *globals) spoolDir() (*config.Config, string, error) {
	cfg, err := g.settings(nil)
	if err != nil {
		return nil, "", err
	}
	dir := cfg.Audit.SpoolDir
	if dir == "" {
		return nil, "", cfg.Blame(audit.Invalid("", "is empty: there are no dead letters without it"), "audit.spool_dir")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return cfg, "", nil
	}
	return cfg, dir, nil
}
