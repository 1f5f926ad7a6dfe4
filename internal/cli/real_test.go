package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// One hour of a real AWS account, as a newcomer would import it. The files are
// kept beside the repository, never in it.
func TestRealCloudTrail(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/cloudtrail/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("no ../shared/data/cloudtrail beside the repository: nothing real to import")
	}
	at := []string{"--set", "audit.url=" + filepath.Join(t.TempDir(), "annals.db")}
	annals := func(args ...string) string {
		t.Helper()
		stdout, stderr, code := call(t, "", append(args, at...)...)
		if code != exitOK {
			t.Fatalf("annals %.60q: exit code %d: %s", args, code, stderr)
		}
		return stdout + stderr
	}
	wants := func(got string, parts ...string) {
		t.Helper()
		for _, want := range parts {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in %.300s", want, got)
			}
		}
	}
	imports := append([]string{"import", "--level", "all", "--format", "cloudtrail"}, files...)
	wants(annals(imports...), "2900 recorded, 0 already there, 0 filtered by policy, 0 not recorded")
	wants(annals(imports...), "0 recorded, 2900 already there, 0 filtered by policy, 0 not recorded")
	wants(annals("stats", "count"), `{"count":2900}`)

	records := recordsIn(t, annals("export"))
	ids := map[audit.ID]bool{}
	var sample *audit.Record
	for _, r := range records {
		ids[r.ID] = true
		if r.Actor.Name != "" && r.Resource.Name != "" && r.Outcome == audit.Denied {
			sample = r
		}
	}
	if len(ids) != 2900 || sample == nil {
		t.Fatalf("%d different ids in the export, want 2,900; a denied one: %v", len(ids), sample)
	}
	// The same answer by the program's filters as by looking at every record.
	for _, q := range []struct {
		args []string
		ok   func(r *audit.Record) bool
	}{
		{[]string{"--actor-name", sample.Actor.Name}, func(r *audit.Record) bool { return r.Actor.Name == sample.Actor.Name }},
		{[]string{"--actor", sample.Actor.ID}, func(r *audit.Record) bool { return r.Actor.ID == sample.Actor.ID }},
		{[]string{"--action", sample.Action}, func(r *audit.Record) bool { return r.Action == sample.Action }},
		{[]string{"--actor-ip", sample.Actor.IP}, func(r *audit.Record) bool { return r.Actor.IP == sample.Actor.IP }},
		{[]string{"--outcome", "denied", "--outcome", "failure"}, func(r *audit.Record) bool { return r.Outcome.Failed() }},
		{[]string{"-q", "AccessDenied"}, func(r *audit.Record) bool {
			return audit.MatchText(r, []audit.Term{{Token: "accessdenied"}})
		}},
		{[]string{"-q", sample.Resource.Name, "--action", sample.Action}, func(r *audit.Record) bool {
			terms, err := audit.ParseText(sample.Resource.Name)
			return err == nil && r.Action == sample.Action && audit.MatchText(r, terms)
		}},
		{[]string{"-w", "metadata.region=us-east-1", "-w", "action^=iam."}, func(r *audit.Record) bool {
			region, _ := audit.MetadataValue(r.Metadata, "region")
			return region == "us-east-1" && strings.HasPrefix(r.Action, "iam.")
		}},
	} {
		want := 0
		for _, r := range records {
			if q.ok(r) {
				want++
			}
		}
		found := recordsIn(t, annals(append([]string{"query", "--limit", "3000"}, q.args...)...))
		if want == 0 || len(found) != want {
			t.Errorf("%q: %d records, want %d, and some", q.args, len(found), want)
		}
		for _, r := range found {
			if !q.ok(r) {
				t.Errorf("%q: %s does not fit", q.args, r.ID)
			}
		}
		wants(annals(append([]string{"stats", "count"}, q.args...)...), fmt.Sprintf(`{"count":%d}`, want))
	}
	verified := annals("verify")
	wants(verified, `"valid":true`)
	if strings.Contains(verified, `"valid":false`) {
		t.Error(verified)
	}
}

// recordsIn reads an answer of the program that is NDJSON.
func recordsIn(t *testing.T, ndjson string) (out []*audit.Record) {
	t.Helper()
	for line := range strings.Lines(ndjson) {
		r, err := audit.DecodeRecord([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}
