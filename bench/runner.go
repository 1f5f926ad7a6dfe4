package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// runner builds test binaries and reads what their benchmarks say.
type runner struct {
	dir   string
	built map[string]string
}

// side is one benchmark and the metric of it that is compared.
type side struct {
	pkg    string // below the module, e.g. "recorder"
	bench  string // the benchmark's name, slashes and all
	metric string // the unit that go test prints after the figure
	unit   string // the same for people
	time   string // -test.benchtime; "" is one second
}

func (r *runner) binary(pkg string) (string, error) {
	if path, ok := r.built[pkg]; ok {
		return path, nil
	}
	path := filepath.Join(r.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
	out, err := exec.Command("go", "test", "-c", "-o", path, "./"+pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %v\n%s", pkg, err, out)
	}
	r.built[pkg] = path
	return path, nil
}

// measure runs the benchmark once and gives its metric.
func (r *runner) measure(s side) (float64, error) {
	path, err := r.binary(s.pkg)
	if err != nil {
		return 0, err
	}
	parts := strings.Split(s.bench, "/")
	for i := range parts {
		parts[i] = "^" + parts[i] + "$"
	}
	benchtime := s.time
	if benchtime == "" {
		benchtime = "1s"
	}
	cmd := exec.Command(path, "-test.run", "^$", "-test.bench", strings.Join(parts, "/"), "-test.benchtime", benchtime, "-test.timeout", "60m")
	cmd.Dir = s.pkg
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %v\n%s", s.bench, err, out)
	}
	for _, row := range strings.Split(string(out), "\n") {
		fields := strings.Fields(row)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			if fields[i+1] == s.metric {
				return strconv.ParseFloat(fields[i], 64)
			}
		}
	}
	return 0, fmt.Errorf("%s printed no %s:\n%s", s.bench, s.metric, out)
}
