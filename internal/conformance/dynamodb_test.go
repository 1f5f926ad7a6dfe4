package conformance

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/dynamodb"
	"github.com/annals-dev/annals/store/storetest"
)

var dynamodbTables atomic.Int64

// dynamodbHarness gives every store a table of its own on one DynamoDB Local. The
// suite has a time of its own, long past, in which DynamoDB's TTL would delete
// what the suite still wants to see; so deletion is left to DeleteExpired. What
// TTL does is tested in store/dynamodb.
func dynamodbHarness(tb testing.TB) storetest.Harness {
	url := enginetest.DynamoDB(tb)
	var tables sync.Map // audit.Store → the name of its table
	open := func(tb testing.TB, table string) audit.Store {
		s, err := dynamodb.Open(tb.Context(), dynamodb.Options{URL: url, TableName: table, Sweep: true})
		if err != nil {
			tb.Fatal(err)
		}
		tables.Store(s, table)
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			table := fmt.Sprintf("conformance_%d", dynamodbTables.Add(1))
			tb.Cleanup(func() { enginetest.DropDynamoDBTable(tb, url, table) })
			return open(tb, table)
		},
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			table, _ := tables.Load(s)
			return open(tb, table.(string))
		},
		// DynamoDB Local brings its indexes up to date with the table.
		Settle: func(testing.TB, audit.Store) {},
		Skip: map[storetest.Category]string{
			storetest.Text:      "DynamoDB has no full text search; a question for it is refused",
			storetest.Analytics: "it streams; the reference is used as it is",
		},
	}
}
