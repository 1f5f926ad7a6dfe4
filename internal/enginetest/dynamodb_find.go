package enginetest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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

// javaVersion finds the version in what java -version prints: 17.0.15, and 1.8.0
// of the old way.
var javaVersion = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// findJava gives a Java of at least the version: JAVA21_HOME, JAVA_HOME, what is
// on the path, or one of those that are installed.
func findJava(ctx context.Context, least int) (string, error) {
	var tries []string
	for _, home := range []string{os.Getenv("JAVA21_HOME"), os.Getenv("JAVA_HOME")} {
		if home != "" {
			tries = append(tries, filepath.Join(home, "bin", "java"))
		}
	}
	if java, err := exec.LookPath("java"); err == nil {
		tries = append(tries, java)
	}
	installed, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	for _, java := range append(tries, installed...) {
		out, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
		if err != nil {
			continue
		}
		if m := javaVersion.FindSubmatch(out); m != nil {
			if v, err := strconv.Atoi(string(m[1])); err == nil && v >= least {
				return java, nil
			}
		}
	}
	return "", fmt.Errorf("%w: no Java %d or newer: install one, or set JAVA_HOME", ErrAbsent, least)
}
