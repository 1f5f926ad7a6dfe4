package dashboard

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

const (
	runsAtOnce = 2  // verifications under way at most: each may use every core
	runsKept   = 20 // verifications remembered
)

// runs are the verifications that people started here. They are kept in memory:
// a report is about a moment, and is quickly made again.
type runs struct {
	trail *annals.Trail
	opt   Options

	mu  sync.Mutex
	all []*run // the newest first
}

func newRuns(trail *annals.Trail, opt Options) *runs { return &runs{trail: trail, opt: opt} }

// run is one verification, of one scope or of several in turn.
type run struct {
	ID       string
	Scopes   []audit.Scope
	From, To int64 // sequences; 0 is the chain's beginning or its head
	Started  time.Time

	cancel context.CancelFunc

	mu       sync.Mutex
	progress progress
}

// progress is how far a run has come.
type progress struct {
	Running bool
	Stopped bool // by a person, or with the server
	Ended   time.Time
	Scope   int   // of the scopes, how many are done
	Checked int64 // of the chain under way
	Total   int64
	Results []scopeResult // of the scopes that are done
}

// scopeResult is what came out for one scope.
type scopeResult struct {
	audit.Scope
	Reports []*chain.Report
	Failed  string // why nothing was decided
}

// verdict counts what a run found.
type verdict struct{ Valid, Broken, Failed, Records int64 }

// start begins a run. At most runsAtOnce run at a time; more are ErrBacklog.
func (rs *runs) start(scopes []audit.Scope, from, to int64) (*run, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	busy := 0
	for _, r := range rs.all {
		if r.now().Running {
			busy++
		}
	}
	if busy >= runsAtOnce {
		return nil, &audit.Error{Code: audit.CodeBacklog, Message: "Two verifications are under way. Wait for one to end, or stop it."}
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &run{
		ID: audit.NewID().String(), Scopes: scopes, From: from, To: to, Started: rs.opt.Now(),
		cancel: cancel, progress: progress{Running: true},
	}
	rs.all = append([]*run{r}, rs.all...)
	for i := len(rs.all) - 1; len(rs.all) > runsKept && i > 0; i-- {
		if !rs.all[i].now().Running {
			rs.all = slices.Delete(rs.all, i, i+1)
		}
	}
	go rs.work(ctx, r)
	return r, nil
}

// work verifies one scope after the other.
func (rs *runs) work(ctx context.Context, r *run) {
	defer r.cancel()
	if rs.opt.Stopping != nil {
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-rs.opt.Stopping:
				r.cancel()
			case <-ended:
			}
		}()
	}
	for i, scope := range r.Scopes {
		reports, err := rs.trail.Verify(ctx, scope, chain.VerifyOptions{From: r.From, To: r.To, Progress: func(checked, total int64) {
			r.change(func(p *progress) { p.Checked, p.Total = checked, total })
		}})
		if ctx.Err() != nil {
			r.change(func(p *progress) { p.Stopped = true })
			break
		}
		result := scopeResult{Scope: scope, Reports: reports}
		if err != nil {
			var field string
			if _, field, result.Failed = public(err); field != "" {
				result.Failed = field + ": " + result.Failed
			}
			if audit.Retryable(err) {
				rs.opt.Logger.WarnContext(ctx, "verification failed", "namespace", scope.Namespace, "tenant", scope.Tenant, "error", err)
			}
		}
		r.change(func(p *progress) {
			p.Results = append(p.Results, result)
			p.Scope, p.Checked, p.Total = i+1, 0, 0
		})
	}
	r.change(func(p *progress) { p.Running, p.Ended = false, rs.opt.Now() })
}

// find gives a run by its id.
func (rs *runs) find(id string) (*run, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, &audit.Error{Code: audit.CodeNotFound, Message: "This verification is not known any more: the newest ones are kept until the server stops."}
}

// recent gives the runs, the newest first.
func (rs *runs) recent() []*run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return slices.Clone(rs.all)
}

func (r *run) change(fn func(*progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn(&r.progress)
}

// now gives a copy of the progress.
func (r *run) now() progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.progress
	p.Results = slices.Clip(p.Results) // which only ever grows
	return p
}

// Verdict counts the results.
func (p progress) Verdict() (v verdict) {
	for _, s := range p.Results {
		if s.Failed != "" {
			v.Failed++
		}
		for _, r := range s.Reports {
			v.Records += r.RecordsChecked
			if r.Valid {
				v.Valid++
			} else {
				v.Broken++
			}
		}
	}
	return v
}
