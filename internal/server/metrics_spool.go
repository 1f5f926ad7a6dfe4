package server

import "github.com/prometheus/client_golang/prometheus"

// spoolMetrics collect the state of the spool and of the dead letters; without
// a spool there are none.
type spoolMetrics struct{ m *Metrics }

var (
	recoveredDesc     = desc("events_recovered_total", "Events found in the spool at the start.")
	setAsideDesc      = desc("dead_letters_total", "Events that the store refused for good and that were set aside.")
	spoolDepthDesc    = desc("spool_events", "Events in the spool.")
	spoolBytesDesc    = desc("spool_bytes", "Size of the events in the spool.")
	spoolMaxDesc      = desc("spool_max_bytes", "Size that they may have at most.")
	spoolOldestDesc   = desc("spool_oldest_seconds", "Age of the oldest event in the spool.")
	spoolAppendedDesc = desc("spool_appended_total", "Events that the spool took.")
	spoolCommitsDesc  = desc("spool_syncs_total", "Syncs of the spool's disk that acknowledged something.")
	spoolRefusedDesc  = desc("spool_refused_total", "Events that the spool did not take: it was full, or its disk failed.", "reason")
	spoolDamagedDesc  = desc("spool_damaged_total", "Places found damaged on the spool's disk.")
	spoolLostDesc     = desc("spool_lost_total", "Events found damaged on the spool's disk since the start.")
)

// Describe implements prometheus.Collector.
func (c *spoolMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		recoveredDesc, setAsideDesc, spoolDepthDesc, spoolBytesDesc, spoolMaxDesc, spoolOldestDesc,
		spoolAppendedDesc, spoolCommitsDesc, spoolRefusedDesc, spoolDamagedDesc, spoolLostDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *spoolMetrics) Collect(ch chan<- prometheus.Metric) {
	t := c.m.trail.Load()
	if t == nil {
		return
	}
	s := t.Stats()
	if s.Spool == nil {
		return
	}
	send := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	send(recoveredDesc, prometheus.CounterValue, float64(s.Recovered))
	send(setAsideDesc, prometheus.CounterValue, float64(s.SetAside))
	send(spoolDepthDesc, prometheus.GaugeValue, float64(s.Spool.Depth))
	send(spoolBytesDesc, prometheus.GaugeValue, float64(s.Spool.Bytes))
	send(spoolMaxDesc, prometheus.GaugeValue, float64(s.Spool.MaxBytes))
	send(spoolOldestDesc, prometheus.GaugeValue, s.Spool.OldestAge.Seconds())
	send(spoolAppendedDesc, prometheus.CounterValue, float64(s.Spool.Appended))
	send(spoolCommitsDesc, prometheus.CounterValue, float64(s.Spool.Commits))
	send(spoolRefusedDesc, prometheus.CounterValue, float64(s.Spool.Full), "full")
	send(spoolRefusedDesc, prometheus.CounterValue, float64(s.Spool.Failed), "disk")
	send(spoolDamagedDesc, prometheus.CounterValue, float64(s.Spool.Damaged))
	send(spoolLostDesc, prometheus.CounterValue, float64(s.Spool.Lost))
}
