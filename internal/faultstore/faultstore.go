// Package faultstore wraps a store so that it misbehaves as a script says:
// it fails, stalls, is slow, loses its answer, refuses single records, is full,
// panics, or swallows a batch for ever. It is for tests of what stands before a
// store, and never part of the program.
package faultstore

import (
	"context"
	"sync"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// Op names the operations that a script can reach. What is not among them goes
// to the wrapped store by Unwrap, untouched.
type Op string

// The operations.
const (
	Append        Op = "append" // chained or not
	Get           Op = "get"
	Query         Op = "query"
	DeleteExpired Op = "delete_expired"
	Ping          Op = "ping"
	Load          Op = "load"
	Save          Op = "save"
)

// Ever is the number of calls of a fault that does not pass by itself.
const Ever = -1

// Faults is the script of one wrapped store. It is safe for concurrent use.
type Faults struct {
	// Store misbehaves. It has the capabilities chain.Appender and audit.Keeper
	// where the wrapped store has them, and audit.Pinger always.
	Store audit.Store

	mu    sync.Mutex
	rules []*rule
	calls map[Op]int
	heal  chan struct{} // closed by Heal, so that what stalls goes on
}

// rule is one line of the script.
type rule struct {
	op    Op
	times int
	fault Fault
}

// Wrap gives the script of a store that behaves well until it is told not to.
func Wrap(inner audit.Store) *Faults {
	f := &Faults{calls: map[Op]int{}, heal: make(chan struct{})}
	p := plain{f: f, inner: inner}
	appender, chained := audit.As[chain.Appender](inner)
	keeper, keeps := audit.As[audit.Keeper](inner)
	switch {
	case chained && keeps:
		f.Store = &struct {
			plain
			linking
			keeping
		}{p, linking{f, appender}, keeping{f, keeper}}
	case chained:
		f.Store = &struct {
			plain
			linking
		}{p, linking{f, appender}}
	case keeps:
		f.Store = &struct {
			plain
			keeping
		}{p, keeping{f, keeper}}
	default:
		f.Store = &p
	}
	return f
}

// On adds a line to the script: the next calls of op, as many as times says,
// meet the fault. Lines of one operation follow one another.
func (f *Faults) On(op Op, times int, fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = append(f.rules, &rule{op, times, fault})
}

// Heal ends the script: what stalls goes on, and every later call is answered
// by the wrapped store alone.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
	close(f.heal)
	f.heal = make(chan struct{})
}

// Calls gives how often op was called.
func (f *Faults) Calls(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// Call is one operation on its way to the wrapped store.
type Call struct {
	Op      Op
	Records []*audit.Record // of an append
	Healed  <-chan struct{} // closed by Heal

	results []audit.Result
	do      func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error)
}

// Do lets the wrapped store do it.
func (c *Call) Do(ctx context.Context) (err error) {
	c.results, err = c.do(ctx, c.Records)
	return err
}

// run takes a call through the script.
func (f *Faults) run(ctx context.Context, c *Call) error {
	f.mu.Lock()
	f.calls[c.Op]++
	c.Healed = f.heal
	var fault Fault
	for i, r := range f.rules {
		if r.op != c.Op {
			continue
		}
		fault = r.fault
		if r.times > 0 {
			if r.times--; r.times == 0 {
				f.rules = append(f.rules[:i:i], f.rules[i+1:]...)
			}
		}
		break
	}
	f.mu.Unlock()
	if fault == nil {
		return c.Do(ctx)
	}
	return fault(ctx, c)
}

// one takes a call without records through the script.
func (f *Faults) one(ctx context.Context, op Op, do func(ctx context.Context) error) error {
	return f.run(ctx, &Call{Op: op, do: func(ctx context.Context, _ []*audit.Record) ([]audit.Result, error) {
		return nil, do(ctx)
	}})
}
