package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	exportcsv "github.com/annals-dev/annals/export/csv"
	exportndjson "github.com/annals-dev/annals/export/ndjson"
)

// format gives the output format: what was asked for, else a table on a
// terminal and NDJSON for a program.
func (g *globals) format(cmd *cobra.Command) string {
	switch {
	case g.output != "":
		return g.output
	case isTerminal(cmd.OutOrStdout()):
		return "table"
	}
	return "ndjson"
}

// recordWriter writes records one by one in one format.
type recordWriter interface {
	Write(*audit.Record) error
	Flush() error
	Close() error
}

func (g *globals) records(cmd *cobra.Command) recordWriter {
	w := cmd.OutOrStdout()
	switch g.format(cmd) {
	case "csv":
		return exportcsv.NewWriter(w)
	case "json":
		return &jsonArray{w: w}
	case "table":
		return newRecordTable(w)
	}
	return exportndjson.NewWriter(w)
}

// jsonArray writes one JSON array.
type jsonArray struct {
	w    io.Writer
	some bool
}

func (j *jsonArray) Write(r *audit.Record) error {
	sep := ",\n"
	if !j.some {
		sep, j.some = "[\n", true
	}
	_, err := j.w.Write(r.AppendJSON([]byte(sep)))
	return err
}

func (j *jsonArray) Flush() error { return nil }

func (j *jsonArray) Close() error {
	end := "\n]\n"
	if !j.some {
		end = "[]\n"
	}
	_, err := io.WriteString(j.w, end)
	return err
}

// recordTable writes the columns that people look for first.
type recordTable struct{ tab *tabwriter.Writer }

func newRecordTable(w io.Writer) *recordTable {
	t := &recordTable{tab: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
	fmt.Fprintln(t.tab, "TIME\tACTION\tOUTCOME\tACTOR\tRESOURCE\tTENANT\tID")
	return t
}

func (t *recordTable) Write(r *audit.Record) error {
	_, err := fmt.Fprintf(t.tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
		r.OccurredAt.Format(time.RFC3339), cell(r.Action), cell(string(r.Outcome)), who(r), what(r), cell(r.Tenant), r.ID)
	return err
}

func (t *recordTable) Flush() error { return t.tab.Flush() }

func (t *recordTable) Close() error { return t.tab.Flush() }

// who and what name the actor and the resource by the best that is known.
func who(r *audit.Record) string {
	return first(r.Actor.Email, r.Actor.Name, r.Actor.ID, r.Actor.Type)
}

func what(r *audit.Record) string {
	return first(r.Resource.Name, r.Resource.ID, r.Resource.Type)
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return cell(v)
		}
	}
	return "-"
}

// value writes one answer that is not a list of records: its JSON, or the
// table that human writes. As NDJSON a list has a line for each of its elements.
func (g *globals) value(cmd *cobra.Command, v any, human func(tab io.Writer)) error {
	w := cmd.OutOrStdout()
	format := g.format(cmd)
	if format == "table" {
		tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		human(tab)
		return tab.Flush()
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if format == "json" {
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	}
	if list := reflect.ValueOf(v); list.Kind() == reflect.Slice {
		for i := range list.Len() {
			if err := enc.Encode(list.Index(i).Interface()); err != nil {
				return err
			}
		}
		return nil
	}
	return enc.Encode(v)
}
