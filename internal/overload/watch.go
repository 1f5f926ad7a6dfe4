package overload

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
)

// Report is what a child has seen of itself.
type Report struct {
	Seconds float64 // under load

	// Of the library's producers: what they sent, and what they were told.
	Sent, Accepted, Refused, Dropped int64
	Open                             int64 // the spool's disk had not answered yet: they may be stored

	Stored  int64            // events that are in the store at the end
	InGaps  int64            // dropped events that gap records in the store count
	Account recorder.Account // of the trail, closed

	Resident   int64          // bytes: the largest of a sample each 100 ms; 0 where the system does not tell
	Runtime    int64          // bytes: the most that Go's runtime held in a sample; the rest of the resident is the engine's and the program's text
	HighWater  int64          // the largest that the system saw, from the start to the end
	Goroutines int            // the largest of the samples
	Lines      map[string]int // of the log, by message
}

// watcher takes the samples.
type watcher struct {
	report Report
	stop   context.CancelFunc
	ended  chan struct{}
	start  time.Time
	lines  *lines
}

func watch() *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{stop: cancel, ended: make(chan struct{}), start: time.Now(), lines: &lines{count: map[string]int{}}}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				resident, _ := memory()
				w.report.Resident, w.report.Runtime = max(w.report.Resident, resident), max(w.report.Runtime, held())
				w.report.Goroutines = max(w.report.Goroutines, runtime.NumGoroutine())
			}
		}
	}()
	return w
}

// finish settles the account of the trail and writes the report.
func (w *watcher) finish(trail *annals.Trail, seconds float64) error {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	r := &w.report
	r.Seconds = seconds
	if err := trail.Flush(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	var err error
	if r.Stored, err = trail.Count(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindEvent))}}); err != nil {
		return err
	}
	err = trail.Export(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("kind", string(audit.KindGap))}}, func(rec *audit.Record) error {
		var gap struct{ Dropped int64 }
		err := json.Unmarshal(rec.Payload, &gap)
		r.InGaps += gap.Dropped
		return err
	})
	if err != nil {
		return err
	}
	if r.Account, err = trail.Close(ctx); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	w.stop()
	<-w.ended
	_, r.HighWater = memory()
	r.Lines = w.lines.all()
	return json.NewEncoder(os.Stdout).Encode(r)
}

// held gives the bytes that Go's runtime has from the system and has not given back.
func held() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// memory gives the resident memory of this process in bytes, now and at its
// highest: VmRSS and VmHWM of proc(5). 0 where there is no such file.
func memory() (resident, high int64) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			continue
		}
		switch fields[0] {
		case "VmRSS:":
			resident = kib << 10
		case "VmHWM:":
			high = kib << 10
		}
	}
	return resident, high
}

// lines is a log that counts instead of writing.
type lines struct {
	mu    sync.Mutex
	count map[string]int
}

func (l *lines) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler               { return l }
func (l *lines) WithGroup(string) slog.Handler                    { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[r.Message]++
	return nil
}

func (l *lines) all() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}
