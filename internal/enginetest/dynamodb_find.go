package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// DynamoDBVersion is the DynamoDB Local that Annals is tested with.
const DynamoDBVersion = "3.1.0"

const (
	dynamoDBURLVariable  = "ANNALS_TEST_DYNAMODB_URL"
	dynamoDBJarsVariable = "ANNALS_TEST_DYNAMODB_JARS"
	dynamoDBJava         = 17 // the oldest Java that it runs on
)

// dynamoDBPrograms gives the folder of its jars.
func dynamoDBPrograms(ctx context.Context) (string, error) {
	if jars := os.Getenv(dynamoDBJarsVariable); jars != "" {
		if found, _ := filepath.Glob(filepath.Join(jars, "DynamoDBLocal-*.jar")); len(found) == 0 {
			return "", fmt.Errorf("%s=%s: there is no DynamoDBLocal jar in it", dynamoDBJarsVariable, jars)
		}
		return filepath.Abs(jars)
	}
	return fetch(ctx, engine{"dynamodb", DynamoDBVersion})
}
