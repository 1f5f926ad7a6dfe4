package api

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultsAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		f := &faults{log: slog.New(slog.NewTextHandler(&b, nil)), kinds: map[faultKind]*fault{}}
		r := httptest.NewRequest("GET", "/", nil)
		down := &Problem{Status: 503, Code: "unavailable"}
		note := func(p *Problem, n int) {
			for range n {
				f.note(r, p, errors.New("cause"))
			}
		}
		want := func(parts ...string) {
			t.Helper()
			lines := strings.Split(strings.TrimSpace(b.String()), "\n")
			if b.Len() == 0 {
				lines = nil
			}
			b.Reset()
			if len(lines) != len(parts) {
				t.Fatalf("%d lines, want %d: %q", len(lines), len(parts), lines)
			}
			for i, part := range parts {
				if !strings.Contains(lines[i], part) {
					t.Errorf("%q lacks %q", lines[i], part)
				}
			}
		}
		note(down, 4)
		note(&Problem{Status: 500, Code: "internal"}, 1) // another kind
		want("status=503 code=unavailable left_out=0", "status=500 code=internal left_out=0")
		time.Sleep(faultInterval - 1)
		note(down, 1)
		want()
		time.Sleep(time.Nanosecond)
		note(down, 3)
		want("left_out=4")
		f.flush(t.Context())
		f.flush(t.Context())
		want(`msg="more requests failed" status=503 code=unavailable left_out=2`)
	})
}
