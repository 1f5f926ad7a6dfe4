package server

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server/api"
	"github.com/annals-dev/annals/policy"
)

// Metrics are what /metrics shows. Metrics is an audit.Observer: it is made
// first, given to the trail in annals.Options, and then to the server.
type Metrics struct {
	registry *prometheus.Registry
	trail    atomic.Pointer[annals.Trail]
	api      atomic.Pointer[api.API]
	requests *prometheus.HistogramVec
	store    *prometheus.HistogramVec
	records  *prometheus.CounterVec
}

// NewMetrics makes metrics of their own registry; version is the program's.
func NewMetrics(version string) *Metrics {
	seconds := []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 10, 60}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annals_http_request_seconds", Help: "Time from the first byte of a request's header to the end of its answer.", Buckets: seconds,
		}, []string{"route", "method", "status"}),
		store: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "annals_store_operation_seconds", Help: "Time of operations on the store; code is empty for those that succeeded.", Buckets: seconds,
		}, []string{"operation", "code"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "annals_store_records_total", Help: "Records written, read or deleted by operations on the store.",
		}, []string{"operation"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "annals_build_info", Help: "Always 1; the labels say what is running.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(m.requests, m.store, m.records, build, &writePath{m: m}, &spoolMetrics{m: m}, &retentionMetrics{m: m}, &bodyMetrics{m: m},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observe implements audit.Observer.
func (m *Metrics) Observe(_ context.Context, op audit.Operated) {
	m.store.WithLabelValues(op.Name, string(audit.CodeOf(op.Err))).Observe(op.Took.Seconds())
	if op.Records > 0 {
		m.records.WithLabelValues(op.Name).Add(float64(op.Records))
	}
}

func (m *Metrics) request(route, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other" // a client may send any word
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *Metrics) watch(t *annals.Trail, a *api.API) {
	m.trail.Store(t)
	m.api.Store(a)
}

func (m *Metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// writePath collects the recorder's own account when it is asked for.
type writePath struct{ m *Metrics }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("annals_"+name, help, labels, nil)
}

var (
	offeredDesc  = desc("events_offered_total", "Events handed in.")
	eventsDesc   = desc("events_total", "Events by what became of them.", "result")
	filteredDesc = desc("events_filtered_total", "Events that the policy did not record, by the rule that decided first.", "reason")
	queuedDesc   = desc("queue_events", "Events waiting to be written.")
	bytesDesc    = desc("queue_bytes", "Size of the events waiting to be written.")
	oldestDesc   = desc("queue_oldest_seconds", "Age of the oldest waiting event.")
	batchesDesc  = desc("batches_total", "Batches that the store took.")
	attemptsDesc = desc("store_failed_attempts_total", "Attempts to write a batch that the store did not take.")
	successDesc  = desc("store_last_success_timestamp_seconds", "When the store last took a batch; absent before the first.")
	errorDesc    = desc("store_last_error_timestamp_seconds", "When the store last refused a batch; absent before the first.")
)

// Describe implements prometheus.Collector.
func (c *writePath) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{offeredDesc, eventsDesc, filteredDesc, queuedDesc, bytesDesc, oldestDesc, batchesDesc, attemptsDesc, successDesc, errorDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *writePath) Collect(ch chan<- prometheus.Metric) {
	t := c.m.trail.Load()
	if t == nil {
		return
	}
	s := t.Stats()
	counter := func(d *prometheus.Desc, n int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	gauge := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	counter(offeredDesc, s.Offered)
	counter(eventsDesc, s.Filtered, "filtered")
	counter(eventsDesc, s.Rejected, "rejected")
	counter(eventsDesc, s.Dropped, "dropped")
	counter(eventsDesc, s.Stored, "stored")
	counter(eventsDesc, s.Duplicates, "duplicate")
	counter(eventsDesc, s.Failed, "failed")
	for i, n := range s.FilteredBy {
		if r := policy.Reason(i); r != policy.Recorded {
			counter(filteredDesc, n, r.String())
		}
	}
	gauge(queuedDesc, float64(s.Queued))
	gauge(bytesDesc, float64(s.QueuedBytes))
	gauge(oldestDesc, s.OldestQueued.Seconds())
	counter(batchesDesc, s.Batches)
	counter(attemptsDesc, s.FailedAttempts)
	if !s.LastSuccessAt.IsZero() {
		gauge(successDesc, float64(s.LastSuccessAt.UnixMilli())/1000)
	}
	if !s.LastErrorAt.IsZero() {
		gauge(errorDesc, float64(s.LastErrorAt.UnixMilli())/1000)
	}
}
