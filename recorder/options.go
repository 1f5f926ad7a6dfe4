package recorder

import (
	"log/slog"
	"math"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/spool"
)

// Durability says what an acknowledgement means.
type Durability string

// The durabilities.
const (
	Sync   Durability = "sync"   // the store has it
	Spool  Durability = "spool"  // it is in the spool: on the local disk, fsynced, and survives kill -9
	Memory Durability = "memory" // it is in the bounded queue
)

// OnFull says what happens to an event when the queue has no room; under
// durability spool, when the spool has none.
type OnFull string

// The answers to a full queue. Where the call waits for the store, an event
// that finds no room is an error under Drop and Spill too.
const (
	Block OnFull = "block" // wait up to Timeout, then ErrBacklog
	Fail  OnFull = "fail"  // ErrBacklog at once: the caller fails closed
	Spill OnFull = "spill" // to the spool, with durability memory; ErrBacklog when that is full too
	Drop  OnFull = "drop"  // StatusRejected without an error; counted, and a gap record where Chained
)

// The defaults of Options.
const (
	DefaultFlushInterval = 30 * time.Second
	DefaultFlushSize     = 500
	DefaultCapacity      = 100_000
	DefaultCapacityBytes = 256 << 20
	DefaultTimeout       = 5 * time.Second
	DefaultWriteTimeout  = 30 * time.Second
)

// Options configure a Recorder. The zero value is the library's default:
// asynchronous, buffered in memory, blocking when full.
type Options struct {
	Policy   *policy.Policy   // nil records at writes_only
	Redactor *redact.Redactor // nil redacts nothing

	Durability Durability // "" is memory
	OnFull     OnFull     // "" is block

	// Unbuffered makes each event its own batch, written at once. A
	// synchronous recorder ignores it.
	Unbuffered bool
	// FlushInterval is how long the first waiting event waits for others; 0 is 30 s.
	FlushInterval time.Duration
	// FlushSize is how many waiting events trigger a write before that; 0 is
	// 500, or Capacity where that is less. It is a trigger and no limit: a
	// batch takes everything that waits, up to 5,000 events (FlushSize where
	// that is more) and 16 MiB, so that batches grow with the load.
	FlushSize int
	// Capacity is how many events may be in the recorder, the batch under way
	// included; 0 is 100,000.
	Capacity int
	// CapacityBytes is what their records may take in memory, roughly; 0 is
	// 256 MiB. An empty recorder takes one record of any size.
	CapacityBytes int64
	// Timeout is how long one call waits at most, for room, for the spool's disk
	// and for the store together; 0 is 5 s.
	Timeout time.Duration
	// WriteTimeout is how long one attempt on the store may take; 0 is 30 s. After
	// one that took longer, batches are halved, until the store has recovered.
	WriteTimeout time.Duration

	TTL         time.Duration // stamps ExpiresAt where the event has none; 0 leaves it empty
	DropPayload bool          // everything but the payload is kept
	MaxRecord   int           // bytes of one record; 0 is audit.MaxRecordBytes
	Chained     bool          // filtered, dropped and failed events are counted in gap records

	// Spool holds events under durability spool and OnFull spill; nil is none.
	// Whoever opened it closes it, after the recorder, which is its only user
	// until then. What it holds at the beginning is delivered first, whatever
	// the durability.
	Spool *spool.Spool
	// DeadLetters take the records that the store refuses for good, or that are
	// given up, and what cannot be read in the spool; nil only counts them. A
	// caller that waits for the store has the error instead. See [DecodeEntry].
	DeadLetters *spool.DeadLetters

	// Fresh is the sink for a batch of events whose ids were all made at the door
	// and that no attempt was made with before, see [audit.FreshAppender] and [chain.FreshAppender]; nil is
	// the recorder's sink for them too.
	Fresh Sink

	Logger *slog.Logger     // nil is slog.Default()
	Now    func() time.Time // nil is time.Now; stamps records only, timers have their own clock
	// Stored is called with each batch that the store has taken, in order of
	// storing, gap records included and duplicates left out; for live tails. A
	// batch whose first answer was lost is reported when its repetition finds
	// it there. The slice and the records are the callee's from then on. It
	// must return at once.
	Stored func(recs []*audit.Record)
	// Watched says whether anybody wants the next batch; false leaves the call
	// of Stored out, and lets the recorder use the records again, which makes
	// recording cheaper. nil is always, where Stored is set.
	Watched func() bool

	disk diskSpool // nil is Spool; tests put faults between
}

// complete fills in the defaults and refuses what contradicts itself.
func (o *Options) complete() error {
	switch o.Durability {
	case "":
		o.Durability = Memory
	case Sync, Memory:
	case Spool:
		if o.Spool == nil {
			return unsupportedOption("durability", "spool needs a spool, which this recorder does not have; use sync or memory")
		}
	default:
		return audit.Invalid("durability", "is %q, want sync, spool or memory", string(o.Durability))
	}
	switch o.OnFull {
	case "":
		o.OnFull = Block
	case Block, Fail:
	case Drop:
		if o.Durability == Sync {
			return audit.Invalid("on_full", "drop contradicts durability sync; use block or fail")
		}
	case Spill:
		switch {
		case o.Durability == Sync:
			return audit.Invalid("on_full", "spill contradicts durability sync; use block or fail")
		case o.Durability == Spool:
			return audit.Invalid("on_full", "spill contradicts durability spool, under which every event goes to the spool; use block, fail or drop")
		case o.Spool == nil:
			return unsupportedOption("on_full", "spill needs a spool, which this recorder does not have; use block, fail or drop")
		}
	default:
		return audit.Invalid("on_full", "is %q, want block, fail, spill or drop", string(o.OnFull))
	}
	for _, n := range [...]struct {
		name  string
		value int64
	}{
		{"flush_interval", int64(o.FlushInterval)}, {"flush_size", int64(o.FlushSize)},
		{"capacity", int64(o.Capacity)}, {"capacity_bytes", o.CapacityBytes},
		{"timeout", int64(o.Timeout)}, {"write_timeout", int64(o.WriteTimeout)},
		{"ttl", int64(o.TTL)}, {"max_record", int64(o.MaxRecord)},
	} {
		if n.value < 0 {
			return audit.Invalid(n.name, "is negative")
		}
	}
	if o.MaxRecord > math.MaxInt32/2 {
		return audit.Invalid("max_record", "is %d, at most %d", o.MaxRecord, math.MaxInt32/2)
	}
	orElse(&o.FlushInterval, DefaultFlushInterval)
	orElse(&o.Capacity, DefaultCapacity)
	orElse(&o.CapacityBytes, DefaultCapacityBytes)
	orElse(&o.Timeout, DefaultTimeout)
	orElse(&o.WriteTimeout, DefaultWriteTimeout)
	orElse(&o.MaxRecord, audit.MaxRecordBytes)
	orElse(&o.FlushSize, min(DefaultFlushSize, o.Capacity))
	if o.FlushSize > o.Capacity {
		return audit.Invalid("flush_size", "is %d, more than the capacity of %d", o.FlushSize, o.Capacity)
	}
	if o.disk == nil && o.Spool != nil {
		o.disk = o.Spool
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Policy == nil {
		p, err := policy.New(policy.Config{})
		if err != nil {
			return err
		}
		o.Policy = p
	}
	return nil
}

func orElse[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func unsupportedOption(name, message string) error {
	return &audit.Error{Code: audit.CodeUnsupported, Field: name, Message: message}
}
