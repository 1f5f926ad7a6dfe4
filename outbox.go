package annals

import (
	"context"
	"time"

	"github.com/annals-dev/annals/audit"
)

// relayBatch is how many records one transaction of the relay moves.
const relayBatch = 1000

// DefaultRelayInterval is how often records that were captured in transactions
// are looked for.
const DefaultRelayInterval = time.Second

// RecordTx reports one event as part of a transaction of the application: box
// is the outbox of the trail's own store in that transaction, e.g. postgres.Tx
// or sqlite.Tx. When the transaction is rolled back the event never was; when it
// is committed the event comes into the store exactly once, in the chain as any
// other, within about Options.RelayInterval.
//
// The event goes the whole way of [Trail.Record], policy and redaction first.
// StatusQueued is what it comes back with; an error means that it was not
// captured. Where the database refused it the transaction should be rolled back.
func (t *Trail) RecordTx(ctx context.Context, box audit.Outbox, ev *audit.Event) (audit.Receipt, error) {
	rec, receipt := t.recorder.Prepare(ev)
	if rec == nil {
		return receipt, receipt.Err
	}
	if err := box.Enqueue(ctx, []*audit.Record{rec}); err != nil {
		return audit.Receipt{ID: receipt.ID, Status: audit.StatusRejected, Reason: string(audit.CodeOf(err)), Err: err}, err
	}
	return receipt, nil
}

// relay brings what transactions captured into the store.
type relay struct {
	t      *Trail
	from   audit.Relayer
	stop   chan struct{}
	done   chan struct{}
	cancel context.CancelFunc
	failed bool // the last attempt did
}

// startRelay begins to look for captured records where the store has an outbox.
// A trail that is switched off writes nothing, so it moves nothing either.
func (t *Trail) startRelay() {
	from, ok := audit.As[audit.Relayer](t.store)
	if !ok || t.opt.RelayInterval < 0 || t.opt.Policy.Disabled {
		return
	}
	interval := t.opt.RelayInterval
	if interval == 0 {
		interval = DefaultRelayInterval
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.relay = &relay{t: t, from: from, stop: make(chan struct{}), done: make(chan struct{}), cancel: cancel}
	go t.relay.run(ctx, interval)
}

func (r *relay) run(ctx context.Context, interval time.Duration) {
	defer close(r.done)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-tick.C:
		}
		if err := r.drain(ctx); audit.CodeOf(err) == audit.CodeUnsupported {
			return // a store that is only read
		}
	}
}

// close moves what is there, as long as ctx lasts; what is left waits in the
// outbox for the next start.
func (r *relay) close(ctx context.Context) {
	close(r.stop)
	defer r.cancel()
	select {
	case <-r.done:
		_ = r.drain(ctx) // which logs
	case <-ctx.Done():
		r.cancel()
		<-r.done
	}
}

// drain moves what is there.
func (r *relay) drain(ctx context.Context) error {
	for ctx.Err() == nil {
		done := r.t.observe(ctx, "relay")
		out, err := r.from.Relay(ctx, relayBatch, r.t.Chained())
		if err != nil || out.Records > 0 {
			done(out.Records, err)
		}
		r.report(ctx, out, err)
		if err != nil || out.Records == 0 {
			return err
		}
	}
	return ctx.Err()
}

// report tells those who watch, and logs when the relay fails and when it is
// well again.
func (r *relay) report(ctx context.Context, out audit.Relayed, err error) {
	log := r.t.opt.Logger
	for _, why := range out.Refused {
		log.Error("a record that a transaction captured cannot be stored", "err", why)
	}
	if len(out.Stored) > 0 && r.t.hub.watched() {
		r.t.hub.publish(out.Stored)
	}
	failed := err != nil && audit.CodeOf(err) != audit.CodeUnsupported && ctx.Err() == nil
	if failed != r.failed {
		r.failed = failed
		if failed {
			log.Warn("records that transactions captured wait in the outbox", "err", err)
		} else if ctx.Err() == nil {
			log.Info("records that transactions captured are stored again")
		}
	}
}
