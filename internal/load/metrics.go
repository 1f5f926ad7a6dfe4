package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The series of a server that a load looks at.
const (
	seriesBatches    = "annals_batches_total"
	seriesStored     = `annals_events_total{result="stored"}`
	seriesFailed     = "annals_store_failed_attempts_total"
	seriesQueue      = "annals_queue_events"
	seriesQueueBytes = "annals_queue_bytes"
	seriesResident   = "process_resident_memory_bytes"
	seriesGoroutines = "go_goroutines"
)

// ServerFigures are what the server's own metrics tell of the load. Others who
// used the server at the same time are in them.
type ServerFigures struct {
	Batches         float64 `json:"batches"`           // that the store took
	Stored          float64 `json:"events_stored"`     // in them
	BatchesPerEvent float64 `json:"batches_per_event"` // 0 where none were stored
	FailedAttempts  float64 `json:"failed_attempts"`   // batches that the store did not take
	// The largest values that were seen, once a second.
	PeakResident   float64 `json:"peak_resident_bytes"` // 0 where the system does not tell
	PeakGoroutines float64 `json:"peak_goroutines"`
	PeakQueue      float64 `json:"peak_queue_events"`
	PeakQueueBytes float64 `json:"peak_queue_bytes"`
}

// sampler reads /metrics over a connection of its own.
type sampler struct {
	http    *http.Client
	url     string
	figures ServerFigures
	before  map[string]float64 // nil: the server has no metrics
}

func newSampler(opt *Options) *sampler {
	return &sampler{
		http: &http.Client{Timeout: opt.Timeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 1}},
		url:  opt.URL + "/metrics",
	}
}

func (s *sampler) close() { s.http.CloseIdleConnections() }

// read gives the series that have no comment.
func (s *sampler) read(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", s.url, resp.Status)
	}
	return parseMetrics(resp.Body)
}

// parseMetrics reads the text format of Prometheus, without time stamps.
func parseMetrics(r io.Reader) (map[string]float64, error) {
	out := map[string]float64{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := cutLast(line, ' ')
		v, err := strconv.ParseFloat(value, 64)
		if !ok || err != nil {
			continue // another server's idea of a metric
		}
		out[name] = v
	}
	return out, lines.Err()
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// begin takes the counters before the load. A server without metrics is no
// error: there are no figures then.
func (s *sampler) begin(ctx context.Context) {
	m, err := s.read(ctx)
	if _, ok := m[seriesBatches]; err == nil && ok {
		s.before = m
	}
}

// watch notes the largest values until ctx ends.
func (s *sampler) watch(ctx context.Context) {
	for s.before != nil && wait(ctx, time.Second) {
		if m, err := s.read(ctx); err == nil {
			s.note(m)
		}
	}
}

func (s *sampler) note(m map[string]float64) {
	f := &s.figures
	f.PeakResident, f.PeakGoroutines = max(f.PeakResident, m[seriesResident]), max(f.PeakGoroutines, m[seriesGoroutines])
	f.PeakQueue, f.PeakQueueBytes = max(f.PeakQueue, m[seriesQueue]), max(f.PeakQueueBytes, m[seriesQueueBytes])
}

// drained waits until the server has nothing in its queue any more, and then
// takes the counters; false where it cannot be known, or takes too long.
func (s *sampler) drained(ctx context.Context, most time.Duration) bool {
	if s.before == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		m, err := s.read(ctx)
		if err == nil {
			s.end(m)
			if m[seriesQueue] == 0 {
				return true
			}
		}
		if !wait(ctx, pause) {
			return false
		}
	}
}

func (s *sampler) end(m map[string]float64) {
	s.note(m)
	f := &s.figures
	f.Batches, f.Stored = m[seriesBatches]-s.before[seriesBatches], m[seriesStored]-s.before[seriesStored]
	f.FailedAttempts = m[seriesFailed] - s.before[seriesFailed]
	f.BatchesPerEvent = 0
	if f.Stored > 0 {
		f.BatchesPerEvent = f.Batches / f.Stored
	}
}
