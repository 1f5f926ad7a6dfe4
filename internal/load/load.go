package load

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Result is what a load found.
type Result struct {
	Users   int     `json:"users"`
	Seed    uint64  `json:"seed"`
	Run     uint32  `json:"run"`
	Seconds float64 `json:"seconds"` // from the first user to the last answer

	Requests     int64                  `json:"requests"` // that were answered with 200, questions included
	PerSecond    float64                `json:"requests_per_second"`
	Sent         int64                  `json:"events_sent"` // each counts once, however often it was sent
	Acknowledged int64                  `json:"events_acknowledged"`
	Statuses     map[audit.Status]int64 `json:"statuses"`        // of events: recorded, queued, duplicate, filtered
	Rejected     map[string]int64       `json:"events_rejected"` // that the server refused for good, by reason

	Errors   map[string]int64  `json:"errors"` // attempts that failed, by kind: status 429, reset, timeout …
	Examples map[string]string `json:"error_examples,omitempty"`
	GaveUp   int64             `json:"requests_given_up"` // after all attempts
	Open     int64             `json:"events_open"`       // of those: nobody knows whether the server has them

	Posts     Latency `json:"posts"` // of attempts that were answered with 200
	Questions Latency `json:"questions"`

	Connections int64 `json:"connections"` // that were opened; as many as users where none broke

	Server *ServerFigures     `json:"server,omitempty"` // nil where the server has no metrics
	Probe  map[string]float64 `json:"probe,omitempty"`  // how much Options.Probe grew
	Check  *Check             `json:"check,omitempty"`  // nil where it was left out
}

// Err says what went wrong, in one line; nil is a load without an error in
// which every acknowledged event is stored exactly once.
func (r *Result) Err() error {
	var faults []string
	add := func(n int64, what string) {
		if n > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", n, what))
		}
	}
	var failed, rejected int64
	for _, n := range r.Errors {
		failed += n
	}
	for _, n := range r.Rejected {
		rejected += n
	}
	add(failed, "attempts failed ("+strings.Join(slices.Sorted(maps.Keys(r.Errors)), ", ")+")")
	add(rejected, "events were rejected ("+strings.Join(slices.Sorted(maps.Keys(r.Rejected)), ", ")+")")
	if c := r.Check; c != nil {
		add(c.Missing, "acknowledged events are not stored")
		add(c.Twice, "events are stored more than once")
		add(max(0, c.Unacknowledged-r.Open), "events are stored that were not accepted")
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New(strings.Join(faults, "; "))
}

// Run drives the server and gives what it found; an error is a load that could
// not be made, or ctx's. What went wrong during the load is in [Result.Err].
func Run(ctx context.Context, opt Options) (*Result, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if err := ReserveFiles(opt.Users); err != nil {
		return nil, err
	}
	metrics := newSampler(&opt)
	defer metrics.close()
	metrics.begin(ctx)
	probed, err := opt.probe(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now().Truncate(time.Microsecond)
	count := newTally()
	drive(ctx, &opt, count, metrics)
	r := &Result{Users: opt.Users, Seed: opt.Seed, Run: opt.Run, Seconds: time.Since(start).Seconds()}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	count.into(r)
	r.PerSecond = float64(r.Requests) / r.Seconds
	if opt.NoCheck {
		metrics.drained(ctx, opt.Drain)
	} else {
		c := checker{opt: &opt, start: start, ids: count.ids.sorted()}
		if r.Check, err = c.check(ctx, metrics.drained); err != nil {
			return nil, err
		}
	}
	if metrics.before != nil {
		r.Server = &metrics.figures
	}
	after, err := opt.probe(ctx)
	if err != nil {
		return nil, err
	}
	for name, n := range after {
		if r.Probe == nil {
			r.Probe = map[string]float64{}
		}
		r.Probe[name] = n - probed[name]
	}
	return r, nil
}

func (o *Options) probe(ctx context.Context) (map[string]float64, error) {
	if o.Probe == nil {
		return nil, nil
	}
	return o.Probe(ctx)
}

// drive lets the users live.
func drive(ctx context.Context, opt *Options, count *tally, metrics *sampler) {
	over, end := context.WithTimeout(ctx, opt.RampUp+opt.Duration)
	defer end()
	if opt.Stop != nil {
		go func() {
			select {
			case <-opt.Stop:
				end()
			case <-over.Done():
			}
		}()
	}
	var users, watchers sync.WaitGroup
	watching, stop := context.WithCancel(ctx)
	watchers.Go(func() { metrics.watch(watching) })
	if opt.Progress != nil {
		watchers.Go(func() { count.report(watching, opt.Progress) })
	}
	for i := range opt.Users {
		users.Go(func() {
			newUser(opt, count, i).run(ctx, over, time.Duration(float64(opt.RampUp)*float64(i)/float64(opt.Users)))
		})
	}
	users.Wait()
	stop()
	watchers.Wait()
}

// report tells how far the load is, until ctx ends.
func (t *tally) report(ctx context.Context, progress func(Progress)) {
	start := time.Now()
	for wait(ctx, 250*time.Millisecond) {
		progress(Progress{
			Elapsed: time.Since(start), Requests: t.requests.Load(),
			Acknowledged: t.acknowledged.Load(), Errors: t.faults.Load(),
		})
	}
}
