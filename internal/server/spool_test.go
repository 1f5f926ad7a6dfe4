package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/recorder"
)

// The store is down: a server that spools goes on taking events, is ready and
// says so, until the spool is full; ?durability=sync is not answered for.
func TestSpoolingServer(t *testing.T) {
	var f *faultstore.Faults
	dir := t.TempDir()
	r := newRig(t, with{down: true,
		store: func(s audit.Store) audit.Store { f = faultstore.Wrap(s); return f.Store },
		options: func(o *annals.Options) {
			o.Durability, o.OnFull, o.SpoolDir, o.SpoolBytes, o.Timeout = recorder.Spool, recorder.Fail, dir, 32<<10, 3e9
		},
	})
	if a := r.post("/v1/events", `{"action":"user.create"}`); a.status != 200 || !strings.Contains(a.body, `"status":"queued"`) {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := r.count(); n != 1 {
		t.Errorf("%d are stored", n)
	}
	down := faultstore.Fail(audit.Unavailable("the store is down", errors.New("refused")))
	f.On(faultstore.Append, faultstore.Ever, down)
	f.On(faultstore.Ping, faultstore.Ever, down)
	if a := r.get("/readyz"); a.status != 200 {
		t.Errorf("not ready with room in the spool: %d %s", a.status, a.body)
	}
	r.problem(r.post("/v1/events?durability=sync", `{"action":"user.create"}`), 503, audit.CodeUnavailable, "")
	n := 1
	for ; n < 1000; n++ {
		a := r.post("/v1/events", fmt.Sprintf(`{"action":"user.create","action_id":"a%d"}`, n))
		if a.status != 200 {
			r.problem(a, 429, audit.CodeBacklog, "")
			break
		}
	}
	a := r.get("/readyz")
	r.problem(a, 503, audit.CodeBacklog, "")
	if strings.Contains(a.body, dir) {
		t.Error(a.body)
	}
	metrics := r.get("/metrics").body
	for _, want := range []string{
		"annals_spool_max_bytes 32768", "annals_spool_appended_total " + fmt.Sprint(n), `annals_spool_refused_total{reason="full"} 1`,
		"annals_spool_damaged_total 0", "annals_spool_events " + fmt.Sprint(n-1), "annals_dead_letters_total 0", "annals_spool_oldest_seconds ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("%q is not in the metrics", want)
		}
	}
}
