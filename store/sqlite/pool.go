package sqlite

import (
	"context"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// pool holds the connections that read.
type pool struct {
	open    func() (*conn, error)
	closing <-chan struct{}
	slots   chan struct{} // one for each connection that may be in use

	mu   sync.Mutex
	idle []*conn
}

func newPool(size int, closing <-chan struct{}, open func() (*conn, error)) *pool {
	p := &pool{open: open, closing: closing, slots: make(chan struct{}, size)}
	for range size {
		p.slots <- struct{}{}
	}
	return p
}

// take waits for a connection.
func (p *pool) take(ctx context.Context) (*conn, error) {
	select {
	case <-p.closing:
		return nil, audit.ErrClosed
	default:
	}
	select {
	case <-p.closing:
		return nil, audit.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.slots:
		return p.get()
	}
}

// try gives a connection if one is free.
func (p *pool) try() *conn {
	select {
	case <-p.closing:
	case <-p.slots:
		if c, err := p.get(); err == nil {
			return c
		}
	default:
	}
	return nil
}

func (p *pool) get() (*conn, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := p.open()
	if err != nil {
		p.slots <- struct{}{}
	}
	return c, err
}

// put gives a connection back; one that is broken is closed.
func (p *pool) put(c *conn, broken bool) {
	if broken {
		_ = c.Close()
	} else {
		p.mu.Lock()
		p.idle = append(p.idle, c)
		p.mu.Unlock()
	}
	p.slots <- struct{}{}
}

// close waits for the connections in use and closes all.
func (p *pool) close() (err error) {
	for range cap(p.slots) {
		<-p.slots
	}
	for _, c := range p.idle {
		if e := c.Close(); err == nil {
			err = e
		}
	}
	p.idle = nil
	return err
}
