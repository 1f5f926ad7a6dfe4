// Package crashtest kills a process that records at random moments, again and
// again on the same data, and checks at the end that every event that was
// acknowledged is stored, once, in the order of its producer, and that the
// chains verify. It is for the tests of every engine.
//
// The process is the test binary itself: TestMain calls [Main], which does not
// return where the binary was started as such a child.
package crashtest

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
)

// Engine opens the store under test.
type Engine struct {
	Name string
	// Open opens the store below dir; its data outlive the process.
	Open func(ctx context.Context, dir string) (audit.Store, error)
}

// Mode is the way on which events come in.
type Mode string

// The modes. Producers of a server are clients in the parent, which outlive it;
// those of the library are in the process that is killed.
const (
	Spool  Mode = "spool"  // the library under durability spool
	Sync   Mode = "sync"   // the library under durability sync
	Server Mode = "server" // the server with its default settings
)

// Modes are all modes.
func Modes() []Mode { return []Mode{Spool, Sync, Server} }

const (
	childEnv  = "ANNALS_CRASH_CHILD" // engine/mode/round, in a child
	dirEnv    = "ANNALS_CRASH_DIR"
	roundsEnv = "ANNALS_CRASH_ROUNDS"

	defaultRounds = 5
	producers     = 8
	batchEvery    = 10 // one call in so many has several events
	batchSize     = 3
)

// Main is the child, where this process is one.
func Main(engines ...Engine) {
	spec := os.Getenv(childEnv)
	if spec == "" {
		return
	}
	parts := strings.Split(spec, "/")
	round, err := strconv.Atoi(parts[len(parts)-1])
	if err == nil && len(parts) == 3 {
		for _, e := range engines {
			if e.Name == parts[0] {
				err = child(e, Mode(parts[1]), os.Getenv(dirEnv), round)
				break
			}
		}
	}
	// A child that comes as far as this was not killed.
	fmt.Fprintln(os.Stderr, "the child ended:", err)
	os.Exit(1)
}

// open makes the trail of a mode, in the child and at the end in the parent.
func open(ctx context.Context, e Engine, mode Mode, dir string) (*annals.Trail, error) {
	store, err := e.Open(ctx, dir)
	if err != nil {
		return nil, err
	}
	var opt annals.Options
	switch mode {
	case Server:
		cfg, err := config.Load(config.Input{Flags: map[string]string{"audit.url": dir + "/annals.db", "audit.level": "all"}})
		if err != nil {
			return nil, err
		}
		opt = cfg.ServerOptions()
		opt.SpoolDir = dir + "/spool"
	default:
		opt = annals.Options{Policy: policy.Config{Level: policy.All}, Durability: recorder.Durability(mode), FlushSize: 50, FlushInterval: 20e6}
		if mode == Spool {
			opt.SpoolDir = dir + "/spool"
		}
	}
	opt.Logger = quiet
	return annals.New(store, opt)
}

// producer makes events whose ids tell the round, the producer and the number,
// and whose content derives from the id.
type producer struct {
	round, number int
	next          int
}

// call gives the events of the next call.
func (p *producer) call() []*audit.Event {
	n := 1
	if p.next%batchEvery == batchEvery-1 {
		n = batchSize
	}
	evs := make([]*audit.Event, n)
	for i := range evs {
		evs[i] = event(name{p.round, p.number, p.next + i})
	}
	p.next += n
	return evs
}

// name is the id of an event, read.
type name struct{ round, producer, number int }

func (n name) String() string { return fmt.Sprintf("r%d-p%d-%d", n.round, n.producer, n.number) }

func parse(id string) (n name, err error) {
	if _, err = fmt.Sscanf(id, "r%d-p%d-%d", &n.round, &n.producer, &n.number); err == nil && n.String() != id {
		err = fmt.Errorf("%q is no id of a producer", id)
	}
	return n, err
}

func event(n name) *audit.Event {
	return &audit.Event{
		ExternalID: n.String(), Tenant: fmt.Sprintf("tenant-%d", n.producer%2), Action: "tool.create", ActionID: n.String(),
		Actor: audit.Actor{ID: fmt.Sprintf("producer-%d", n.producer)}, Payload: fmt.Appendf(nil, `{"of":%q}`, n.String()),
	}
}
