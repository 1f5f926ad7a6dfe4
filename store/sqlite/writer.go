package sqlite

import (
	"math"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// writer is the one connection that writes, with what it needs for every record.
type writer struct {
	*conn
	s      *Store
	record *z.Stmt
	body   *z.Stmt
	text   *z.Stmt // nil where the file has no full text index

	unflushed bool // its commits are not flushed to the disk
}

func (s *Store) newWriter(c *conn) (*writer, error) {
	w := &writer{conn: c, s: s, unflushed: s.opt.LosePowerFailure}
	for _, p := range []struct {
		into **z.Stmt
		sql  string
		want bool
	}{
		{&w.record, insertSQL("@records", []string{"n", "scope"}, recordColumns) + " ON CONFLICT(id, scope) DO NOTHING", true},
		{&w.body, insertSQL("@bodies", []string{"n"}, bodyColumns), true},
		{&w.text, "INSERT INTO @text(rowid, tokens) VALUES(?, ?)", s.text},
	} {
		if !p.want {
			continue
		}
		var err error
		if *p.into, err = c.Prepare(s.sql(p.sql)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// batch is what one transaction stores.
type batch struct {
	*writer
	scopes map[audit.Scope]int64
	names  map[int64]audit.Scope
	next   int64 // the place of the next record in the order of arrival
	last   int64 // that of the last one
	block  block // what was added to the block under way
	added  bool  // whether it is anything
}

func (w *writer) batch() (*batch, error) {
	b := &batch{writer: w, scopes: map[audit.Scope]int64{}, names: map[int64]audit.Scope{}}
	// The last block remembers the last place given out, so that none is given
	// out twice although records are deleted.
	_, err := w.one(w.s.sql("SELECT max(ifnull((SELECT max(n) FROM @records), 0), ifnull((SELECT last_n FROM @blocks ORDER BY block DESC LIMIT 1), 0))"),
		func(st *z.Stmt) { b.next = st.ColumnInt64(0) + 1 })
	return b, err
}

// scope gives the number of a scope and gives it one where it has none.
func (b *batch) scope(name audit.Scope) (int64, error) {
	if n, ok := b.scopes[name]; ok {
		return n, nil
	}
	var number int64
	found, err := b.one(b.s.sql("SELECT scope FROM @scopes WHERE namespace = ? AND tenant = ?"),
		func(st *z.Stmt) { number = st.ColumnInt64(0) }, name.Namespace, name.Tenant)
	if err != nil {
		return 0, err
	}
	if !found {
		// Not max+1 of the table alone: where a row of it was removed by hand, its records must not get a new name.
		_, err = b.one(b.s.sql("INSERT INTO @scopes(scope, namespace, tenant) VALUES(1 + max("+
			"(SELECT ifnull(max(scope), 0) FROM @scopes), (SELECT ifnull(max(scope), 0) FROM @heads), (SELECT ifnull(max(scope), 0) FROM @segments)), ?, ?) RETURNING scope"),
			func(st *z.Stmt) { number = st.ColumnInt64(0) }, name.Namespace, name.Tenant)
		if err != nil {
			return 0, err
		}
	}
	b.scopes[name], b.names[number] = number, name
	return number, nil
}

// name gives the names of a scope by its number.
func (b *batch) name(number int64) (audit.Scope, error) {
	if name, ok := b.names[number]; ok {
		return name, nil
	}
	name, err := scopeName(b.s, b.conn, number)
	if err == nil {
		b.names[number] = name
	}
	return name, err
}

// insert stores a record unless its id is taken.
func (b *batch) insert(scope int64, r *audit.Record) (stored bool, err error) {
	n := b.next
	st := b.record
	if err := clearStmt(st); err != nil {
		return false, err
	}
	st.BindInt64(1, n)
	st.BindInt64(2, scope)
	bindFields(st, 3, recordColumns, r)
	if _, err := st.Step(); err != nil {
		return false, err
	}
	if b.Changes() == 0 {
		return false, nil
	}
	if b.next++; b.next&(blockSize-1) >= b.s.fill {
		b.next = (n>>blockBits + 1) << blockBits
	}
	if err := b.insertBody(n, r); err != nil {
		return false, err
	}
	if b.text != nil {
		if err := b.text.Reset(); err != nil {
			return false, err
		}
		b.text.BindInt64(1, n)
		b.text.BindText(2, audit.SearchText(r))
		if _, err := b.text.Step(); err != nil {
			return false, err
		}
	}
	return true, b.count(n, r)
}

func (b *batch) insertBody(n int64, r *audit.Record) error {
	some := false
	for _, f := range bodyColumns {
		if !f.Absent(r) {
			some = true
			break
		}
	}
	if !some {
		return nil
	}
	if err := clearStmt(b.body); err != nil {
		return err
	}
	b.body.BindInt64(1, n)
	bindFields(b.body, 2, bodyColumns, r)
	_, err := b.body.Step()
	return err
}

func clearStmt(st *z.Stmt) error {
	if err := st.Reset(); err != nil {
		return err
	}
	return st.ClearBindings()
}

// bindFields binds the fields that are not absent; the others stay NULL, but
// for the time, which orders everything.
func bindFields(st *z.Stmt, at int, fields []*audit.Field, r *audit.Record) {
	for i, f := range fields {
		switch f.Kind {
		case audit.Text:
			if s := f.Text(r); s != "" {
				st.BindText(at+i, s)
			}
		case audit.Document:
			if b := f.Bytes(r); len(b) > 0 {
				st.BindText(at+i, unsafeText(b))
			}
		case audit.Identity, audit.Hash:
			if b := f.Bytes(r); b != nil {
				st.BindBytes(at+i, b)
			}
		default:
			if n := f.Int(r); n != 0 || f == occurredAt {
				st.BindInt64(at+i, n)
			}
		}
	}
}

// count adds the record to the bounds of its block, which are written once a batch.
func (b *batch) count(n int64, r *audit.Record) error {
	number := n >> blockBits
	if b.added && b.block.number != number {
		if err := b.flush(); err != nil {
			return err
		}
	}
	if !b.added {
		b.added = true
		b.block = emptyBlock(number)
	}
	b.last = n
	b.block.escaped = b.block.escaped || escaped(r.Metadata)
	at := audit.Micros(r.OccurredAt)
	b.block.minOccurred, b.block.maxOccurred = min(b.block.minOccurred, at), max(b.block.maxOccurred, at)
	b.block.minRecorded = min(b.block.minRecorded, audit.Micros(r.RecordedAt))
	if !r.ExpiresAt.IsZero() {
		b.block.minExpires = min(b.block.minExpires, audit.Micros(r.ExpiresAt))
	}
	return nil
}

// flush writes the bounds of the block under way.
func (b *batch) flush() error {
	if !b.added {
		return nil
	}
	b.added = false
	var expires any
	if b.block.minExpires != math.MaxInt64 {
		expires = b.block.minExpires
	}
	escaped := 0
	if b.block.escaped {
		escaped = 1
	}
	return b.run(b.s.sql(`INSERT INTO @blocks(block, last_n, min_occurred, max_occurred, min_recorded, min_expires, escaped)
		VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT(block) DO UPDATE SET
		last_n = max(last_n, ?2), min_occurred = min(min_occurred, ?3), max_occurred = max(max_occurred, ?4),
		min_recorded = min(min_recorded, ?5), min_expires = min(ifnull(min_expires, ?6), ifnull(?6, min_expires)),
		escaped = max(escaped, ?7)`),
		b.block.number, b.last, b.block.minOccurred, b.block.maxOccurred, b.block.minRecorded, expires, escaped)
}
