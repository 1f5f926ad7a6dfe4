package copying_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// A copy is killed again and again, at whatever it is just doing, and goes on
// each time until it is done: into every engine.
func TestKilled(t *testing.T) {
	from := newPlace(t, "sqlite")
	n := 2000
	if testing.Short() || underRace {
		n = 1000
	}
	var want []byte
	from.with(t, func(s audit.Store) {
		fill(t, s, ofProd(recording(191, 3*n)), n/4)
		want = export(t, s)
	})
	for _, engine := range []string{"sqlite", "postgres", "clickhouse", "opensearch", "dynamodb"} {
		t.Run(engine, func(t *testing.T) {
			if testing.Short() && engine != "sqlite" {
				t.Skip("in full runs only: the servers take their time")
			}
			to := newPlace(t, engine)
			kills := 0
			for lines := 2; !runChild(t, job{from, to}, lines); lines++ {
				if kills++; kills > 100 {
					t.Fatal("it does not get on")
				}
			}
			if kills < 2 {
				t.Errorf("it was killed %d times only", kills)
			}
			from.with(t, func(src audit.Store) {
				to.with(t, func(dst audit.Store) {
					report := copyAll(t, src, dst)
					if report.Copied != 0 || report.Holds != 0 {
						t.Errorf("a copy of what is there copied %d records and %d holds", report.Copied, report.Holds)
					}
					same(t, engine, want, export(t, dst))
				})
			})
			t.Logf("killed %d times", kills)
		})
	}
}

// runChild copies in a process of its own and kills it when it has written so
// many lines; it reports whether the child was done before.
func runChild(t *testing.T, j job, lines int) (done bool) {
	t.Helper()
	text, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var said strings.Builder
	cmd.Stderr = &said
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(out)
	for n := 0; told.Scan(); n++ {
		done = done || told.Text() == "done"
		if n == lines {
			_ = cmd.Process.Kill() // it may just have ended
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	if err != nil && cmd.ProcessState.Exited() {
		t.Fatalf("the child failed: %v\n%s", err, said.String())
	}
	return done
}
