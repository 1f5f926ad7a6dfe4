package crashtest_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/crashtest"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/dynamodb"
)

// What tells the children where the table is.
const (
	dynamodbURL   = "ANNALS_CRASH_DYNAMODB_URL"
	dynamodbTable = "ANNALS_CRASH_DYNAMODB_TABLE"
)

var dynamodbEngine = crashtest.Engine{Name: "dynamodb", Open: func(ctx context.Context, _ string) (audit.Store, error) {
	return dynamodb.Open(ctx, dynamodb.Options{URL: os.Getenv(dynamodbURL), TableName: os.Getenv(dynamodbTable)})
}}

func TestDynamoDB(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: a server takes its time")
	}
	url := enginetest.DynamoDB(t)
	for i, mode := range crashtest.Modes() {
		t.Run(string(mode), func(t *testing.T) {
			table := fmt.Sprintf("crash-%d-%d", os.Getpid(), i)
			t.Cleanup(func() { enginetest.DropDynamoDBTable(t, url, table) })
			t.Setenv(dynamodbURL, url)
			t.Setenv(dynamodbTable, table)
			crashtest.Run(t, dynamodbEngine, mode)
		})
	}
}

// The engine takes calls and answers none, and comes back.
func TestDynamoDBOutage(t *testing.T) {
	if testing.Short() {
		t.Skip("in full runs only: the server is away for seconds")
	}
	for _, mode := range []crashtest.Mode{crashtest.Sync, crashtest.Server} {
		t.Run(string(mode), func(t *testing.T) {
			s := enginetest.StartDynamoDB(t, enginetest.DynamoDBOptions{})
			t.Setenv(dynamodbURL, s.URL())
			t.Setenv(dynamodbTable, "outage")
			crashtest.Outage(t, dynamodbEngine, mode, crashtest.Interruption{
				Kill:    s.Hang,
				Restart: func(context.Context) error { return s.Resume() },
			})
		})
	}
}
