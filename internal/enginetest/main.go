package enginetest

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Attendant is the function of the goroutine that stays with each running server.
// A test that looks for leaked goroutines while the shared server runs ignores it:
//
//	goleak.VerifyNone(t, goleak.IgnoreAnyFunction(enginetest.Attendant))
const Attendant = "github.com/annals-dev/annals/internal/enginetest.(*process).attend"

// TestingM is what a TestMain is given.
type TestingM interface{ Run() int }

// Main is the whole of a TestMain: it runs the tests and stops the shared servers.
// Without it they are killed with the test binary, and the next start anywhere on
// the machine removes their folders.
func Main(m TestingM) { os.Exit(Runner(m).Run()) }

// Runner wraps m so that the shared servers are stopped when the tests have run:
// goleak.VerifyTestMain(enginetest.Runner(m)).
func Runner(m TestingM) TestingM { return runner{m} }

type runner struct{ m TestingM }

func (r runner) Run() int {
	code := r.m.Run()
	if err := errors.Join(postgresServers.stop(), dynamoDBServers.stop(), clickHouseServers.stop(), searchServers.stop()); err != nil {
		fmt.Fprintln(os.Stderr, "enginetest:", err)
		if code == 0 {
			code = 1
		}
	}
	return code
}

// giveUp ends the test: an engine that is not to be had skips it, but in CI, and
// for any other reason, it fails.
func giveUp(tb testing.TB, err error) {
	tb.Helper()
	if errors.Is(err, ErrAbsent) && !inCI() {
		tb.Skip(err)
	}
	tb.Fatal(err)
}

func inCI() bool {
	v := os.Getenv("CI")
	on, err := strconv.ParseBool(v)
	return v != "" && (err != nil || on)
}
