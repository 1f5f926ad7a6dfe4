package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// retentionMetrics collects what retention has done when it is asked for.
type retentionMetrics struct{ m *Metrics }

var (
	retentionRunsDesc    = desc("retention_runs_total", "Runs of retention, by how they ended; skipped_lease and skipped_clock did not begin.", "result")
	retentionDeletedDesc = desc("retention_deleted_total", "Records that retention deleted.")
	retentionDroppedDesc = desc("retention_dropped_partitions_total", "Partitions that retention dropped as a whole; their records are not among the deleted.")
	retentionFailedDesc  = desc("retention_partition_errors_total", "Steps that make, drop or maintain partitions and failed.")
	retentionRunningDesc = desc("retention_enabled", "1 where this process deletes by itself.")
	retentionLeadingDesc = desc("retention_leading", "1 while this process is deleting.")
	retentionTookDesc    = desc("retention_last_run_seconds", "How long the last run took; absent before the first.")
	retentionLastDesc    = desc("retention_last_run_timestamp_seconds", "When the last run ended; absent before the first.")
	retentionSuccessDesc = desc("retention_last_success_timestamp_seconds", "When a run last ended well; absent before the first.")
)

// Describe implements prometheus.Collector.
func (c *retentionMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		retentionRunsDesc, retentionDeletedDesc, retentionDroppedDesc, retentionFailedDesc,
		retentionRunningDesc, retentionLeadingDesc, retentionTookDesc, retentionLastDesc, retentionSuccessDesc,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *retentionMetrics) Collect(ch chan<- prometheus.Metric) {
	t := c.m.trail.Load()
	if t == nil {
		return
	}
	s := t.RetentionState()
	give := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	for result, n := range map[string]int64{
		"success": s.Runs - s.Errors - s.GivenUp, "error": s.Errors, "given_up": s.GivenUp,
		"skipped_lease": s.SkippedLease, "skipped_clock": s.SkippedClock,
	} {
		give(retentionRunsDesc, prometheus.CounterValue, float64(n), result)
	}
	give(retentionDeletedDesc, prometheus.CounterValue, float64(s.Deleted))
	give(retentionDroppedDesc, prometheus.CounterValue, float64(s.Dropped))
	give(retentionFailedDesc, prometheus.CounterValue, float64(s.PartitionErrors))
	give(retentionRunningDesc, prometheus.GaugeValue, flag(s.Running))
	give(retentionLeadingDesc, prometheus.GaugeValue, flag(s.Leading))
	if s.LastRun != nil {
		give(retentionTookDesc, prometheus.GaugeValue, s.LastRun.Seconds)
		give(retentionLastDesc, prometheus.GaugeValue, seconds(s.LastRun.Ended))
	}
	if !s.LastSuccess.IsZero() {
		give(retentionSuccessDesc, prometheus.GaugeValue, seconds(s.LastSuccess))
	}
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
