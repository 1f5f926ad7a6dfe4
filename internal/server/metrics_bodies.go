package server

import "github.com/prometheus/client_golang/prometheus"

// bodyMetrics collects what the request bodies under way take of their bound.
type bodyMetrics struct{ m *Metrics }

var (
	bodiesDesc        = desc("http_bytes_in_flight", "Size of the request bodies that are being read, decoded or recorded; an event counts for 256 bytes at least.")
	bodiesMaxDesc     = desc("http_bytes_in_flight_max", "Size that they may have at most.")
	bodiesRefusedDesc = desc("http_bytes_refused_total", "Requests that were answered with 429 because their bodies did not fit.")
)

// Describe implements prometheus.Collector.
func (c *bodyMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- bodiesDesc
	ch <- bodiesMaxDesc
	ch <- bodiesRefusedDesc
}

// Collect implements prometheus.Collector.
func (c *bodyMetrics) Collect(ch chan<- prometheus.Metric) {
	a := c.m.api.Load()
	if a == nil {
		return
	}
	used, most, refused := a.Bodies()
	ch <- prometheus.MustNewConstMetric(bodiesDesc, prometheus.GaugeValue, float64(used))
	ch <- prometheus.MustNewConstMetric(bodiesMaxDesc, prometheus.GaugeValue, float64(most))
	ch <- prometheus.MustNewConstMetric(bodiesRefusedDesc, prometheus.CounterValue, float64(refused))
}
