package enginetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// The times a start may take, the fetch of its programs included, and a drop.
const (
	launchPatience = 5 * time.Minute
	dropPatience   = 30 * time.Second
)

// running is a server of any engine.
type running interface {
	Log() string
	Close() error
	title() string
}

// own starts a server for this test alone, and closes it when the test ends. When
// the test failed, its log holds the last of the server's.
func own[S running](tb testing.TB, launch func(context.Context) (S, error)) S {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), launchPatience)
	defer cancel()
	s, err := launch(ctx)
	if err != nil {
		giveUp(tb, err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Log(s.title() + "'s log:\n" + s.Log())
		}
	})
	return s
}

// shared are the servers of one engine that the test binary shares, by their
// version.
type shared[S running] struct {
	single bool // another version takes the place of the one before

	mu      sync.Mutex
	servers map[string]S
	failed  map[string]error // not every test waits for the same failure
}

// server gives the one of a version; the first test that asks starts it.
func (c *shared[S]) server(tb testing.TB, version string, launch func(context.Context) (S, error)) S {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), launchPatience)
	defer cancel()
	s, err := c.find(ctx, version, launch)
	if err != nil {
		giveUp(tb, err)
	}
	return s
}

func (c *shared[S]) find(ctx context.Context, version string, launch func(context.Context) (S, error)) (s S, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.servers[version]; ok {
		return s, nil
	}
	if c.servers == nil {
		c.servers, c.failed = map[string]S{}, map[string]error{}
	}
	if err = c.failed[version]; err != nil {
		return s, err
	}
	if c.single {
		err = c.closeAll()
	}
	if err == nil {
		s, err = launch(ctx)
	}
	if err != nil {
		c.failed[version] = err
		return s, err
	}
	c.servers[version] = s
	return s, nil
}

// stop ends them all.
func (c *shared[S]) stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.failed)
	return c.closeAll()
}

func (c *shared[S]) closeAll() (err error) {
	for _, s := range c.servers {
		err = errors.Join(err, s.Close())
	}
	clear(c.servers)
	return err
}
