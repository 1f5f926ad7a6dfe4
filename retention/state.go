package retention

import (
	"context"
	"time"
)

// State is what the loop of this process has done so far. Counters begin at
// its start.
type State struct {
	Running         bool      `json:"running" doc:"the loop is on in this process"`
	Leading         bool      `json:"leading" doc:"this process is deleting now"`
	Runs            int64     `json:"runs" doc:"runs since the start, those that failed among them"`
	Errors          int64     `json:"errors" doc:"runs that failed"`
	GivenUp         int64     `json:"given_up" doc:"runs that ended early because the caller went away or the process stops"`
	Deleted         int64     `json:"deleted" doc:"records deleted since the start, but for those of partitions"`
	Dropped         int64     `json:"dropped_partitions" doc:"partitions dropped since the start, where the engine has them"`
	PartitionErrors int64     `json:"partition_errors" doc:"steps that make, drop or maintain partitions and failed; deletion goes on without them"`
	SkippedLease    int64     `json:"skipped_lease" doc:"times that another process was deleting"`
	SkippedClock    int64     `json:"skipped_clock" doc:"times that the clock had been set, or the machine had slept"`
	LastRun         *Run      `json:"last_run,omitempty" doc:"the last run of this process"`
	LastSuccess     time.Time `json:"last_success_at,omitzero" doc:"when a run last ended well"`
	NextRun         time.Time `json:"next_run_at,omitzero" doc:"when the loop looks again"`
}

// State gives a snapshot for metrics and for people.
func (l *Loop) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *Loop) set(change func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.state)
}

// Settings are the settings in force.
type Settings struct {
	TTLSeconds      float64 `json:"ttl_seconds" doc:"stamped on each record as its time of expiry; 0 stamps nothing"`
	RetentionDays   float64 `json:"retention_days" doc:"how old a record may become, in days; 0 is for ever"`
	IntervalSeconds float64 `json:"cleanup_interval_seconds" doc:"from the beginning of a run to that of the next"`
	BatchSize       int     `json:"cleanup_batch_size" doc:"records that one transaction deletes at most"`
}

// Status is everything about retention.
type Status struct {
	Settings Settings `json:"settings"`
	State    State    `json:"state" doc:"what the process that answers has done"`
	Holds    []Hold   `json:"holds" doc:"legal holds, oldest first"`
}

// Status gives the settings, the state and the holds. Settings.TTLSeconds is
// for the caller to fill in, who stamps the records.
func (l *Loop) Status(ctx context.Context) (*Status, error) {
	holds, err := l.Holds(ctx)
	if err != nil {
		return nil, err
	}
	o := &l.opt
	return &Status{
		Settings: Settings{RetentionDays: o.Ceiling.Hours() / 24, IntervalSeconds: o.Interval.Seconds(), BatchSize: o.BatchSize},
		State:    l.State(), Holds: holds,
	}, nil
}
