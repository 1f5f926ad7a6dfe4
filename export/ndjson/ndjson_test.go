package ndjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/export/ndjson"
	ingest "github.com/annals-dev/annals/ingest/ndjson"
	"github.com/google/go-cmp/cmp"
)

func sample(i int) *audit.Record {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return &audit.Record{
		Event: audit.Event{
			ID: audit.NewID(), Namespace: "default", Tenant: "acme", OccurredAt: at, Duration: 1500 * time.Microsecond, Action: "tool.call",
			Operation: audit.Execute, Outcome: audit.Success, ActionID: fmt.Sprintf("d-%d", i),
			Actor:    audit.Actor{Type: "agent", ID: "a-1", Name: "Zoë \"Z\"", IP: "10.0.0.1", UserAgent: "curl/8.5.0\n"},
			Resource: audit.Resource{Type: "table", ID: "sales.orders"}, Tool: audit.Tool{Name: "query", Kind: "trino"},
			Request: audit.Request{ID: "r-1", CorrelationID: "c-1"},
			Payload: json.RawMessage(`{"statement":"select 1","rows":[1,2,3],"note":"some text of a usual length"}`), Metadata: json.RawMessage(`{"env":"prod"}`),
		},
		Kind: audit.KindEvent, RecordedAt: at.Add(time.Second), Level: "all", Sequence: int64(i), PrevHash: audit.Digest{1}, Hash: audit.Digest{2},
	}
}

// writes counts the calls and the bytes of an io.Writer that may fail.
type writes struct {
	bytes.Buffer
	calls int
	err   error
}

func (w *writes) Write(p []byte) (int, error) {
	if w.calls++; w.err != nil {
		return 0, w.err
	}
	return w.Buffer.Write(p)
}

func TestWriterIsReadBack(t *testing.T) {
	out := &writes{}
	w := ndjson.NewWriter(out)
	var want []*audit.Record
	for i := range 1000 {
		want = append(want, sample(i))
		if err := w.Write(want[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if out.calls > 20 {
		t.Errorf("%d writes for %d bytes: not buffered", out.calls, out.Len())
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n")) {
		got, err := audit.DecodeRecord(line)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], got); diff != "" {
			t.Fatalf("line %d:\n%s", i+1, diff)
		}
	}
	n := 0
	err := ingest.Read(&out.Buffer, func(_ int, ev *audit.Event, err error) error {
		if err == nil && ev.ID != want[n].ID {
			err = errors.New("another id")
		}
		n++
		return err
	})
	if err != nil || n != len(want) {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestWriterFlushes(t *testing.T) {
	out := &writes{}
	w := ndjson.NewWriter(out)
	if err := w.Flush(); err != nil || out.calls != 0 {
		t.Errorf("%d writes of nothing, %v", out.calls, err)
	}
	if err := w.Write(sample(1)); err != nil || out.Len() != 0 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	if err := w.Flush(); err != nil || !bytes.HasSuffix(out.Bytes(), []byte("}\n")) {
		t.Errorf("%q, %v", out.Bytes(), err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := w.Write(sample(2)); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestWriterKeepsItsError(t *testing.T) {
	out := &writes{err: io.ErrClosedPipe}
	w := ndjson.NewWriter(out)
	if err := w.Write(sample(1)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) || audit.CodeOf(err) != audit.CodeUnavailable {
		t.Errorf("the first flush: %v", err)
	}
	for name, call := range map[string]func() error{"flush": w.Flush, "write": func() error { return w.Write(sample(2)) }, "close": w.Close} {
		if err := call(); !errors.Is(err, io.ErrClosedPipe) || audit.CodeOf(err) != audit.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out.calls != 1 {
		t.Errorf("%d writes after the first failed", out.calls-1)
	}
}

func BenchmarkWriter(b *testing.B) {
	w, r := ndjson.NewWriter(io.Discard), sample(1)
	b.SetBytes(int64(len(r.AppendJSON(nil)) + 1))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(r); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
