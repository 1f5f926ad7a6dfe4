package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// The truth of spec §2, written by hand: R is recorded, - is not. Columns are
// success, failure, denied, pending.
const levelTable = `
all            create  R R R R
all            read    R R R R
all            update  R R R R
all            delete  R R R R
all            execute R R R R
all            other   R R R R
writes_only    create  R R R R
writes_only    read    - - - -
writes_only    update  R R R R
writes_only    delete  R R R R
writes_only    execute R R R R
writes_only    other   R R R R
mutations_only create  - - - -
mutations_only read    - - - -
mutations_only update  R R R R
mutations_only delete  R R R R
mutations_only execute - - - -
mutations_only other   - - - -
deletes_only   create  - - - -
deletes_only   read    - - - -
deletes_only   update  - - - -
deletes_only   delete  R R R R
deletes_only   execute - - - -
deletes_only   other   - - - -
failures_only  create  - R R -
failures_only  read    - R R -
failures_only  update  - R R -
failures_only  delete  - R R -
failures_only  execute - R R -
failures_only  other   - R R -
`

// The same with AlwaysLogFailures.
const alwaysTable = `
all            create  R R R R
all            read    R R R R
all            update  R R R R
all            delete  R R R R
all            execute R R R R
all            other   R R R R
writes_only    create  R R R R
writes_only    read    - R R -
writes_only    update  R R R R
writes_only    delete  R R R R
writes_only    execute R R R R
writes_only    other   R R R R
mutations_only create  - R R -
mutations_only read    - R R -
mutations_only update  R R R R
mutations_only delete  R R R R
mutations_only execute - R R -
mutations_only other   - R R -
deletes_only   create  - R R -
deletes_only   read    - R R -
deletes_only   update  - R R -
deletes_only   delete  R R R R
deletes_only   execute - R R -
deletes_only   other   - R R -
failures_only  create  - R R -
failures_only  read    - R R -
failures_only  update  - R R -
failures_only  delete  - R R -
failures_only  execute - R R -
failures_only  other   - R R -
`

func TestEveryCell(t *testing.T) {
	outcomes := []audit.Outcome{audit.Success, audit.Failure, audit.Denied, audit.Pending}
	for always, table := range map[bool]string{false: levelTable, true: alwaysTable} {
		cells := 0
		for line := range strings.Lines(strings.TrimSpace(table)) {
			f := strings.Fields(line)
			p := mustNew(t, policy.Config{Level: policy.Level(f[0]), AlwaysLogFailures: always})
			for i, outcome := range outcomes {
				want := policy.ByLevel
				if f[2+i] == "R" {
					want = policy.Recorded
				}
				// The action's verb speaks against the operation: the explicit one must win.
				verb := map[bool]string{true: "x.read", false: "x.delete"}[f[1] == "delete"]
				ev := &audit.Event{Action: verb, Operation: audit.Operation(f[1]), Outcome: outcome}
				if got := p.Decide(ev); got != want {
					t.Errorf("always %v, %s, %s, %s: %v, want %v", always, f[0], f[1], outcome, got, want)
				}
				if outcome == audit.Success {
					ev.Outcome = ""
					if got := p.Decide(ev); got != want {
						t.Errorf("always %v, %s, %s, no outcome: %v, want %v", always, f[0], f[1], got, want)
					}
				}
				cells++
			}
		}
		if want := 5 * 6 * 4; cells != want {
			t.Errorf("%d cells, want %d", cells, want)
		}
	}
}

func TestUnknownOperationIsAWrite(t *testing.T) {
	for level, want := range map[policy.Level]policy.Reason{
		policy.All: policy.Recorded, policy.WritesOnly: policy.Recorded,
		policy.MutationsOnly: policy.ByLevel, policy.DeletesOnly: policy.ByLevel, policy.FailuresOnly: policy.ByLevel,
	} {
		p := mustNew(t, policy.Config{Level: level})
		for _, ev := range []*audit.Event{{Action: "x.frobnicate"}, {Action: "x.read", Operation: "levitate"}} {
			if got := p.Decide(ev); got != want {
				t.Errorf("%s, %q %q: %v, want %v", level, ev.Action, ev.Operation, got, want)
			}
		}
	}
}

func TestParseLevel(t *testing.T) {
	for in, want := range map[string]policy.Level{
		"": policy.WritesOnly, "  ": policy.WritesOnly, "all": policy.All, " Deletes_Only\n": policy.DeletesOnly,
		"FAILURES_ONLY": policy.FailuresOnly, "mutations_only": policy.MutationsOnly, "writes_only": policy.WritesOnly,
	} {
		if got, err := policy.ParseLevel(in); got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"verbose", "writes-only", "writes", "all,", "none"} {
		_, err := policy.New(policy.Config{Level: policy.Level(in)})
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field != "level" {
			t.Errorf("%q: %v", in, err)
			continue
		}
		for _, l := range policy.Levels() {
			if !strings.Contains(e.Message, string(l)) {
				t.Errorf("%q: the error %q does not list %s", in, e.Message, l)
			}
		}
	}
}

// Issue 3, measure 8: nine reads to a write, and nothing but the writes stays.
func TestTraceKeepsExactlyTheWrites(t *testing.T) {
	reads := []string{"user.get", "users.list", "tool.search", "report_view", "datasets/describe", "Objects:HeadObject", "log.query", "export.download", "keys.verify"}
	writes := []string{"user.create", "user.update", "user.delete", "tool.execute", "bucket_purge", "frobnicate"}
	p := mustNew(t, policy.Config{})
	var keep, want []string
	for i := range 10_000 {
		ev := &audit.Event{ExternalID: fmt.Sprint(i)}
		if i%10 == 7 {
			ev.Action = writes[i/10%len(writes)]
			want = append(want, ev.ExternalID)
		} else {
			ev.Action = reads[(i+i/10)%len(reads)]
		}
		if p.Decide(ev) == policy.Recorded {
			keep = append(keep, ev.ExternalID)
		}
	}
	if len(want) != 1000 || strings.Join(keep, " ") != strings.Join(want, " ") {
		t.Errorf("%d kept, want the %d writes", len(keep), len(want))
	}
}

func mustNew(t testing.TB, cfg policy.Config) *policy.Policy {
	t.Helper()
	p, err := policy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
