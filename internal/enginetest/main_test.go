package enginetest

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// childVariable makes the test binary a process that starts a server and is killed.
const childVariable = "ANNALS_ENGINETEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := beKilled(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(Runner(m))
}

func beKilled() error {
	s, err := LaunchPostgres(context.Background(), PostgresOptions{})
	if err != nil {
		return err
	}
	fmt.Println(s.URL(), s.PID(), s.folder.path)
	select {}
}

// outcome is how a test ended.
type outcome struct {
	testing.TB
	skipped, failed string
}

func (o *outcome) Helper() {}

func (o *outcome) Skip(args ...any) { o.skipped = fmt.Sprint(args...); runtime.Goexit() }

func (o *outcome) Fatal(args ...any) { o.failed = fmt.Sprint(args...); runtime.Goexit() }

// try runs what may end the test.
func try(tb testing.TB, f func(testing.TB)) *outcome {
	o := &outcome{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(o)
	}()
	<-done
	return o
}

func TestAnAbsentEngineSkipsButFailsInCI(t *testing.T) {
	absent := fmt.Errorf("postgres 18: %w: no mvn", ErrAbsent)
	for _, c := range []struct {
		ci      string
		err     error
		skipped bool
	}{
		{"", absent, true},
		{"false", absent, true},
		{"true", absent, false},
		{"woodpecker", absent, false},
		{"", fmt.Errorf("initdb: no space left"), false},
	} {
		t.Setenv("CI", c.ci)
		o := try(t, func(tb testing.TB) { giveUp(tb, c.err) })
		if said := o.skipped + o.failed; said != c.err.Error() || (o.skipped != "") != c.skipped {
			t.Errorf("CI=%s: skipped %q, failed %q", c.ci, o.skipped, o.failed)
		}
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var log tail
	for i := range 10_000 {
		log.add([]byte(fmt.Sprintf("line %d of the log of a server", i)))
	}
	got := log.String()
	if len(got) > tailSize || !strings.HasSuffix(got, "line 9999 of the log of a server\n") {
		t.Errorf("%d bytes, ending %q", len(got), got[max(0, len(got)-50):])
	}
}
