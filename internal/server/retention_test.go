package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
)

// retainer gives a server whose 20 events have all expired.
func retainer(t *testing.T) *rig {
	r := newRig(t, with{options: func(o *annals.Options) {
		o.TTL = time.Nanosecond
		o.Retention.Ceiling = 24 * time.Hour
		o.Retention.BatchSize = 8
	}})
	r.fill(20)
	return r
}

func TestRetention(t *testing.T) {
	r := retainer(t)
	settings := r.get("/v1/retention").json(t)["settings"].(map[string]any)
	if settings["retention_days"] != 1.0 || settings["cleanup_interval_seconds"] != 3600.0 || settings["cleanup_batch_size"] != 8.0 || settings["ttl_seconds"] == 0.0 {
		t.Errorf("settings: %v", settings)
	}

	hold := r.post("/v1/retention/holds", `{"reason":"case 7","created_by":"legal","params":"tenant=acme"}`)
	if hold.status != 200 || hold.json(t)["params"] != "tenant=acme" {
		t.Fatalf("%d %s", hold.status, hold.body)
	}
	plan := r.post("/v1/retention", `{"action":"plan"}`).json(t)["plan"].(map[string]any)
	if plan["deleted"] != 10.0 || plan["expired"] != 10.0 || plan["held"] != 10.0 || plan["holds"] != 1.0 {
		t.Errorf("plan: %v", plan)
	}
	if n := r.count(); n != 20 {
		t.Errorf("the plan left %d", n)
	}
	run := r.post("/v1/retention", `{"action":"run"}`).json(t)["run"].(map[string]any)
	if run["deleted"] != 10.0 || run["batches"] != 2.0 {
		t.Errorf("run: %v", run)
	}
	if n := r.count(); n != 10 {
		t.Errorf("the run left %d", n)
	}

	status := r.get("/v1/retention").json(t)
	if holds := status["holds"].([]any); len(holds) != 1 || holds[0].(map[string]any)["created_by"] != "legal" {
		t.Errorf("holds: %v", holds)
	}
	if state := status["state"].(map[string]any); state["runs"] != 1.0 || state["deleted"] != 10.0 || state["running"] != false {
		t.Errorf("state: %v", state)
	}
	metrics := r.get("/metrics").body
	for _, want := range []string{
		`annals_retention_runs_total{result="success"} 1`, `annals_retention_runs_total{result="error"} 0`,
		"annals_retention_deleted_total 10", "annals_retention_dropped_partitions_total 0", "annals_retention_partition_errors_total 0", "annals_retention_enabled 0", "annals_retention_leading 0",
		"annals_retention_last_success_timestamp_seconds ",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}

	id := hold.json(t)["id"].(string)
	if a := r.do(http.MethodDelete, "/v1/retention/holds/"+id, "", ""); a.status != 200 || a.json(t)["id"] != id {
		t.Errorf("%d %s", a.status, a.body)
	}
	r.problem(r.do(http.MethodDelete, "/v1/retention/holds/"+id, "", ""), http.StatusNotFound, audit.CodeNotFound, "id")
	verified := r.post("/v1/chains/verify", `{}`).json(t)
	pruned := verified["segments"].([]any)[0].(map[string]any)["pruned"].([]any)
	if verified["valid"] != true || len(pruned) != 1 || pruned[0].(map[string]any)["reason"] != "expired" {
		t.Errorf("verified: %v", verified)
	}
}

func TestRetentionErrors(t *testing.T) {
	r := retainer(t)
	bad := func(a answer, field string) {
		t.Helper()
		r.problem(a, http.StatusBadRequest, audit.CodeInvalid, field)
	}
	bad(r.post("/v1/retention", `{"action":"forget"}`), "action")
	bad(r.post("/v1/retention", `{}`), "")
	bad(r.get("/v1/retention?tenant=a"), "tenant")
	bad(r.post("/v1/retention/holds", `{"reason":"x"}`), "")
	bad(r.post("/v1/retention/holds", `{"reason":"","params":"tenant=a"}`), "reason")
	bad(r.post("/v1/retention/holds", `{"reason":"x","params":"q=fox"}`), "params")
	bad(r.post("/v1/retention/holds", `{"reason":"x","params":"tenannt=a"}`), "tenannt")
	if n := r.count(); n != 20 {
		t.Errorf("%d are left", n)
	}
	if err := r.trail.StartRetention(); err != nil {
		t.Fatal(err)
	}
	runs := func() any { return r.get("/v1/retention").json(t)["state"].(map[string]any)["runs"] }
	for deadline := time.Now().Add(10 * time.Second); runs() == 0.0; {
		if time.Now().After(deadline) {
			t.Fatal("the loop does not run at its start")
		}
	}
	if n, err := r.trail.Count(context.Background(), &audit.Query{Filters: []audit.Filter{audit.Is("kind", "event")}}); n != 0 || err != nil {
		t.Errorf("%d are left, %v", n, err)
	}
}
