package enginetest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answers reports whether the endpoint speaks the protocol of DynamoDB, which
// refuses a call that is not signed.
func answers(t *testing.T, url string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(body), "MissingAuthenticationToken")
}

func TestDynamoDBIsShared(t *testing.T) {
	first, second := DynamoDB(t), DynamoDB(t)
	if first != second || !answers(t, first) {
		t.Errorf("%s and %s", first, second)
	}
}

func TestDynamoDBJarsAreChecked(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(dynamoDBJarsVariable, dir)
	if _, err := dynamoDBPrograms(t.Context()); err == nil || !strings.Contains(err.Error(), dynamoDBJarsVariable) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "DynamoDBLocal-9.jar"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := dynamoDBPrograms(t.Context()); err != nil || got != dir {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestFindJava(t *testing.T) {
	home := t.TempDir()
	t.Setenv("JAVA21_HOME", home)
	if err := os.Mkdir(filepath.Join(home, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	java := filepath.Join(home, "bin", "java")
	fake := func(version string) {
		if err := os.WriteFile(java, []byte("#!/bin/sh\necho 'openjdk version \""+version+"\"' >&2\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fake("99.0.1")
	if got, err := javaOf(t.Context(), 99, anyJava); err != nil || got != java {
		t.Errorf("got %s, %v", got, err)
	}
	fake("1.8.0_402") // the old way to say 8
	if got, err := javaOf(t.Context(), 99, anyJava); err == nil || !strings.Contains(err.Error(), "JAVA_HOME") {
		t.Errorf("got %s, %v", got, err)
	}
}

// The script and this package name the same version.
func TestDynamoDBScriptVersion(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile(filepath.Join(root, "scripts", "engines"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "dynamodb_versions='" + DynamoDBVersion + "'"; !strings.Contains(string(script), want) {
		t.Errorf("scripts/engines has not the line %s", want)
	}
}
