package enginetest

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

var dynamoDBServers shared[*DynamoDBServer]

// DynamoDB gives the endpoint of a DynamoDB Local that the test binary shares.
// Every region and all credentials see the same tables, so a test takes a table
// of its own. ANNALS_TEST_DYNAMODB_URL names another endpoint to share.
func DynamoDB(tb testing.TB) string {
	tb.Helper()
	if address := os.Getenv(dynamoDBURLVariable); address != "" {
		return address
	}
	return dynamoDBServers.server(tb, DynamoDBVersion, func(ctx context.Context) (*DynamoDBServer, error) {
		return LaunchDynamoDB(ctx, DynamoDBOptions{})
	}).URL()
}

// StartDynamoDB starts a server for this test alone, and closes it when the test
// ends. When the test failed, its log holds the last of the server's.
func StartDynamoDB(tb testing.TB, options DynamoDBOptions) *DynamoDBServer {
	tb.Helper()
	return own(tb, func(ctx context.Context) (*DynamoDBServer, error) { return LaunchDynamoDB(ctx, options) })
}

// DropDynamoDBTable removes a table; there need not be one.
func DropDynamoDBTable(tb testing.TB, address, table string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), dropPatience)
	defer cancel()
	body := strings.NewReader(`{"TableName":"` + table + `"}`)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, body)
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.DeleteTable")
	// DynamoDB Local wants to see a signature and does not check it.
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=annals/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Errorf("dropping the table %s: %v", table, err)
		return
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // it was read to its end
	if err != nil || res.StatusCode != http.StatusOK && !strings.Contains(string(answer), "ResourceNotFoundException") {
		tb.Errorf("dropping the table %s: %s %s %v", table, res.Status, answer, err)
	}
}
