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

// anyJava is newer than all.
const anyJava = 999

// javaLine finds the version in what java -version prints: 17.0.15, and 1.8.0 of
// the old way.
var javaLine = regexp.MustCompile(`version "(?:1\.)?(\d+)`)

// javaOf gives a Java from one version to another: of JAVA21_HOME, of JAVA_HOME,
// on the path, or one of those that are installed.
func javaOf(ctx context.Context, least, most int) (string, error) {
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
		if m := javaLine.FindSubmatch(out); m != nil {
			if v, err := strconv.Atoi(string(m[1])); err == nil && v >= least && v <= most {
				return java, nil
			}
		}
	}
	if most == least {
		return "", fmt.Errorf("%w: no Java %d: install one, or set JAVA_HOME", ErrAbsent, least)
	}
	return "", fmt.Errorf("%w: no Java %d or newer: install one, or set JAVA_HOME or JAVA21_HOME", ErrAbsent, least)
}
