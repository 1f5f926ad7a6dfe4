// Package overload offers a trail ten times what its store takes, for as long as
// it is told to, and looks at the whole process meanwhile: its resident memory,
// its goroutines, its log, and at the end the account, in which every event
// must be. It is for the tests of every engine.
//
// The process is the test binary itself: TestMain calls [Main], which does not
// return where the binary was started as such a child.
package overload

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/recorder"
)

// Engine is the store under test.
type Engine struct {
	Name string
	// Open opens the store below dir.
	Open func(ctx context.Context, dir string) (audit.Store, error)
	// Memory is what the engine may have resident outside of Go's heap, in bytes:
	// the caches of one that is part of the process.
	Memory int64
}

// Fault is what is wrong with the store.
type Fault string

// The faults.
const (
	Stalled Fault = "stalled" // it answers nothing, and gives up when it is told to
	Deaf    Fault = "deaf"    // it answers nothing, whatever it is told
	Slow    Fault = "slow"    // it takes a tenth of what is offered
)

// Case is one process.
type Case struct {
	Server bool            // the server with its default settings and clients; else the library under durability memory
	OnFull recorder.OnFull // of the library; the server blocks
	Fault  Fault
}

// Name names the case.
func (c Case) Name() string {
	if c.Server {
		return "server/" + string(c.Fault)
	}
	return "library/" + string(c.OnFull) + "/" + string(c.Fault)
}

// Cases are all cases; fewer in a short run and under the race detector, which
// slows everything down and shows nothing of memory.
func Cases() (out []Case) {
	if underRace || testing.Short() {
		return []Case{
			{OnFull: recorder.Drop, Fault: Stalled}, {OnFull: recorder.Block, Fault: Slow}, {OnFull: recorder.Spill, Fault: Slow},
			{Server: true, Fault: Slow},
		}
	}
	for _, full := range []recorder.OnFull{recorder.Drop, recorder.Block, recorder.Fail, recorder.Spill} {
		out = append(out, Case{OnFull: full, Fault: Stalled}, Case{OnFull: full, Fault: Slow})
	}
	out = append(out, Case{OnFull: recorder.Drop, Fault: Deaf})
	for _, fault := range []Fault{Stalled, Slow, Deaf} {
		out = append(out, Case{Server: true, Fault: fault})
	}
	return out
}

const (
	storeRate = 2_000          // events a second that a slow store takes
	offered   = 10 * storeRate // events a second
	producers = 400            // of the library, each held for callTime at most
	callTime  = 20 * time.Millisecond
	diskTime  = time.Second // for the disk of the spool
	clients   = 200         // of the server, each held for holdTime at most
	batch     = 20          // events of a client's request
	holdTime  = 200 * time.Millisecond
	padding   = 600 // bytes of the payload of an event

	writeTime = 3 * time.Second // of an attempt on a store that stalls: enough for a whole batch once it is healed
	longest   = 2 * time.Minute // until the first event is turned away, and from the healing to the end
)

// over reports whether a load has lasted long enough: for its time, and until
// something was turned away, as before that nothing was measured. A slow
// machine needs longer for it.
func (p plan) over(start time.Time, turnedAway int64) bool {
	since := time.Since(start)
	return since > time.Duration(p.Seconds)*time.Second && (turnedAway > 0 || since > longest)
}

const (
	childEnv   = "ANNALS_OVERLOAD_CHILD" // a plan as JSON, in a child
	secondsEnv = "ANNALS_OVERLOAD_SECONDS"
	bytesEnv   = "ANNALS_OVERLOAD_BYTES"

	defaultSeconds = 3
	shortBytes     = 16 << 20 // of a run of a few seconds, so that the queue is full soon
	longBytes      = 64 << 20
	longSeconds    = 20
)

// plan is what a child is to do.
type plan struct {
	Case
	Engine  string
	Dir     string
	Seconds int
	Bytes   int64 // CapacityBytes, and what the spool may hold
}

// Main is the child, where this process is one.
func Main(engines ...Engine) {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	var p plan
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = fmt.Errorf("there is no engine %q", p.Engine)
		for _, e := range engines {
			switch {
			case e.Name != p.Engine:
			case p.Server:
				err = serve(e, p)
			default:
				err = produce(e, p)
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "the child failed:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// number reads a number from the environment.
func number(name string, otherwise int64) (int64, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%s is %q, want a whole number", name, text)
	}
	return n, nil
}

// broken wraps the store and makes it misbehave.
func broken(e Engine, p plan) (*faultstore.Faults, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	inner, err := e.Open(ctx, p.Dir)
	if err != nil {
		return nil, err
	}
	f := faultstore.Wrap(inner)
	f.On(faultstore.Append, faultstore.Ever, map[Fault]faultstore.Fault{
		Stalled: faultstore.Stall(), Deaf: faultstore.StallDeaf(), Slow: pace,
	}[p.Fault])
	return f, nil
}

// pace lets the store take so many events a second, until Heal.
func pace(ctx context.Context, c *faultstore.Call) error {
	t := time.NewTimer(time.Duration(len(c.Records)) * time.Second / storeRate)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.Healed:
	case <-ctx.Done():
		return ctx.Err()
	}
	return c.Do(ctx)
}

// writeTimeout is long enough for a slow store to take a whole batch, and short
// enough for several attempts on one that stalls.
func (p plan) writeTimeout() time.Duration {
	if p.Fault == Slow || underRace {
		return longest
	}
	return writeTime
}
