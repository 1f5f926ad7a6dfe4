package crashtest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
)

const (
	outageEnv     = "ANNALS_OUTAGE_SECONDS"
	defaultOutage = 3 * time.Second

	thinks = 5 * time.Millisecond // a producer between two calls
)

// Interruption is how the engine dies and comes back while the process lives.
type Interruption struct {
	Kill    func() error                // the engine is gone at once, as by kill -9
	Restart func(context.Context) error // it is back, with what it had
	// Connections counts those that the process holds, at most MaxConnections;
	// nil where the engine has none.
	Connections    func(context.Context) (int, error)
	MaxConnections int
}

// away is how long the engine stays away: 3 seconds, or what the environment
// says in ANNALS_OUTAGE_SECONDS.
func away(t testing.TB) time.Duration {
	text := os.Getenv(outageEnv)
	if text == "" {
		return defaultOutage
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q, want a number of seconds", outageEnv, text)
	}
	return time.Duration(n) * time.Second
}

// Outage records while the engine dies, is away and comes back, and checks that
// every event that was acknowledged is stored, once. Under Server the producers
// see nothing of it, as the spool takes their events; under Sync they repeat
// what was not acknowledged.
func Outage(t *testing.T, e Engine, mode Mode, in Interruption) {
	dir := t.TempDir()
	got := &acks{ids: map[name]bool{}}
	record(t, e, mode, dir, in, got)
	if len(got.ids) == 0 {
		t.Error("nothing was acknowledged")
	}
	if !t.Failed() {
		check(t, e, mode, dir, got)
	}
	t.Logf("%d events acknowledged, the engine was away for %s", len(got.ids), away(t))
}

// record runs the producers over the whole interruption, and closes the trail.
func record(t *testing.T, e Engine, mode Mode, dir string, in Interruption, got *acks) {
	ctx, cancel := finishing()
	defer cancel()
	trail, err := open(ctx, e, mode, dir)
	if err != nil {
		t.Fatal(err)
	}
	call, stop := caller(t, trail, mode)
	quit := make(chan struct{})
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			for p := (producer{number: i}); ; {
				evs := p.call()
				for !call(evs) {
					select {
					case <-ctx.Done():
						t.Error("an event was not acknowledged by the end")
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
				for _, ev := range evs {
					got.add(t, ev.ExternalID)
				}
				select {
				case <-quit:
					return
				case <-time.After(thinks): // or the slowest engine would be at it for minutes afterwards
				}
			}
		})
	}
	pause(ctx, time.Second)
	watch(t, ctx, in)
	if err := in.Kill(); err != nil {
		t.Error("kill:", err)
	}
	pause(ctx, away(t))
	if err := in.Restart(ctx); err != nil {
		t.Error("restart:", err)
	}
	pause(ctx, time.Second)
	watch(t, ctx, in)
	close(quit)
	wg.Wait()
	stop()
	if err := trail.Flush(ctx); err != nil {
		t.Error(err)
	}
	if account, err := trail.Close(ctx); err != nil || account.Failed > 0 || account.Unwritten > 0 {
		t.Errorf("the close: %+v, %v", account, err)
	}
}

// caller gives the way in which producers record; it says whether the events
// were acknowledged.
func caller(t *testing.T, trail *annals.Trail, mode Mode) (call func([]*audit.Event) bool, stop func()) {
	if mode != Server {
		return func(evs []*audit.Event) bool {
			for _, r := range trail.RecordBatch(t.Context(), evs) {
				if r.Err != nil {
					if !audit.Retryable(r.Err) {
						t.Error(r.Err)
					}
					return false
				}
			}
			return true
		}, func() {}
	}
	s, err := server.New(trail, server.Options{Addr: "127.0.0.1:0", Logger: quiet})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	transport := &http.Transport{MaxIdleConnsPerHost: producers}
	client := &http.Client{Transport: transport}
	url := fmt.Sprintf("http://%s/v1/events", s.Addr())
	return func(evs []*audit.Event) bool {
			answered, err := post(client, url, evs)
			if err != nil || !answered {
				t.Errorf("answered %v: %v", answered, err)
			}
			return true
		}, func() {
			cancel()
			transport.CloseIdleConnections()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
}

// watch checks the number of connections.
func watch(t *testing.T, ctx context.Context, in Interruption) {
	if in.Connections == nil {
		return
	}
	n, err := in.Connections(ctx)
	if err != nil || n > in.MaxConnections {
		t.Errorf("%d connections, at most %d: %v", n, in.MaxConnections, err)
	}
}

// pause lets the producers go on; what they did is counted, never timed.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
