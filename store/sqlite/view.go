package sqlite

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// view is what one operation sees: a snapshot of the file. Work on many blocks
// is shared by several connections; the records that came after the first
// one's snapshot are left out on all of them, and only the first one reads
// whole records, as what it can see the others can see too.
type view struct {
	s      *Store
	ctx    context.Context
	conns  []*conn
	loaded bool
	last   int64   // the newest record of the snapshot, once loaded
	blocks []block // that hold records, oldest first, once loaded
	names  map[int64]audit.Scope
}

// block is a run of records in the order of their arrival, with the bounds of what it holds.
type block struct {
	number                   int64
	minOccurred, maxOccurred int64
	minRecorded              int64
	minExpires               int64 // math.MaxInt64 where nothing expires
	escaped                  bool  // some of its metadata has a backslash
}

// first and end are the block's places in the order of arrival, end exclusive.
func (b *block) first() int64 { return b.number << blockBits }
func (b *block) end() int64   { return (b.number + 1) << blockBits }

// read runs fn on a view. Nothing that fn was given may be used afterwards, and
// fn calls nothing of the caller's: a connection is held.
func (s *Store) read(ctx context.Context, fn func(v *view) error) (err error) {
	c, err := s.readers.take(ctx)
	if err != nil {
		return translate(ctx, err)
	}
	v := &view{s: s, ctx: ctx, names: map[int64]audit.Scope{}}
	defer func() { // deferred, so that a panic costs no connection
		for _, c := range v.conns {
			end := c.finish()
			s.readers.put(c, end != nil || breaks(err))
			if err == nil {
				err = end
			}
		}
		err = translate(ctx, err)
	}()
	if err := v.add(c); err != nil {
		return err
	}
	return fn(v)
}

// add begins a snapshot on one more connection, which the view then owns.
func (v *view) add(c *conn) error {
	v.conns = append(v.conns, c)
	c.SetInterrupt(v.ctx.Done())
	return c.run("BEGIN")
}

// load reads the list of blocks, for those that look into them.
func (v *view) load() error {
	if v.loaded {
		return nil
	}
	v.loaded = true
	c := v.conns[0]
	if _, err := c.one(v.s.sql("SELECT ifnull(max(n), 0) FROM @records"), func(st *z.Stmt) { v.last = st.ColumnInt64(0) }); err != nil {
		return err
	}
	var err error
	v.blocks, err = loadBlocks(c, v.s.sql(selectBlocks))
	return err
}

const selectBlocks = "SELECT block, min_occurred, max_occurred, min_recorded, min_expires, escaped FROM @blocks ORDER BY block"

func loadBlocks(c *conn, sql string) ([]block, error) {
	st, err := c.Prepare(sql)
	if err != nil {
		return nil, err
	}
	var out []block
	for {
		more, err := st.Step()
		if err != nil || !more {
			return out, err
		}
		b := block{
			number: st.ColumnInt64(0), minOccurred: st.ColumnInt64(1), maxOccurred: st.ColumnInt64(2),
			minRecorded: st.ColumnInt64(3), minExpires: math.MaxInt64, escaped: st.ColumnInt64(5) != 0,
		}
		if !st.ColumnIsNull(4) {
			b.minExpires = st.ColumnInt64(4)
		}
		out = append(out, b)
	}
}

// each calls fn for 0 to n-1: in turn on the first connection, or where the
// work is worth it on several at once, as many as are free. fn must not share
// anything unguarded.
func (v *view) each(n int, inTurn bool, fn func(c *conn, i int) error) error {
	for want := min(n, runtime.GOMAXPROCS(0)); !inTurn && len(v.conns) < want; {
		c := v.s.readers.try()
		if c == nil {
			break
		}
		if err := v.add(c); err != nil {
			return err
		}
	}
	var next atomic.Int64
	work := func(c *conn) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			if err := fn(c, i); err != nil {
				next.Store(int64(n)) // the others stop too
				return err
			}
		}
	}
	if inTurn || n < 2 || len(v.conns) == 1 {
		return work(v.conns[0])
	}
	errs := make([]error, len(v.conns))
	var wg sync.WaitGroup
	for i, c := range v.conns[1:] {
		wg.Go(func() { errs[i+1] = work(c) })
	}
	errs[0] = work(v.conns[0])
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// scope gives the names of a scope. One that the table of scopes does not know
// gets a name that no sender gave, so that its records do not pass for
// another's: their hashes then show what happened.
func (v *view) scope(number int64) (audit.Scope, error) {
	if name, ok := v.names[number]; ok {
		return name, nil
	}
	name, err := scopeName(v.s, v.conns[0], number)
	if err == nil {
		v.names[number] = name
	}
	return name, err
}
