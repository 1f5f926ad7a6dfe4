// Command bench runs the benchmarks that a claim of speed rests on and prints
// one table. It builds each package's test binary once and runs the two sides
// of a comparison in turn, A B A B …, so that a drift of the machine meets both.
// A figure is the median of its rounds, beside the smallest and the largest.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	only := flag.String("run", ".", "regular expression of the lines to measure")
	rounds := flag.Int("rounds", 5, "rounds of each line")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		log.Fatalf("-run: %v", err)
	}
	dir, err := os.MkdirTemp("", "annals-bench-bin-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r := &runner{dir: dir, built: map[string]string{}}

	fmt.Printf("%s, %s/%s, %d processors, %d rounds, medians (smallest to largest)\n\n",
		time.Now().UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), *rounds)
	fmt.Println("| what | measured | against | ratio | bar | |\n|---|---|---|---|---|---|")
	for _, l := range lines() {
		if !pattern.MatchString(l.name) {
			continue
		}
		if err := r.line(l, *rounds); err != nil {
			log.Printf("%s: %v", l.name, err)
		}
	}
}

// line measures one line and prints it.
func (r *runner) line(l line, rounds int) error {
	var a, b, ratio []float64
	for range rounds {
		x, err := r.measure(l.a)
		if err != nil {
			return err
		}
		a = append(a, x)
		if l.b.bench == "" {
			continue
		}
		y, err := r.measure(l.b)
		if err != nil {
			return err
		}
		b = append(b, y)
		ratio = append(ratio, x/y)
	}
	cells := []string{l.name, spread(a, l.a.unit), "", "", l.bar, ""}
	judged := a
	if len(b) > 0 {
		cells[2] = l.against + " " + spread(b, l.b.unit)
		cells[3] = spread(ratio, "")
		if l.onRatio {
			judged = ratio
		}
	}
	if l.met != nil {
		cells[5] = "missed"
		if l.met(median(judged)) {
			cells[5] = "met"
		}
	}
	fmt.Printf("| %s |\n", strings.Join(cells, " | "))
	return nil
}

func median(v []float64) float64 {
	s := slices.Clone(v)
	slices.Sort(s)
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}

func spread(v []float64, unit string) string {
	if unit != "" {
		unit = " " + unit
	}
	return fmt.Sprintf("%s%s (%s to %s)", short(median(v)), unit, short(slices.Min(v)), short(slices.Max(v)))
}

func short(x float64) string {
	switch {
	case x >= 1000:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}
