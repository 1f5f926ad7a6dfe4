package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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
		Long: `Checks the settings, opens the store and asks it, and looks at the spool, also
beside a server that runs: what waits there and who delivers it, what is
damaged, and the dead letters, which are the records that the store refused for
good. Looking changes nothing. The exit code is 1 when something is broken. 'annals doctor dead' shows, replays and drops
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
	return append(lines, examineSpool(cfg)...)
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
		took := float64(time.Since(begin).Microseconds()) / 1000
		if state, err := t.State(ctx); err == nil && state["server"] != "" {
			c.Detail += " (" + state["server"] + ")"
		}
		c.Detail += fmt.Sprintf(": answers in %.1f ms", took)
		return nil
	})
	if err != nil {
		return checked{c.Check, broken, c.Detail + ": " + err.Error()}
	}
	return c
}

// slowDelivery is how old an event in the spool of a running process is that
// should have been delivered by now.
const slowDelivery = 5 * time.Minute

// examineSpool looks at the spool and changes nothing, also while it is in use.
func examineSpool(cfg *config.Config) []checked {
	dir := cfg.Audit.SpoolDir
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) || dir == "" {
		return []checked{{"spool", healthy, "none yet"}}
	}
	in, err := spool.Inspect(dir)
	if err != nil {
		return []checked{{"spool", broken, dir + ": " + err.Error()}}
	}
	lines := waiting(dir, &in)
	for _, d := range in.Damaged {
		detail := fmt.Sprintf("%s at byte %d: %s, %d events lost", d.File, d.Offset, d.Reason, d.Entries)
		lines = append(lines, checked{"spool damage", broken, detail})
	}
	if in.SetAside > 0 {
		detail := fmt.Sprintf("%d files (%d bytes) set aside in %s", in.SetAside, in.SetAsideBytes, filepath.Join(dir, "damaged"))
		lines = append(lines, checked{"damaged bytes", notable, detail})
	}
	c := checked{"dead letters", healthy, "none"}
	if in.Letters > 0 {
		c.Verdict, c.Detail = notable, fmt.Sprintf("%d (%d bytes); see 'annals doctor dead list'", in.Letters, in.LetterBytes)
	}
	if in.Letters >= spool.DefaultMaxLetters || in.LetterBytes >= spool.DefaultMaxLetterBytes {
		c.Verdict, c.Detail = broken, c.Detail+": there is no room for more, and further ones are lost"
	}
	return append(lines, c)
}

// waiting says what is in the spool, and who delivers it.
func waiting(dir string, in *spool.Inspection) (lines []checked) {
	held := in.Held
	if held > 0 || in.Running {
		c := checked{"spool", healthy, dir + ": a running process has it"}
		if held > 0 {
			c.Detail = fmt.Sprintf("%s: %d events are being delivered by a running process", dir, held)
		}
		if held == in.Depth && in.OldestAge > slowDelivery {
			c.Verdict, c.Detail = notable, c.Detail+fmt.Sprintf("; the oldest has waited for %v", in.OldestAge.Round(time.Second))
		}
		lines = append(lines, c)
	}
	if rest := in.Depth - held; rest > 0 {
		detail := fmt.Sprintf("%s: %d events wait for 'annals serve' to deliver them; the oldest has waited for %v", dir, rest, in.OldestAge.Round(time.Second))
		if len(in.Stores) > 0 {
			detail += "; the spool is for " + strings.Join(in.Stores, " and ")
		}
		lines = append(lines, checked{"spool", notable, detail})
	}
	if len(lines) == 0 {
		lines = append(lines, checked{"spool", healthy, dir + ": nothing waits"})
	}
	return lines
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
