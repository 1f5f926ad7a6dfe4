package cli

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
)

// answer is one receipt as the command line and the API show it.
type answer struct {
	ID       audit.ID     `json:"id,omitzero"`
	Status   audit.Status `json:"status"`
	Reason   string       `json:"reason,omitempty"`
	Sequence int64        `json:"sequence,omitempty"`
	Hash     audit.Digest `json:"hash,omitzero"`
}

func recordCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "record [FILE]",
		Short: "Record one event: a JSON object from a file or standard input",
		Long: `Records one event, a JSON object from a file or standard input, and waits for
the store. The exit code is 0 when the store has it, had it before, or the
policy does not record it; the status says which.`,
		Example: `  echo '{"action":"user.delete","actor":{"id":"alice"},"resource":{"type":"user","id":"bob"}}' | annals record
  annals record event.json --level all`,
		Args: cobra.MaximumNArgs(1),
	}
	level := levelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ev, err := readEvent(cmd, args)
		if err != nil {
			return err
		}
		return g.write(cmd, *level, func(t trail) error {
			receipt := t.RecordSync(cmd.Context(), []*audit.Event{ev})[0]
			if err := rejection(receipt); err != nil {
				return err
			}
			a := answer{receipt.ID, receipt.Status, receipt.Reason, receipt.Sequence, receipt.Hash}
			return g.value(cmd, a, func(tab io.Writer) { receiptTable(tab, a) })
		})
	}
	return cmd
}

// rejection gives the error of an event that is not recorded, or may not be.
func rejection(r audit.Receipt) error {
	switch {
	case r.Err != nil:
		return dataError{r.Err}
	case r.Status == audit.StatusRejected:
		return dataError{fmt.Errorf("not recorded: %s", r.Reason)}
	}
	return nil
}

func receiptTable(w io.Writer, a answer) {
	fmt.Fprintf(w, "status\t%s\n", a.Status)
	if a.Reason != "" {
		fmt.Fprintf(w, "reason\t%s\n", a.Reason)
	}
	if !a.ID.IsZero() {
		fmt.Fprintf(w, "id\t%s\n", a.ID)
	}
	if a.Sequence > 0 {
		fmt.Fprintf(w, "sequence\t%d\nhash\t%s\n", a.Sequence, a.Hash)
	}
}

// maxInput is more than any event that is accepted.
const maxInput = 10 << 20

// readEvent reads the event of a file, or of standard input.
func readEvent(cmd *cobra.Command, args []string) (*audit.Event, error) {
	r := cmd.InOrStdin()
	if len(args) > 0 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxInput {
		return nil, &audit.Error{Code: audit.CodeTooLarge, Message: "the input is larger than 10 MiB"}
	}
	ev, err := audit.DecodeEvent(data)
	if err != nil {
		return nil, dataError{err}
	}
	return ev, nil
}
