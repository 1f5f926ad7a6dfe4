package dashboard_test

import (
	"context"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/memory"
)

// plainStore is an engine that can do the least: only the port itself.
type plainStore struct{ inner *memory.Store }

func (s plainStore) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return s.inner.Append(ctx, recs)
}
func (s plainStore) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	return s.inner.Get(ctx, ref)
}
func (s plainStore) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	return s.inner.Query(ctx, q)
}
func (s plainStore) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	return s.inner.DeleteExpired(ctx, cut, limit)
}
func (s plainStore) Capabilities() audit.Capabilities { return audit.Capabilities{Engine: "plain"} }
func (s plainStore) Close() error                     { return s.inner.Close() }

// countingStore counts scans.
type countingStore struct {
	*memory.Store
	scans *atomic.Int64
}

func (s *countingStore) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	s.scans.Add(1)
	return s.Store.Scan(ctx, q, fn)
}

// slowStore asks before each scan whether there may be one.
type slowStore struct {
	*memory.Store
	scan func(ctx context.Context) error
}

func (s *slowStore) Scan(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error {
	if err := s.scan(ctx); err != nil {
		return err
	}
	return s.Store.Scan(ctx, q, fn)
}

// downStore answers no reader.
type downStore struct{ *memory.Store }

func (s *downStore) down() error {
	return audit.Unavailable("the engine does not answer", errText("10.1.2.3"))
}
func (s *downStore) Query(context.Context, *audit.Query) (*audit.Page, error) {
	return nil, s.down()
}
func (s *downStore) Ping(context.Context) error                            { return s.down() }
func (s *downStore) State(context.Context) (map[string]string, error)      { return nil, s.down() }
func (s *downStore) Get(context.Context, audit.Ref) (*audit.Record, error) { return nil, s.down() }

// tamperedStore shows chains with a record changed, as somebody with access to
// the engine might leave it.
type tamperedStore struct {
	*memory.Store
	change func(*audit.Record)
	hold   chan struct{} // walks wait for it; nil is no wait
}

func (s *tamperedStore) Walk(ctx context.Context, key chain.Key, from, to int64, fn func([]*audit.Record) error) error {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s.Store.Walk(ctx, key, from, to, func(recs []*audit.Record) error {
		out := make([]*audit.Record, len(recs))
		for i, r := range recs {
			c := *r
			if s.change != nil {
				s.change(&c)
			}
			out[i] = &c
		}
		return fn(out)
	})
}

func (s *tamperedStore) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	page, err := s.Store.Query(ctx, q)
	if err != nil || s.change == nil {
		return page, err
	}
	for i, r := range page.Records {
		c := *r
		s.change(&c)
		page.Records[i] = &c
	}
	return page, nil
}

func (s *tamperedStore) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	r, err := s.Store.Get(ctx, ref)
	if err != nil || s.change == nil {
		return r, err
	}
	c := *r
	s.change(&c)
	return &c, nil
}

type errText string

func (e errText) Error() string { return string(e) }
