package conformance

import (
	"flag"
	"slices"
	"strconv"
	"testing"

	"go.uber.org/goleak"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		_ = checks.Value.Set(strconv.Itoa(storetest.Rounds(100))) // a number is always valid
	}
	// The engines mostly wait, for their disks and for what they show later.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("6")
	}
	goleak.VerifyTestMain(enginetest.Runner(m)) // a closed engine must leave no goroutine behind
}

func TestConformance(t *testing.T) {
	for name, harness := range engines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			skipServers(t, name)
			t.Run("bare", func(t *testing.T) { storetest.Run(t, harness(t)) })
			if testing.Short() && name == "postgres" {
				return // behind wrappers in full runs only
			}
			t.Run("wrapped", func(t *testing.T) { storetest.Run(t, wrapped(harness(t))) })
		})
	}
}

// skipServers leaves the engines whose servers take their time out of short runs.
func skipServers(t *testing.T, engine string) {
	t.Helper()
	if testing.Short() && !slices.Contains([]string{"memory", "sqlite", "postgres"}, engine) {
		t.Skip("in full runs only: a server takes its time")
	}
}

// wrapper hides every optional interface of the store that it holds, so that
// only audit.As can find them.
type wrapper struct{ audit.Store }

func (w wrapper) Unwrap() audit.Store { return w.Store }

// wrapped gives the harness of the engine behind two wrappers.
func wrapped(h storetest.Harness) storetest.Harness {
	wrap := func(s audit.Store) audit.Store { return wrapper{wrapper{s}} }
	unwrap := func(s audit.Store) audit.Store { return s.(wrapper).Store.(wrapper).Store }
	bare := h
	h.New = func(tb testing.TB) audit.Store { return wrap(bare.New(tb)) }
	if bare.Reopen != nil {
		h.Reopen = func(tb testing.TB, s audit.Store) audit.Store { return wrap(bare.Reopen(tb, unwrap(s))) }
	}
	if bare.Settle != nil {
		h.Settle = func(tb testing.TB, s audit.Store) {
			if _, ok := s.(wrapper); ok { // the suite may hold it in a struct of its own
				s = unwrap(s)
			}
			bare.Settle(tb, s)
		}
	}
	return h
}
