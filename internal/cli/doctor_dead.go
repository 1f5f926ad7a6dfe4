package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/spool"
)

func deadCommand(g *globals) *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List the dead letters, oldest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			letters, err := g.letters()
			if err != nil {
				return err
			}
			return g.value(cmd, letters, func(tab io.Writer) { letterTable(tab, letters) })
		},
	}
	show := &cobra.Command{
		Use: "show ID", Short: "Show one dead letter with its record; the beginning of the id will do", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.letter(args[0])
			if err != nil {
				return err
			}
			return g.value(cmd, l, func(tab io.Writer) { letterDetail(tab, l) })
		},
	}
	drop := &cobra.Command{
		Use: "drop ID", Short: "Delete one dead letter; its record is then lost", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.letter(args[0])
			if err != nil {
				return err
			}
			if err := l.box.Remove(l.name); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "dropped %s\n", safe(l.ID))
			return nil
		},
	}
	return group("dead", "Dead letters: records that the store refused for good",
		annotate(list, localOnly), annotate(show, localOnly), annotate(replayCommand(g), localOnly), annotate(drop, localOnly))
}

func replayCommand(g *globals) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "replay [ID]",
		Short: "Store one dead letter, or --all, and remove those that the store then has",
		Long: `Gives dead letters to the store once more, as what they were: same id, same
time of recording. A letter is removed when the store has its record, also when
it had it before. The others stay, and the exit code is 1.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&all, "all", false, "every dead letter")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) == 1) {
			return misuse("give the ID of one dead letter, or --all")
		}
		letters, err := g.letters()
		if err == nil && !all {
			var one letterView
			one, err = g.letter(args[0])
			letters = []letterView{one}
		}
		if err != nil {
			return err
		}
		return g.replay(cmd, letters)
	}
	return cmd
}

// letterView is a dead letter as the command line shows it.
type letterView struct {
	ID       string        `json:"id"`
	Reason   string        `json:"reason"`
	Attempts int           `json:"attempts,omitempty"`
	At       time.Time     `json:"at,omitzero"`
	Bytes    int64         `json:"bytes"`
	Corrupt  bool          `json:"corrupt,omitempty"`
	Record   *audit.Record `json:"record,omitempty"`
	Entry    string        `json:"entry,omitempty"` // where it is no record; a text, or "hex " and digits

	box  *spool.DeadLetters
	name string
}

// letters reads every dead letter.
func (g *globals) letters() ([]letterView, error) {
	out := []letterView{}
	_, dir, err := g.spoolDir()
	if err != nil || dir == "" {
		return out, err
	}
	box, err := spool.OpenDeadLetters(dir, nil)
	if err != nil {
		return nil, err
	}
	list, err := box.List()
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		v := letterView{ID: l.ID, Reason: l.Reason, Attempts: l.Attempts, At: l.At, Bytes: l.Bytes, Corrupt: l.Corrupt, box: box, name: l.Name}
		if v.ID == "" {
			v.ID = l.Name
		}
		_, entry, err := box.Get(l.Name)
		if errors.Is(err, audit.ErrNotFound) {
			continue // somebody has just removed it
		}
		if err != nil {
			return nil, err
		}
		if v.Record, err = recorder.DecodeEntry(entry); err != nil || l.Corrupt {
			v.Record, v.Entry = nil, readable(entry)
		}
		out = append(out, v)
	}
	return out, nil
}

// readable gives an entry that is no record: as it is where that is a text, and
// else in hexadecimal digits.
func readable(entry []byte) string {
	if utf8.Valid(entry) {
		return string(entry)
	}
	return "hex " + hex.EncodeToString(entry)
}

// letter finds one by its id, or by the beginning of it.
func (g *globals) letter(id string) (letterView, error) {
	all, err := g.letters()
	if err != nil {
		return letterView{}, err
	}
	var found []letterView
	for _, l := range all {
		if l.ID == id || l.name == id {
			return l, nil
		}
		if strings.HasPrefix(l.ID, id) {
			found = append(found, l)
		}
	}
	switch len(found) {
	case 0:
		return letterView{}, &audit.Error{Code: audit.CodeNotFound, Message: fmt.Sprintf("there is no dead letter %q", id)}
	case 1:
		return found[0], nil
	}
	return letterView{}, misuse("%q is the beginning of %d dead letters", id, len(found))
}

func letterTable(tab io.Writer, letters []letterView) {
	fmt.Fprintln(tab, "ID\tSET ASIDE\tATTEMPTS\tACTION\tTENANT\tREASON")
	for _, l := range letters {
		action, tenant, at := "-", "-", "-"
		if l.Record != nil {
			action, tenant = cell(l.Record.Action), cell(l.Record.Tenant)
		}
		if !l.At.IsZero() {
			at = l.At.Format(time.RFC3339)
		}
		fmt.Fprintf(tab, "%s\t%s\t%d\t%s\t%s\t%s\n", safe(l.ID), at, l.Attempts, action, tenant, cell(l.Reason))
	}
}

func letterDetail(tab io.Writer, l letterView) {
	fmt.Fprintf(tab, "id\t%s\nreason\t%s\nattempts\t%d\nbytes\t%d\n", safe(l.ID), safe(l.Reason), l.Attempts, l.Bytes)
	if !l.At.IsZero() {
		fmt.Fprintf(tab, "set aside\t%s\n", l.At.Format(time.RFC3339))
	}
	if l.Record != nil {
		fmt.Fprintf(tab, "record\t%s\n", safe(string(l.Record.AppendJSON(nil))))
	} else {
		fmt.Fprintf(tab, "entry\t%s\n", safe(l.Entry))
	}
}

// replayed is what became of one dead letter.
type replayed struct {
	ID     string       `json:"id"`
	Status audit.Status `json:"status"`
	Error  string       `json:"error,omitempty"`
}

// replayBatch is how many letters are given to the store at once.
const replayBatch = 500

func (g *globals) replay(cmd *cobra.Command, letters []letterView) error {
	cfg, err := g.settings(nil)
	if err != nil {
		return err
	}
	if !cfg.Audit.Enabled {
		return cfg.Blame(audit.Invalid("", "is false: nothing is recorded"), "audit.enabled")
	}
	results := make([]replayed, len(letters))
	failed := 0
	patient := func(opt *annals.Options) { opt.Timeout = max(opt.Timeout, time.Minute) }
	if len(letters) == 0 {
		return g.value(cmd, results, func(io.Writer) {})
	}
	err = g.local(cmd, cfg, patient, func(t *annals.Trail) error {
		for from := 0; from < len(letters); from += replayBatch {
			to := min(from+replayBatch, len(letters))
			if err := replayInto(cmd.Context(), t, letters[from:to], results[from:to]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Error != "" {
			failed++
		}
	}
	err = g.value(cmd, results, func(tab io.Writer) {
		fmt.Fprintln(tab, "ID\tSTATUS\tERROR")
		for _, r := range results {
			fmt.Fprintf(tab, "%s\t%s\t%s\n", safe(r.ID), r.Status, cell(r.Error))
		}
	})
	if err == nil && failed > 0 {
		err = dataError{fmt.Errorf("%d of %d dead letters stay", failed, len(results))}
	}
	return err
}

// replayInto stores what can be stored, and removes the letters of those.
func replayInto(ctx context.Context, t *annals.Trail, letters []letterView, results []replayed) error {
	var recs []*audit.Record
	var at []int
	for i, l := range letters {
		results[i] = replayed{ID: l.ID, Status: audit.StatusRejected}
		if l.Record == nil {
			results[i].Error = "is no record"
			continue
		}
		recs, at = append(recs, l.Record), append(at, i)
	}
	for k, receipt := range t.Restore(ctx, recs) {
		i := at[k]
		results[i].Status = receipt.Status
		if receipt.Err != nil {
			results[i].Error = receipt.Err.Error()
			continue
		}
		if err := letters[i].box.Remove(letters[i].name); err != nil && !errors.Is(err, audit.ErrNotFound) {
			return err
		}
	}
	return nil
}
