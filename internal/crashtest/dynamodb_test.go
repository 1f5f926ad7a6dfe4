package dynamodb

import (
	"context"
	"os"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
)

// What tells the children of a crash test where the table is.
const (
	crashURL   = "ANNALS_CRASH_DYNAMODB_URL"
	crashTable = "ANNALS_CRASH_DYNAMODB_TABLE"
)

var crashEngine = crashtest.Engine{Name: "dynamodb", Open: func(ctx context.Context, _ string) (audit.Store, error) {
	return Open(ctx, Options{URL: os.Getenv(crashURL), TableName: os.Getenv(crashTable)})
}}

// Processes that record are killed, and lose nothing that they acknowledged.
func TestCrash(t *testing.T) {
	inFullRuns(t)
	for _, mode := range crashtest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			opt := newTable(t)
			t.Setenv(crashURL, opt.URL)
			t.Setenv(crashTable, opt.TableName)
			crashtest.Run(t, crashEngine, mode)
		})
	}
}

// The engine takes calls and answers none, and comes back: nothing that was
// acknowledged is lost, and nothing is stored twice.
func TestOutage(t *testing.T) {
	inFullRuns(t)
	for _, mode := range []crashtest.Mode{crashtest.Sync, crashtest.Server} {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartDynamoDB(t, enginetest.DynamoDBOptions{})
			t.Setenv(crashURL, s.URL())
			t.Setenv(crashTable, "outage")
			crashtest.Outage(t, crashEngine, mode, crashtest.Interruption{
				Kill:    s.Hang,
				Restart: func(context.Context) error { return s.Resume() },
			})
		})
	}
}
