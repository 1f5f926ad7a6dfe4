package clickhouse

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/storetest"
)

// cutter stands between a store and its server, and cuts connections.
type cutter struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	odds  int // of 100 connections so many are cut after some bytes
	conns sync.WaitGroup
}

func newCutter(tb testing.TB, target string) *cutter {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	c := &cutter{listener: l, target: target}
	c.conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			c.conns.Go(func() { c.serve(in) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		c.conns.Wait()
	})
	return c
}

func (c *cutter) set(odds int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.odds = odds
}

// serve copies both ways. A cut comes on the way to the server or on the way
// back, so that an answer is lost to what was done.
func (c *cutter) serve(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer out.Close()
	c.mu.Lock()
	up, down := int64(1<<62), int64(1<<62)
	if rand.N(100) < c.odds {
		if rand.N(2) == 0 {
			up = 500 + rand.Int64N(60_000)
		} else {
			down = 200 + rand.Int64N(6_000)
		}
	}
	c.mu.Unlock()
	var both sync.WaitGroup
	copyTo := func(to, from net.Conn, limit int64) {
		_, _ = io.CopyN(to, from, limit)
		_ = in.Close()
		if limit == down && down < 1<<62 {
			time.Sleep(time.Duration(rand.N(5)) * time.Millisecond) // the server may still be at it, or not
		}
		_ = out.Close()
	}
	both.Go(func() { copyTo(out, in, up) })
	both.Go(func() { copyTo(in, out, down) })
	both.Wait()
}

// Whatever is cut, a batch that is delivered until it is acknowledged is stored
// once, and the chains verify.
func TestCutConnections(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	url := enginetest.ClickHouse(t)
	address := strings.Split(strings.TrimPrefix(url, "clickhouse://"), "/")[0]
	c := newCutter(t, address)
	s := opened(t, strings.Replace(url, address, c.listener.Addr().String(), 1), nil)
	c.set(60)
	total, failures := 0, 0
	for range rounds {
		recs := made(t, 20+rand.N(200))
		total += len(recs)
		for attempt := 0; ; attempt++ {
			again := storetest.CloneAll(recs)
			results, err := s.AppendChained(t.Context(), again)
			if err == nil {
				for i, r := range results {
					if r.Err != nil || r.Sequence == 0 {
						t.Fatalf("record %d: %+v", i, r)
					}
				}
				break
			}
			if !audit.Retryable(err) {
				t.Fatal(err)
			}
			failures++
			if attempt > 50 {
				t.Fatal("no attempt succeeds:", err)
			}
		}
	}
	c.set(0)
	look := opened(t, url, nil)
	if n, err := look.Count(t.Context(), &audit.Query{}); err != nil || n != int64(total) {
		t.Errorf("%d records are stored, %v, want %d", n, err, total)
	}
	if _, n := verified(t, look); n != int64(total) {
		t.Errorf("%d records are in chains, want %d", n, total)
	}
	t.Logf("%d calls failed of %d", failures, rounds+failures)
}
