package ndjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/ingest/ndjson"
	"github.com/google/go-cmp/cmp"
)

// read gives one line of text for each call of fn.
func read(t *testing.T, r io.Reader) []string {
	t.Helper()
	var got []string
	err := ndjson.Read(r, func(line int, ev *audit.Event, err error) error {
		if (ev == nil) == (err == nil) {
			t.Errorf("line %d: event %v, error %v", line, ev, err)
		}
		if err != nil {
			got = append(got, fmt.Sprintf("%d: %s", line, err))
		} else {
			got = append(got, fmt.Sprintf("%d: %s", line, ev.Action))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRead(t *testing.T) {
	exact := `{"action":"exact","payload":"` + strings.Repeat("x", ndjson.MaxLine-len(`{"action":"exact","payload":""}`)) + `"}`
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"blank lines", "\n \r\n\t\n", nil},
		{"lines", "{\"action\":\"a\"}\n{\"action\":\"b\"}\n", []string{"1: a", "2: b"}},
		{"no end of line at the end", "{\"action\":\"a\"}\n{\"action\":\"b\"}", []string{"1: a", "2: b"}},
		{"CRLF, blanks and a byte order mark", "\ufeff{\"action\":\"a\"}\r\n\r\n  {\"action\":\"b\"}  \r\n", []string{"1: a", "3: b"}},
		{"bad lines between good ones", "{\"action\":\"a\"}\nnope\n{\"actor\":{\"idd\":1}}\n[]\n{\"action\":\"b\"}\n", []string{
			"1: a", "2: not a JSON value at byte 0", "3: actor.idd: is not a field of a record", "4: a record must be a JSON object, not an array", "5: b",
		}},
		{"a line too long", "{\"action\":\"a\"}\n" + exact + " \n{\"action\":\"b\"}\n" + exact + "x", []string{
			"1: a", "2: the line is longer than 1.25 MiB", "3: b", "4: the line is longer than 1.25 MiB",
		}},
		{"a line just short enough", exact + "\r\n" + exact, []string{"1: exact", "2: exact"}},
		{"records of Annals about itself", `{"action":"a","kind":"gap"}` + "\n" + `{"action":"a","kind":"prune"}` + "\n" + `{"action":"b","kind":"event"}` + "\n" + `{"action":"a","kind":"x"}`, []string{
			"1: " + ndjson.ErrSkipped.Error(), "2: " + ndjson.ErrSkipped.Error(), "3: b", `4: kind: is "x", want event, gap or prune`,
		}},
	} {
		for _, r := range []io.Reader{strings.NewReader(tc.in), iotest.DataErrReader(strings.NewReader(tc.in))} {
			if diff := cmp.Diff(tc.want, read(t, r)); diff != "" {
				t.Errorf("%s:\n%s", tc.name, diff)
			}
		}
	}
}

func TestReadTakesAnExport(t *testing.T) {
	id, external, _ := audit.IDFrom("order-7")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	want := audit.Event{
		ID: id, ExternalID: external, Tenant: "acme", Action: "order.create", OccurredAt: at, ExpiresAt: at.AddDate(0, 3, 0),
		Payload: json.RawMessage(`{"n":1e400}`), Operation: audit.Create, Outcome: audit.Success, Actor: audit.Actor{ID: "alice"},
	}
	rec := audit.Record{
		Event: want, Kind: audit.KindEvent, RecordedAt: at.Add(time.Second), Level: "all", Sequence: 9, Segment: "w1",
		PrevHash: audit.Digest{1}, Hash: audit.Digest{2},
	}
	n := 0
	err := ndjson.Read(strings.NewReader(string(rec.AppendJSON(nil))), func(_ int, ev *audit.Event, err error) error {
		n++
		if err != nil {
			return err
		}
		if diff := cmp.Diff(&want, ev); diff != "" {
			t.Error(diff)
		}
		return nil
	})
	if err != nil || n != 1 {
		t.Error(n, err)
	}
}

func TestReadStops(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	err := ndjson.Read(strings.NewReader("{\"action\":\"a\"}\n{\"action\":\"b\"}\n"), func(int, *audit.Event, error) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	in := io.MultiReader(strings.NewReader("{\"action\":\"a\"}\n{\"action\":\"half"), iotest.ErrReader(io.ErrClosedPipe))
	calls = 0
	err = ndjson.Read(in, func(_ int, _ *audit.Event, err error) error {
		calls++
		return err
	})
	if !errors.Is(err, io.ErrClosedPipe) || audit.CodeOf(err) != audit.CodeUnavailable || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
}

// repeat gives the same text n times.
type repeat struct {
	text string
	n    int
	rest string
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// The file has 64 MB, half of it one line.
func TestReadIsConstantInMemory(t *testing.T) {
	in := io.MultiReader(&repeat{text: strings.Repeat("x", 1<<20), n: 32}, &repeat{text: "\n", n: 1}, &repeat{text: `{"action":"a","payload":"` + strings.Repeat("x", 1<<20) + "\"}\n", n: 32})
	var good, bad int
	var peak uint64
	err := ndjson.Read(in, func(_ int, _ *audit.Event, err error) error {
		if err != nil {
			bad++
		} else {
			good++
		}
		if good%8 == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapAlloc)
		}
		return nil
	})
	if err != nil || good != 32 || bad != 1 {
		t.Fatalf("%d good, %d bad, %v", good, bad, err)
	}
	if peak > 10<<20 {
		t.Errorf("%d MiB in use", peak>>20)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("{\"action\":\"a\"}\n\n{\"action\":\"b\",\"kind\":\"gap\"}\r\nx")
	f.Fuzz(func(t *testing.T, in string) {
		last := 0
		err := ndjson.Read(strings.NewReader(in), func(line int, ev *audit.Event, err error) error {
			if line <= last || line > strings.Count(in, "\n")+1 || (ev == nil) == (err == nil) {
				t.Fatalf("line %d after %d: %v, %v", line, last, ev, err)
			}
			last = line
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	line := `{"id":"0197a6f0-1234-7abc-8def-0123456789ab","tenant":"acme","occurred_at":"2026-01-02T03:04:05.123456Z","action":"tool.create","actor":{"type":"user","id":"alice"},"payload":{"a":[1,2,3],"b":"some text"}}` + "\n"
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	if err := ndjson.Read(&repeat{text: line, n: b.N}, func(_ int, _ *audit.Event, err error) error { return err }); err != nil {
		b.Fatal(err)
	}
}
