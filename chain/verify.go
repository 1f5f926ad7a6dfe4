package chain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/annals-dev/annals/audit"
)

// VerifyOptions narrows a verification and watches its progress.
type VerifyOptions struct {
	From, To int64 // sequences, inclusive; 0 is the chain's beginning or its head
	// Checkpoints are heads that were kept elsewhere; the chain must still hold
	// them, inside the range or not.
	Checkpoints []Head
	Workers     int                        // 0 is GOMAXPROCS
	Progress    func(checked, total int64) // may be nil; in sequences; called from one goroutine at a time
}

// Source is what a verification reads: the chain, and the store for its anchors.
type Source interface {
	audit.Store
	Reader
}

// Verify re-reads and re-hashes every record of the range and checks contents,
// links, contiguity and, unless To ends it earlier, the tail. It starts
// anywhere without a false alarm, while records are being appended and while
// retention removes some. An error means that nothing was decided.
//
// The head is read once, at the start, and records after it are left alone
// unless the head still does not cover them at the end. A chain that does not
// exist gives a valid report whose Head.Sequence is 0.
//
// A hole is accounted for when runs that anchors of the chain name cover it
// without a gap, and their hashes are those of its neighbours (see
// docs/design/chain.md). What stands in such a run must be confirmed by the
// records after it: the end of a run may still be there, its beginning or its
// middle may not ([ReasonPruned]).
//
// The record before the range and the one after it are looked at, since they
// confirm the first and the last link; if one of them is absent or changed
// itself, that is not a break of this range. A To beyond the head is the head,
// and From may be at most one after it.
func Verify(ctx context.Context, src Source, key Key, opt VerifyOptions) (*Report, error) {
	report, err := verify(ctx, src, key, opt, minChunk)
	if err == nil {
		return report, nil
	}
	var ours *audit.Error
	if errors.As(err, &ours) {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, &audit.Error{Code: audit.CodeUnavailable, Message: "the verification was stopped before its end", Cause: err}
	}
	return nil, audit.Unavailable("the chain could not be read", err)
}

// minChunk is how many sequences are worth a walk of their own.
const minChunk = 4096

// verifier is what one verification shares.
type verifier struct {
	src     Source
	key     Key
	head    Head // as it was at the start
	workers int
	chunk   int64                     // sequences of one walk, at least
	lag     time.Duration             // how late the store may show what it has
	walked  map[audit.Digest]struct{} // hashes of the prune records met in the range
}

func verify(ctx context.Context, src Source, key Key, opt VerifyOptions, chunk int64) (*Report, error) {
	head, err := headOf(ctx, src, key)
	if err != nil {
		return nil, err
	}
	from, to, err := opt.bounds(key, head)
	if err != nil {
		return nil, err
	}
	v := &verifier{src: src, key: key, head: head, workers: opt.Workers, chunk: chunk, lag: src.Capabilities().Lag}
	if v.workers <= 0 {
		v.workers = runtime.GOMAXPROCS(0)
	}
	report := &Report{Key: key, Head: head, Pruned: []Pruned{}, From: from, To: to}
	if to > 0 {
		o, err := v.pass(ctx, from, to, 0, opt.Progress)
		if err != nil {
			return nil, err
		}
		report.RecordsChecked, report.FirstBroken = o.records, o.broken
		report.Pruned = within(o.pruned, from, to)
	}
	if to == head.Sequence {
		broken, err := v.beyond(ctx)
		if err != nil {
			return nil, err
		}
		report.FirstBroken = lower(report.FirstBroken, broken)
	}
	for _, cp := range opt.Checkpoints {
		broken, pruned, err := v.checkpoint(ctx, cp)
		if err != nil {
			return nil, err
		}
		report.FirstBroken = lower(report.FirstBroken, broken)
		report.CheckpointPruned = report.CheckpointPruned || pruned
	}
	if err := v.identify(ctx, report.FirstBroken); err != nil {
		return nil, err
	}
	report.Unchained, err = src.Unchained(ctx, key.Scope)
	report.Valid = report.FirstBroken == nil
	return report, err
}

// bounds gives the range to verify; 1 to 0 for an empty chain.
func (o *VerifyOptions) bounds(key Key, head Head) (from, to int64, err error) {
	reached := true // the chain goes as far as all checkpoints
	for _, cp := range o.Checkpoints {
		switch {
		case cp.Key != key:
			return 0, 0, audit.Invalid("checkpoints", "one belongs to another chain")
		case cp.Sequence < 0:
			return 0, 0, audit.Invalid("checkpoints", "one has a negative sequence")
		}
		reached = reached && cp.Sequence <= head.Sequence
	}
	switch {
	case o.From < 0:
		return 0, 0, audit.Invalid("from", "is negative")
	case o.To < 0:
		return 0, 0, audit.Invalid("to", "is negative")
	case o.To != 0 && o.To < o.From:
		return 0, 0, audit.Invalid("to", "is before from")
	// A checkpoint that the chain no longer reaches is a finding, not a wrong question.
	case o.From-1 > head.Sequence && reached:
		return 0, 0, audit.Invalid("from", "is %d, but the chain ends at %d", o.From, head.Sequence)
	}
	from, to = max(o.From, 1), head.Sequence
	if o.To != 0 {
		to = min(o.To, to)
	}
	if to > 0 {
		from = min(from, to)
	} else {
		from = 1
	}
	return from, to, nil
}

// headOf gives the chain's head, with sequence 0 when there is none.
func headOf(ctx context.Context, src Reader, key Key) (Head, error) {
	heads, err := src.Heads(ctx, &key.Scope)
	if err != nil {
		return Head{}, err
	}
	for _, h := range heads {
		if h.Key == key {
			h.Sequence = max(h.Sequence, 0)
			return h, nil
		}
	}
	return Head{Key: key}, nil
}

// errEnough ends a walk that has seen what it wanted.
var errEnough = errors.New("enough")

// maxBeyond is how many records after the head are looked at.
const maxBeyond = 100_000

// beyond finds a record after the head that the head does not come to cover.
// Every record that it sees was stored before the head is read again, so that
// head must cover them all.
func (v *verifier) beyond(ctx context.Context) (*Break, error) {
	now, err := headOf(ctx, v.src, v.key)
	if err != nil || now.Sequence == math.MaxInt64 {
		return nil, err
	}
	var seen []int64
	err = v.src.Walk(ctx, v.key, now.Sequence+1, math.MaxInt64, func(recs []*audit.Record) error {
		for _, r := range recs {
			seen = append(seen, r.Sequence)
		}
		if len(seen) >= maxBeyond {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) || len(seen) == 0 {
		return nil, err
	}
	if now, err = headOf(ctx, v.src, v.key); err != nil {
		return nil, err
	}
	for _, seq := range seen {
		if seq > now.Sequence {
			return &Break{Sequence: seq, Reason: ReasonBeyond, Detail: fmt.Sprintf("the chain's head is at %d", now.Sequence)}, nil
		}
	}
	return nil, nil
}

// checkpoint looks for the head that was kept elsewhere. pruned is set when
// retention removed its record together with the one after it, so that its hash
// is no longer known.
func (v *verifier) checkpoint(ctx context.Context, cp Head) (broken *Break, pruned bool, err error) {
	if cp.Sequence == 0 {
		return nil, false, nil
	}
	if cp.Sequence > v.head.Sequence {
		detail := fmt.Sprintf("the chain ends at %d", v.head.Sequence)
		if v.head.Sequence == 0 {
			detail = "there is no such chain any more"
		}
		return &Break{Sequence: cp.Sequence, Reason: ReasonCheckpoint, Detail: detail}, false, nil
	}
	for attempt := 0; ; attempt++ {
		found, err := v.at(ctx, v.key, cp.Sequence, cp.Sequence)
		if err != nil {
			return nil, false, err
		}
		if len(found) > 0 {
			if len(found) == 1 && found[0].intact && found[0].hash == cp.Hash {
				return nil, false, nil
			}
			return &Break{Sequence: cp.Sequence, ID: found[0].id, Reason: ReasonCheckpoint, Detail: "the record there is another one"}, false, nil
		}
		a, err := v.loadAnchors(ctx, nil)
		if err != nil {
			return nil, false, err
		}
		run, ok, _, err := a.cover(ctx, cp.Sequence, nil)
		switch {
		case err != nil:
			return nil, false, err
		case ok && run.Last == cp.Sequence && run.Hash != cp.Hash:
			return &Break{Sequence: cp.Sequence, Reason: ReasonCheckpoint, Detail: "the record that retention removed there was another one"}, false, nil
		case ok:
			return nil, run.Last != cp.Sequence, nil
		case attempt == 0 && v.lag > 0:
			if err := wait(ctx, v.lag); err != nil {
				return nil, false, err
			}
		default:
			return &Break{Sequence: cp.Sequence, Reason: ReasonCheckpoint, Detail: "there is no record any more, and no anchor accounts for it"}, false, nil
		}
	}
}

// wait lets a store catch up that shows late what it has.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
