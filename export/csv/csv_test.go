package csv_test

import (
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/export/csv"
	"github.com/google/go-cmp/cmp"
)

func sample() *audit.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &audit.Record{
		Event: audit.Event{
			ID: audit.ID{15: 1}, Tenant: "acme", OccurredAt: at, Duration: 1500 * time.Microsecond, Action: "tool.call",
			Actor: audit.Actor{ID: "a,b", Name: "Zoë \"Z\"", UserAgent: "two\nlines"}, Payload: json.RawMessage(`{"a":[1,"x"]}`),
		},
		Kind: audit.KindEvent, RecordedAt: at, Hash: audit.Digest{31: 255},
	}
}

// lines reads the export back and gives each line by the names of its cells.
func lines(t *testing.T, out []byte) (names []string, cells []map[string]string) {
	t.Helper()
	all, err := stdcsv.NewReader(bytes.NewReader(out)).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	for _, line := range all[1:] {
		m := map[string]string{}
		for i, cell := range line {
			m[all[0][i]] = cell
		}
		cells = append(cells, m)
	}
	return all[0], cells
}

func TestWriter(t *testing.T) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	rec := sample()
	for range 3 {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, cells := lines(t, out.Bytes())
	var want []string
	for _, f := range audit.Fields() {
		want = append(want, f.Name)
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
	if len(cells) != 3 {
		t.Fatalf("%d records", len(cells))
	}
	for _, f := range audit.Fields() {
		if got := cells[2][f.Name]; got != f.Text(rec) {
			t.Errorf("%s: got %q, want %q", f.Name, got, f.Text(rec))
		}
	}
	if c := cells[0]; c["duration_ms"] != "1.5" || c["occurred_at"] != "2026-01-02T03:04:05.000006Z" || c["user_agent"] != "two\nlines" || c["tool_name"] != "" {
		t.Errorf("got %v", c)
	}
	if err := w.Write(rec); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestWriterGuardsAgainstFormulas(t *testing.T) {
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "\tx": "'\tx", "\rx": "'\rx", "'=1": "'=1", "a=1": "a=1", " =1": " =1", "": "",
	} {
		var out bytes.Buffer
		w := csv.NewWriter(&out)
		rec := sample()
		rec.Actor.Name = in
		rec.Payload = json.RawMessage("-1")
		if err := errors.Join(w.Write(rec), w.Close()); err != nil {
			t.Fatal(err)
		}
		_, cells := lines(t, out.Bytes())
		if got := cells[0]["actor_name"]; got != want || cells[0]["payload"] != "'-1" {
			t.Errorf("%q gives %q, want %q; payload %q", in, got, want, cells[0]["payload"])
		}
	}
}

func TestWriterOfNothingHasNames(t *testing.T) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	if err := errors.Join(w.Flush(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if names, cells := lines(t, out.Bytes()); len(names) != len(audit.Fields()) || len(cells) != 0 || !strings.HasPrefix(out.String(), "id,external_id,") {
		t.Errorf("got %q", out.String())
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterKeepsItsError(t *testing.T) {
	w := csv.NewWriter(failing{})
	for name, call := range map[string]func() error{"flush": w.Flush, "write": func() error { return w.Write(sample()) }, "close": w.Close} {
		if name != "flush" {
			_ = w.Flush()
		}
		if err := call(); !errors.Is(err, io.ErrClosedPipe) || audit.CodeOf(err) != audit.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkWriter(b *testing.B) {
	w, r := csv.NewWriter(io.Discard), sample()
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
