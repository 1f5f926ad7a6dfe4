package faultstore

import (
	"context"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// plain is what every store can do.
type plain struct {
	f     *Faults
	inner audit.Store
}

// Unwrap implements audit.Unwrapper.
func (p *plain) Unwrap() audit.Store { return p.inner }

// Append implements audit.Store.
func (p *plain) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return appendWith(ctx, p.f, recs, p.inner.Append)
}

// AppendFresh implements audit.FreshAppender, by Append where the wrapped store
// has no other way: what fails must not be passed by.
func (p *plain) AppendFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	if fresh, ok := audit.As[audit.FreshAppender](p.inner); ok {
		return appendWith(ctx, p.f, recs, fresh.AppendFresh)
	}
	return p.Append(ctx, recs)
}

// Get implements audit.Store.
func (p *plain) Get(ctx context.Context, ref audit.Ref) (rec *audit.Record, err error) {
	err = p.f.one(ctx, Get, func(ctx context.Context) (err error) {
		rec, err = p.inner.Get(ctx, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}

// Query implements audit.Store.
func (p *plain) Query(ctx context.Context, q *audit.Query) (page *audit.Page, err error) {
	err = p.f.one(ctx, Query, func(ctx context.Context) (err error) {
		page, err = p.inner.Query(ctx, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	return page, nil
}

// DeleteExpired implements audit.Store.
func (p *plain) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (n int, err error) {
	err = p.f.one(ctx, DeleteExpired, func(ctx context.Context) (err error) {
		n, err = p.inner.DeleteExpired(ctx, cut, limit)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Ping implements audit.Pinger, by a question where the wrapped store has none.
func (p *plain) Ping(ctx context.Context) error {
	return p.f.one(ctx, Ping, func(ctx context.Context) error {
		if pinger, ok := audit.As[audit.Pinger](p.inner); ok {
			return pinger.Ping(ctx)
		}
		_, err := p.inner.Query(ctx, &audit.Query{Limit: 1})
		return err
	})
}

// Capabilities implements audit.Store.
func (p *plain) Capabilities() audit.Capabilities { return p.inner.Capabilities() }

// Close implements audit.Store. What stalls goes on.
func (p *plain) Close() error {
	p.f.Heal()
	return p.inner.Close()
}

// linking adds chain.Appender.
type linking struct {
	f     *Faults
	inner chain.Appender
}

// AppendChained implements chain.Appender.
func (l linking) AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	return appendWith(ctx, l.f, recs, l.inner.AppendChained)
}

// AppendChainedFresh implements chain.FreshAppender as AppendFresh is.
func (l linking) AppendChainedFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	if fresh, ok := l.inner.(chain.FreshAppender); ok {
		return appendWith(ctx, l.f, recs, fresh.AppendChainedFresh)
	}
	return l.AppendChained(ctx, recs)
}

// keeping adds audit.Keeper.
type keeping struct {
	f     *Faults
	inner audit.Keeper
}

// Load implements audit.Keeper.
func (k keeping) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	err = k.f.one(ctx, Load, func(ctx context.Context) (err error) {
		value, version, err = k.inner.Load(ctx, key)
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return value, version, nil
}

// Save implements audit.Keeper.
func (k keeping) Save(ctx context.Context, key string, value []byte, version int64) error {
	return k.f.one(ctx, Save, func(ctx context.Context) error { return k.inner.Save(ctx, key, value, version) })
}

func appendWith(ctx context.Context, f *Faults, recs []*audit.Record, do func(context.Context, []*audit.Record) ([]audit.Result, error)) ([]audit.Result, error) {
	c := &Call{Op: Append, Records: recs, do: do}
	if err := f.run(ctx, c); err != nil {
		return nil, err
	}
	return c.results, nil
}
