package overload

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
)

// produce records through the library, as many events as fall due, and heals
// the store at the end.
func produce(e Engine, p plan) error {
	w := watch()
	faults, err := broken(e, p)
	if err != nil {
		return err
	}
	opt := annals.Options{
		Policy: policy.Config{Level: policy.All}, OnFull: p.OnFull,
		Capacity: 1 << 30, CapacityBytes: p.Bytes, FlushInterval: 50 * time.Millisecond,
		Timeout: callTime, WriteTimeout: p.writeTimeout(), Logger: slog.New(w.lines),
	}
	if p.OnFull == recorder.Spill {
		opt.SpoolDir, opt.SpoolBytes = filepath.Join(p.Dir, "spool"), p.Bytes
		opt.Timeout = diskTime // nobody waits for room
	}
	trail, err := annals.New(faults.Store, opt)
	if err != nil {
		return err
	}
	var told counts
	start := time.Now()
	over := func() bool { return p.over(start, told.refused.Load()+told.dropped.Load()) }
	var wg sync.WaitGroup
	failed := make(chan error, producers)
	for i := range producers {
		wg.Go(func() { failed <- told.produce(trail, i, start, over) })
	}
	wg.Wait()
	for range producers {
		if err := <-failed; err != nil {
			return err
		}
	}
	seconds := time.Since(start).Seconds()
	faults.Heal()
	r := &w.report
	r.Sent, r.Accepted, r.Refused, r.Dropped, r.Open = told.sent.Load(), told.accepted.Load(), told.refused.Load(), told.dropped.Load(), told.open.Load()
	return w.finish(trail, seconds)
}

// counts is what the producers were told.
type counts struct{ sent, accepted, refused, dropped, open atomic.Int64 }

// produce is one producer. Its events are due at even intervals; what fell due
// while it was held is sent at once.
func (c *counts) produce(trail *annals.Trail, number int, start time.Time, over func() bool) error {
	const interval = time.Second * producers / offered
	due := start.Add(interval * time.Duration(number) / producers)
	for ; !over(); due = due.Add(interval) {
		time.Sleep(time.Until(due))
		c.sent.Add(1)
		receipt, err := trail.Record(context.Background(), event(number))
		switch {
		case err == nil && receipt.Status == audit.StatusQueued:
			c.accepted.Add(1)
		case err == nil && receipt.Status == audit.StatusRejected && receipt.Reason == recorder.ReasonDropped:
			c.dropped.Add(1)
		case audit.CodeOf(err) == audit.CodeBacklog:
			c.refused.Add(1)
		case receipt.Reason == recorder.ReasonOpen: // the disk of the spool was too slow
			c.open.Add(1)
		default:
			return fmt.Errorf("an event is told %+v, %w", receipt, err)
		}
	}
	return nil
}

var filler = strings.Repeat("y", padding)

func event(producer int) *audit.Event {
	return &audit.Event{
		Action: "tool.create", Tenant: fmt.Sprintf("tenant-%d", producer%8), Actor: audit.Actor{ID: fmt.Sprintf("producer-%d", producer)},
		Payload: []byte(`{"text":"` + filler + `"}`),
	}
}
