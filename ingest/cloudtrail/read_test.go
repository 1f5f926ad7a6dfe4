package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/annals-dev/annals/audit"
	"github.com/google/go-cmp/cmp"
)

// short is a record with the least that one needs.
func short(id string) string {
	return `{"eventID":"` + id + `","eventTime":"2024-05-06T07:08:09Z","eventSource":"s3.amazonaws.com","eventName":"GetObject"}`
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s) // a bytes.Buffer never fails
	_ = w.Close()
	return b.String()
}

// read gives one line of text for each record, and the error of Read.
func read(r io.Reader) (got []string, err error) {
	err = Read(r, Options{}, func(n int, ev *audit.Event, err error) error {
		if err != nil {
			got = append(got, fmt.Sprintf("%d: %s", n, err))
		} else {
			got = append(got, fmt.Sprintf("%d: %s", n, ev.ExternalID))
		}
		return nil
	})
	return got, err
}

func TestRead(t *testing.T) {
	abc := []string{"1: a", "2: b", "3: c"}
	file := `{"Records":[` + short("a") + "," + short("b") + `]}`
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"blanks", " \n ", nil},
		{"no records", `{"Records":[]}`, nil},
		{"null for records", `{"Records":null}`, nil},
		{"a file", file, abc[:2]},
		{"a pretty file", "{ \"Records\" : [\n " + short("a") + " ,\n" + short("b") + "\n] }\n", abc[:2]},
		{"a file with a byte order mark", "\ufeff" + file, abc[:2]},
		{"members around the records", `{"logGroup":{"a":[1]},"Records":[` + short("a") + `],"end":null}`, abc[:1]},
		{"files in a row", file + "\n" + `{"Records":[` + short("c") + `]}`, abc},
		{"an array", "[" + short("a") + "," + short("b") + "]", abc[:2]},
		{"one a line", short("a") + "\n" + short("b") + "\n" + short("c") + "\n", abc},
		{"one a line, without ends", short("a") + short("b"), abc[:2]},
		{"mixed", "[" + short("a") + "]" + short("b") + `{"Records":[` + short("c") + "]}", abc},
		{"bad records between good ones", `{"Records":[` + short("a") + `,7,{"eventName":"x"},null,{},` + short("b") + `]}`, []string{
			"1: a", "2: a record must be a JSON object", `3: eventTime: "" is not a time such as 2026-01-31T12:00:00Z or 2026-01-31`,
			"4: a record must be a JSON object", "5: eventName: is missing: this is not a record of CloudTrail", "6: b",
		}},
		{"a digest file", `{"awsAccountId":"1","digestStartTime":"x","logFiles":[]}`, []string{"1: eventName: is missing: this is not a record of CloudTrail"}},
	} {
		for kind, in := range map[string]string{"plain": tc.in, "gzip": zipped(tc.in)} {
			got, err := read(strings.NewReader(in))
			if err != nil {
				t.Errorf("%s, %s: %v", tc.name, kind, err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s, %s:\n%s", tc.name, kind, diff)
			}
			if got, err = read(iotest.OneByteReader(strings.NewReader(in))); err != nil || !cmp.Equal(tc.want, got) {
				t.Errorf("%s, %s, byte by byte: %v, %v", tc.name, kind, got, err)
			}
		}
	}
	// gzip files in a row, as cat makes them
	if got, err := read(strings.NewReader(zipped(file) + zipped(short("c")))); err != nil || !cmp.Equal(abc, got) {
		t.Errorf("two gzip files: %v, %v", got, err)
	}
}

func TestReadOfDamagedInput(t *testing.T) {
	file := `{"Records":[` + short("a") + "," + short("b") + `]}`
	for n := 1; n < len(file); n++ {
		got, err := read(strings.NewReader(file[:n]))
		if !errors.Is(err, audit.ErrInvalid) || !strings.HasPrefix(err.Error(), "the input ends in the middle after record ") || len(got) > 2 {
			t.Fatalf("cut at %d: %v, %v", n, got, err)
		}
	}
	packed := zipped(strings.Repeat(short("a"), 50))
	for n := 2; n < len(packed); n++ {
		if _, err := read(strings.NewReader(packed[:n])); !errors.Is(err, audit.ErrInvalid) {
			t.Fatalf("gzip cut at %d: %v", n, err)
		}
	}
	for name, tc := range map[string]struct{ in, message string }{
		"not JSON":          {"hello", "the input is not JSON after record 0, at byte 1: "},
		"a word":            {`"x"`, "neither a log file nor a record of CloudTrail after record 0"},
		"a number":          {short("a") + "7", "neither a log file nor a record of CloudTrail after record 1"},
		"a large number":    {"22E622", "neither a log file nor a record of CloudTrail after record 0"},
		"records as object": {`{"Records":{}}`, "neither a log file nor a record of CloudTrail after record 0"},
		"a comma missing":   {"[" + short("a") + short("b") + "]", "the input is not JSON after record 1, at byte 108: "},
		"damaged gzip":      {packed[:20] + "\x00\x00\x00\x00" + packed[24:], ""},
		"a wrong checksum":  {packed[:len(packed)-8] + "\x00\x00\x00\x00" + packed[len(packed)-4:], "the input is damaged after record 50: "},
		"text after gzip":   {packed + "more text", ""},
	} {
		_, err := read(strings.NewReader(tc.in))
		if !errors.Is(err, audit.ErrInvalid) || !strings.HasPrefix(err.Error(), tc.message) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := read(io.MultiReader(strings.NewReader(short("a")+"{"), iotest.ErrReader(io.ErrClosedPipe)))
	if audit.CodeOf(err) != audit.CodeUnavailable || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a reader that fails: %v", err)
	}
}

func TestReadStops(t *testing.T) {
	for _, in := range []string{"[" + short("a") + "," + short("b") + "]", short("a") + short("b"), `{"Records":[` + short("a") + "," + short("b") + "]}"} {
		for _, stop := range []error{errors.New("stop"), io.EOF, io.ErrUnexpectedEOF} {
			calls := 0
			err := Read(strings.NewReader(in), Options{}, func(int, *audit.Event, error) error {
				calls++
				return stop
			})
			if err != stop || calls != 1 {
				t.Errorf("%d calls, %v; want %v", calls, err, stop)
			}
		}
	}
}

// endless gives the same text for ever.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}

func TestReadIsConstantInMemory(t *testing.T) {
	var peak uint64
	measure := func() {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapAlloc)
	}
	// 8 MB of records, some of a megabyte
	big := strings.Replace(short("b"), "{", `{"requestParameters":{"x":"`+strings.Repeat("x", MaxRecord/4)+`"},`, 1)
	in := io.MultiReader(strings.NewReader(`{"Records":[`+short("a")), io.LimitReader(&endless{text: "," + big + strings.Repeat(","+short("a"), 100)}, 8_000_000))
	n := 0
	err := Read(in, Options{}, func(_ int, _ *audit.Event, err error) error {
		if n++; n%100 == 0 {
			measure()
		}
		return err
	})
	if !errors.Is(err, audit.ErrInvalid) || n < 500 { // the limit cuts the last one off
		t.Errorf("%d records, %v", n, err)
	}
	// one record, and one member of the file, that never ends
	for _, start := range []string{`{"Records":[` + short("a") + `,{"x":"`, `{"x":"`, short("a") + `{"a":[{"b":"`} {
		err := Read(io.MultiReader(strings.NewReader(start), &endless{text: strings.Repeat("x", 64<<10)}), Options{}, func(int, *audit.Event, error) error { return nil })
		if !errors.Is(err, audit.ErrTooLarge) || !strings.HasSuffix(err.Error(), "is larger than 4 MiB") {
			t.Errorf("%s: %v", start, err)
		}
		measure()
	}
	if peak > 20<<20 {
		t.Errorf("%d MiB in use", peak>>20)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"Records":[` + short("a") + `,{}]}[]` + short("b")))
	f.Add([]byte(zipped(short("a"))))
	f.Fuzz(func(t *testing.T, in []byte) {
		last := 0
		err := Read(bytes.NewReader(in), Options{}, func(n int, ev *audit.Event, err error) error {
			if n != last+1 || (ev == nil) == (err == nil) {
				t.Fatalf("record %d after %d: %v, %v", n, last, ev, err)
			}
			last = n
			return nil
		})
		if err != nil && !errors.Is(err, audit.ErrInvalid) && !errors.Is(err, audit.ErrTooLarge) {
			t.Fatalf("%T %v", err, err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	b.SetBytes(int64(len(assumed)))
	b.ReportAllocs()
	in := io.MultiReader(strings.NewReader("["+assumed), io.LimitReader(&endless{text: "," + assumed}, int64((b.N-1)*(len(assumed)+1))), strings.NewReader("]"))
	if err := Read(in, Options{}, func(_ int, _ *audit.Event, err error) error { return err }); err != nil {
		b.Fatal(err)
	}
}
