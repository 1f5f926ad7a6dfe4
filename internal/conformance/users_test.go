package conformance

import (
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/load"
	"github.com/annals-dev/annals/recorder"
)

// What the environment says of the load: the full measure is that of 2,000 users
// for a minute.
const (
	loadUsers   = "ANNALS_LOAD_USERS"
	loadSeconds = "ANNALS_LOAD_SECONDS"
)

// TestUsers lets many users post to a server over each engine, one engine after
// the other, with the durability that a server has by default and batches of the
// size that the engine likes best: no request may fail, and every event that was
// acknowledged must be stored exactly once.
func TestUsers(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres", "dynamodb", "clickhouse", "opensearch"} {
		t.Run(engine, func(t *testing.T) {
			if testing.Short() {
				t.Skip("in full runs only: the load takes seconds")
			}
			s := openSite(t, engine, func(opt *annals.Options) {
				opt.Durability, opt.SpoolDir, opt.FlushInterval = recorder.Spool, t.TempDir(), time.Second
			})
			h := httptest.NewServer(s.handler)
			defer h.Close()
			o := load.Defaults()
			o.URL, o.Users = h.URL, number(t, loadUsers, 200)
			if seconds := number(t, loadSeconds, 0); seconds > 0 {
				o.Duration, o.Drain = time.Duration(seconds)*time.Second, 10*time.Minute
			} else { // the short form: fewer users, who think less
				o.Duration, o.RampUp, o.ThinkMin, o.ThinkMax = 2*time.Second, 200*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond
			}
			r, err := load.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Err(); err != nil {
				t.Errorf("%v: %+v", err, r.Check)
			}
			if r.Sent == 0 || r.Statuses[audit.StatusQueued] != r.Sent || r.Check.Once != r.Sent || !r.Check.Drained {
				t.Errorf("%d sent, %v, %+v", r.Sent, r.Statuses, r.Check)
			}
			t.Logf("%d users over %d connections, %d events, %.0f requests/s, p50 %.1f ms, p99 %.1f ms, max %.1f ms; %.0f records a batch where the engine likes %d; read after %.1f s in %d readings",
				r.Users, r.Connections, r.Sent, r.PerSecond, r.Posts.P50, r.Posts.P99, r.Posts.Max, r.Server.Stored/r.Server.Batches, s.store.Capabilities().BatchSize, r.Check.Seconds, r.Check.Readings)
		})
	}
}

// number reads a number of the environment.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number from 1", name, text)
	}
	return n
}
