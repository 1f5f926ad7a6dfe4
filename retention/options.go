package retention

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Defaults of Options.
const (
	DefaultInterval  = time.Hour
	DefaultBatchSize = 10_000
	DefaultLeaseTTL  = time.Minute
)

// MaxBatchSize is the largest batch: its deletion must stay one short transaction.
const MaxBatchSize = 1_000_000

// Options configure a Loop. The zero value deletes what has expired, every hour.
type Options struct {
	Ceiling   time.Duration    // how old a record may become; 0 is no ceiling, at most MaxAge
	Interval  time.Duration    // from the beginning of a run to that of the next; 0 is DefaultInterval
	BatchSize int              // records that one transaction deletes at most; 0 is DefaultBatchSize
	LeaseTTL  time.Duration    // how long the lease outlives a process that dies in a run; 0 is DefaultLeaseTTL
	Owner     string           // names this process to the others; "" is one of its own
	Logger    *slog.Logger     // nil is slog.Default()
	Now       func() time.Time // the wall clock; nil is time.Now

	// Partitions and Holder are the engine's capabilities; nil where it has none.
	// annals.New fills them in.
	Partitions Partitioner
	Holder     audit.Holder
}

// withDefaults checks the options and fills in what is left out.
func (o Options) withDefaults() (Options, error) {
	if err := checkAge("retention_days", o.Ceiling); err != nil {
		return o, err
	}
	for _, d := range []struct {
		field string
		value *time.Duration
		def   time.Duration
	}{
		{"cleanup_interval_seconds", &o.Interval, DefaultInterval},
		{"lease_ttl", &o.LeaseTTL, DefaultLeaseTTL},
	} {
		if err := checkAge(d.field, *d.value); err != nil {
			return o, err
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	switch {
	case o.BatchSize < 0:
		return o, audit.Invalid("cleanup_batch_size", "is negative")
	case o.BatchSize > MaxBatchSize:
		return o, audit.Invalid("cleanup_batch_size", "is %d, at most %d", o.BatchSize, MaxBatchSize)
	case o.BatchSize == 0:
		o.BatchSize = DefaultBatchSize
	}
	if o.Owner == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "unknown" // the rest tells processes apart
		}
		o.Owner = fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:8])
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// Store is what retention needs of the trail.
type Store interface {
	// DeleteExpired is that of audit.Store.
	DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error)
	// Count is that of audit.Counter.
	Count(ctx context.Context, q *audit.Query) (int64, error)
	// Scan is that of audit.Scanner.
	Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error
}
