// Package recorder is the write path: policy, normalisation, redaction, then a
// bounded queue whose batcher hands batches to the sink. A synchronous call
// goes the same way and waits for its own results, so that callers who write
// at the same time share a batch.
//
// The door ([Recorder.Record]) knows nothing of the store, and the batcher
// nothing of policy. What lies between is the queue: offer at one end, take at
// the other, settle when a record's fate is known. Under durability spool the
// door appends to a durable spool instead, and a pump brings what is there to
// the queue; OnFull spill sends what finds no room in the queue the same way.
package recorder

import (
	"context"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
)

// Sink stores a batch; its contract is that of audit.Store.Append. It is called
// from one goroutine at a time. A sink that ignores the end of its context
// delays the batches behind it, but never a caller past Options.Timeout. Records
// that it has taken are used again: it must not keep them.
type Sink func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error)

// Recorder is the write path. It is safe for concurrent use. It must be closed,
// or its goroutine stays.
type Recorder struct {
	opt      Options
	policy   *policy.Policy
	redactor *redact.Redactor
	level    string
	samples  bool
	sync     bool

	filtered filteredCounts
	gaps     *gapCounts // nil: no gap records
	queue    queue
	batcher  *batcher
	spooler  *spooler // nil: no spool
	spools   bool     // every event goes to the spool

	ctx     context.Context // ends when Close gives up; every write runs under it
	abort   context.CancelCauseFunc
	drained chan struct{} // closed when the batcher has ended
	frozen  chan struct{} // closed when the balance is final
	shut    chan struct{} // closed when Close begins

	closing  sync.Once
	freezing sync.Once
	final    Account
	finalErr error
}

// New starts a recorder; an error names the option that is wrong.
func New(sink Sink, opt Options) (*Recorder, error) {
	if sink == nil {
		return nil, audit.Invalid("sink", "is missing")
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	r := &Recorder{
		opt: opt, policy: opt.Policy, redactor: opt.Redactor,
		level: string(opt.Policy.Level()), samples: opt.Policy.Samples(), sync: opt.Durability == Sync,
		spools:  opt.Durability == Spool,
		drained: make(chan struct{}), frozen: make(chan struct{}), shut: make(chan struct{}),
	}
	// A trail that is switched off writes nothing, so it has no gaps to account for.
	if opt.Chained && !opt.Policy.Config().Disabled {
		r.gaps = newGapCounts(r.now)
	}
	r.ctx, r.abort = context.WithCancelCause(context.Background())
	r.queue.init(&r.opt, r.gaps)
	r.batcher = newBatcher(r, sink)
	if r.opt.disk != nil {
		r.spooler = newSpooler(r)
		go r.spooler.pump()
		go r.spooler.commitLoads()
	}
	go r.batcher.run()
	return r, nil
}

// now is the time of the door: UTC, whole microseconds.
func (r *Recorder) now() time.Time { return audit.FromMicros(r.opt.Now().UnixMicro()) }

// watched reports whether Stored is to be called.
func (r *Recorder) watched() bool {
	return r.opt.Stored != nil && (r.opt.Watched == nil || r.opt.Watched())
}
