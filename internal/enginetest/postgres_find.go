package enginetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// The versions that Annals is tested with: the oldest it supports, and the newest.
const (
	OldestPostgres = "15"
	NewestPostgres = "18"
)

const (
	postgresURLVariable = "ANNALS_TEST_POSTGRES_URL"
	postgresBinVariable = "ANNALS_TEST_POSTGRES_BIN"
	given               = "given" // the version of what the environment names
)

// PostgresVersions are the versions to test with: the oldest and the newest. With
// -short it is one, that which needs no fetching. Where the environment names a
// server or its programs it is one too, called "given".
func PostgresVersions() []string {
	switch {
	case os.Getenv(postgresURLVariable) != "" || os.Getenv(postgresBinVariable) != "":
		return []string{given}
	case testing.Testing() && testing.Short():
		return []string{firstPostgres()}
	default:
		return []string{OldestPostgres, NewestPostgres}
	}
}

// firstPostgres is a version that is here already, else the oldest.
var firstPostgres = sync.OnceValue(func() string {
	for _, version := range present(context.Background(), "postgres") {
		return version
	}
	return OldestPostgres
})

// postgresVersion is the version that is meant.
func postgresVersion(asked string) string {
	switch {
	case os.Getenv(postgresBinVariable) != "":
		return given
	case asked == "" || asked == given:
		return firstPostgres()
	default:
		return asked
	}
}

// postgresPrograms gives the folder of initdb and postgres.
func postgresPrograms(ctx context.Context, version string) (string, error) {
	if bin := os.Getenv(postgresBinVariable); bin != "" {
		for _, program := range []string{"initdb", "postgres"} {
			if !isFile(filepath.Join(bin, program)) {
				return "", fmt.Errorf("%s=%s: there is no %s in it", postgresBinVariable, bin, program)
			}
		}
		return filepath.Abs(bin)
	}
	return fetch(ctx, engine{"postgres", postgresVersion(version)})
}
