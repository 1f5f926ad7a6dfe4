// Package annals is an audit trail: it records who did what on what and how it
// ended, keeps the records on the engine you already run, answers questions
// about them, and proves that nobody changed them.
//
// A [Trail] is the one thing that callers hold. It owns what every engine has
// in common: validation, limits, defaults, the write path, sealed cursors,
// and the fallbacks for what an engine cannot do by itself. Importing this
// package and one store links no other driver.
package annals

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/retention"
	"github.com/annals-dev/annals/spool"
)

// Options configure a Trail. The zero value records writes asynchronously, in
// buffered batches, with the hash chain on.
type Options struct {
	Policy policy.Config // what is recorded
	Redact redact.Config // what is made unreadable before anything else sees it

	Durability    recorder.Durability // what an acknowledgement means; "" is memory
	OnFull        recorder.OnFull     // what happens when the queue is full; "" is block
	Unbuffered    bool                // each event is its own batch
	FlushInterval time.Duration       // since the first waiting event; 0 is 30 s
	FlushSize     int                 // events that trigger a flush; 0 is 500
	Capacity      int                 // events waiting at most; 0 is 100,000
	CapacityBytes int64               // their size at most; 0 is 256 MiB
	Timeout       time.Duration       // how long a caller waits at most; 0 is 5 s
	WriteTimeout  time.Duration       // how long one attempt on the store may take; 0 is 30 s

	// SpoolDir is the directory of the spool and of the dead letters: on a local
	// disk, and of no other use; it is made with mode 0700. Durability spool and
	// OnFull spill need it. With it, whatever an earlier process left there is
	// delivered first, under any durability, and records that the store refuses
	// for good are set aside. "" is none.
	SpoolDir string
	// SpoolStore names the store that the spool feeds, see spool.Options.Store;
	// [spool.StoreName] makes such a name. Empty is not checked.
	SpoolStore string
	SpoolBytes int64 // what may wait in the spool at most; 0 is 1 GiB

	TTL         time.Duration // stamps expires_at on each record; 0 leaves it empty
	DropPayload bool          // everything but the payload is kept
	Unchained   bool          // no hash chain

	// Retention says when records are deleted; see StartRetention. Its Logger and
	// Now are those below where they are left out.
	Retention retention.Options

	// RelayInterval is how often records that transactions of the application
	// captured are brought into the store, see RecordTx; 0 is a second, negative
	// never (another process does).
	RelayInterval time.Duration

	DiscoveryKinds analytics.DiscoveryKinds // which toolkit kinds count as which; zero is the default

	Observer audit.Observer   // told of every operation on the store; may be nil
	Logger   *slog.Logger     // nil is slog.Default()
	Now      func() time.Time // nil is time.Now
}

// Trail records and answers. It is safe for concurrent use.
type Trail struct {
	store    audit.Store
	caps     audit.Capabilities
	opt      Options
	policy   *policy.Policy
	recorder *recorder.Recorder
	analyzer analytics.Analyzer
	hub      hub

	spool   *spool.Spool       // nil: none
	letters *spool.DeadLetters // nil: none

	retention *retention.Loop
	relay     *relay // nil: the store has no outbox

	secret     secret
	closeOnce  sync.Once
	closed     chan struct{}
	closeErr   error
	closeCount recorder.Account
}

// New makes a trail over a store, which it owns from then on: Close closes it.
// An error names the option that is wrong; the store is then still the caller's.
func New(store audit.Store, opt Options) (*Trail, error) {
	if opt.Logger == nil {
		opt.Logger = slog.Default()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	kinds, err := analytics.CheckKinds(opt.DiscoveryKinds)
	if err != nil {
		return nil, err
	}
	opt.DiscoveryKinds = kinds
	pol, err := policy.New(opt.Policy)
	if err != nil {
		return nil, err
	}
	red, err := redact.New(opt.Redact)
	if err != nil {
		return nil, err
	}
	t := &Trail{store: store, caps: store.Capabilities(), opt: opt, policy: pol, secret: secret{store: store}, closed: make(chan struct{})}
	sink, fresh, err := t.sinks()
	if err != nil {
		return nil, err
	}
	if native, ok := audit.As[analytics.Analyzer](store); ok {
		t.analyzer = native
	} else {
		t.analyzer = analytics.Stream(scanner{t})
	}
	if t.retention, err = t.newRetention(); err != nil {
		return nil, err
	}
	if err := t.openSpool(); err != nil {
		return nil, err
	}
	t.recorder, err = recorder.New(sink, recorder.Options{
		Policy: pol, Redactor: red,
		Durability: t.opt.Durability, OnFull: t.opt.OnFull, Unbuffered: opt.Unbuffered,
		Spool: t.spool, DeadLetters: t.letters, Fresh: fresh,
		FlushInterval: opt.FlushInterval, FlushSize: opt.FlushSize,
		Capacity: opt.Capacity, CapacityBytes: opt.CapacityBytes,
		Timeout: opt.Timeout, WriteTimeout: opt.WriteTimeout,
		TTL: opt.TTL, DropPayload: opt.DropPayload, MaxRecord: t.caps.RecordBytes,
		Chained: !opt.Unchained, Logger: opt.Logger, Now: opt.Now, Stored: t.hub.publish, Watched: t.hub.watched,
	})
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), spoolGrace)
		defer cancel()
		_ = t.closeSpool(ctx) // what is in it stays there
		return nil, err
	}
	t.startRelay()
	return t, nil
}

// sinks give the store's way of appending, chained or plain, and the one for
// records with fresh ids, nil where it is no other.
func (t *Trail) sinks() (usual, fresh recorder.Sink, err error) {
	if !t.opt.Unchained {
		c, ok := audit.As[chain.Appender](t.store)
		if !ok {
			return nil, nil, audit.Unsupported("the engine %s has no hash chain: switch the chain off or choose another engine", t.caps.Engine)
		}
		if f, ok := audit.As[chain.FreshAppender](t.store); ok {
			fresh = t.observed(f.AppendChainedFresh)
		}
		return t.observed(c.AppendChained), fresh, nil
	}
	if f, ok := audit.As[audit.FreshAppender](t.store); ok {
		fresh = t.observed(f.AppendFresh)
	}
	return t.observed(t.store.Append), fresh, nil
}

func (t *Trail) observed(sink recorder.Sink) recorder.Sink {
	return func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
		done := t.observe(ctx, "append")
		results, err := sink(ctx, recs)
		done(len(recs), err)
		return results, err
	}
}

// observe starts the clock of one operation; the function it returns stops it.
func (t *Trail) observe(ctx context.Context, name string) func(records int, err error) {
	if t.opt.Observer == nil {
		return func(int, error) {}
	}
	start := time.Now()
	return func(records int, err error) {
		t.opt.Observer.Observe(ctx, audit.Operated{Name: name, Records: records, Took: time.Since(start), Err: err})
	}
}

// Capabilities says what the engine promises.
func (t *Trail) Capabilities() audit.Capabilities { return t.caps }

// Chained reports whether records are linked in a hash chain.
func (t *Trail) Chained() bool { return !t.opt.Unchained }

// Policy gives the recording policy in force, with its defaults filled in.
func (t *Trail) Policy() policy.Config { return t.policy.Config() }

// Explain says whether the event would be recorded and which rule decides.
func (t *Trail) Explain(ev *audit.Event) policy.Explanation { return t.policy.Explain(ev) }

// Stats is a snapshot of the write path for metrics.
func (t *Trail) Stats() recorder.Stats { return t.recorder.Stats() }

// State tells the engine's state for people: sizes, counts, file names.
func (t *Trail) State(ctx context.Context) (map[string]string, error) {
	if s, ok := audit.As[audit.Stater](t.store); ok {
		return s.State(ctx)
	}
	return map[string]string{}, nil
}

// Ping checks that the engine answers.
func (t *Trail) Ping(ctx context.Context) error {
	if p, ok := audit.As[audit.Pinger](t.store); ok {
		return p.Ping(ctx)
	}
	_, err := t.store.Query(ctx, &audit.Query{Limit: 1})
	return err
}

// Flush writes what is waiting and returns when the store has it.
func (t *Trail) Flush(ctx context.Context) error { return t.recorder.Flush(ctx) }

// Close refuses new events, writes what is waiting, brings what committed
// transactions captured into the store, closes the spool and the store, and
// gives the exact balance: Account.Unwritten is what ctx left no time for, and
// Account.Spooled what is safe in the spool for the next start. Close is safe
// to call more than once.
func (t *Trail) Close(ctx context.Context) (recorder.Account, error) {
	t.closeOnce.Do(func() {
		swept := make(chan error, 1)
		go func() { swept <- t.retention.Close(ctx) }()
		t.closeCount, t.closeErr = t.recorder.Close(ctx)
		t.report(t.closeCount)
		if t.relay != nil {
			t.relay.close(ctx)
		}
		close(t.closed)
		if err := t.closeSpool(ctx); err != nil && t.closeErr == nil {
			t.closeErr = err
		}
		if err := <-swept; err != nil && t.closeErr == nil {
			t.closeErr = err
		}
		if err := t.store.Close(); err != nil && t.closeErr == nil {
			t.closeErr = err
		}
	})
	return t.closeCount, t.closeErr
}
