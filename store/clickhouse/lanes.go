package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// lanes are the chains that this store writes. Who links records of a scope
// holds its lane until they are stored, so that each record follows the one
// before.
type lanes struct {
	segment segment
	mu      sync.Mutex
	all     map[audit.Scope]*lane
}

func (l *lanes) init() { l.all = map[audit.Scope]*lane{} }

// lane is one chain's end. token is held by who writes.
type lane struct {
	token chan struct{}
	head  chain.Head
	known bool // head is what is stored
}

func (l *lanes) of(scope audit.Scope) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	ln := l.all[scope]
	if ln == nil {
		ln = &lane{token: make(chan struct{}, 1)}
		l.all[scope] = ln
	}
	return ln
}

// hold takes the lanes of the scopes, always in the same order, and reads the
// ends that are not known.
func (s *Store) hold(ctx context.Context, scopes map[audit.Scope]bool) (held map[audit.Scope]*lane, release func(), err error) {
	order := make([]audit.Scope, 0, len(scopes))
	for scope := range scopes {
		order = append(order, scope)
	}
	slices.SortFunc(order, compareScopes)
	held = make(map[audit.Scope]*lane, len(order))
	release = func() {
		for _, ln := range held {
			<-ln.token
		}
	}
	for _, scope := range order {
		ln := s.lanes.of(scope)
		select {
		case ln.token <- struct{}{}:
			held[scope] = ln
		case <-ctx.Done():
			release()
			return nil, nil, audit.Unavailable("the call was given up", ctx.Err())
		}
	}
	if err := s.findEnds(ctx, held); err != nil {
		release()
		return nil, nil, err
	}
	return held, release, nil
}

func compareScopes(a, b audit.Scope) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant))
}

// findEnds reads the ends of the lanes that are not known, and writes those
// down that are not: of a new chain, and of one whose last records were stored
// and whose end was not.
func (s *Store) findEnds(ctx context.Context, held map[audit.Scope]*lane) error {
	name, err := s.mySegment(ctx)
	if err != nil {
		return err
	}
	var unknown []audit.Scope
	for scope, ln := range held {
		if !ln.known {
			unknown = append(unknown, scope)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	if err := s.settleDoubts(ctx); err != nil {
		return err
	}
	// Only what has an end already can have records.
	begun, err := s.begun(ctx, unknown, name)
	if err != nil {
		return err
	}
	var found map[chain.Key]end
	if len(begun) > 0 {
		if found, err = s.ends(ctx, begun, name); err != nil {
			return err
		}
	}
	var write []chain.Head
	for _, scope := range unknown {
		e, ok := found[chain.Key{Scope: scope, Segment: name}]
		if !ok {
			e.head = chain.Head{Key: chain.Key{Scope: scope, Segment: name}}
		}
		if !ok || e.mended {
			write = append(write, e.head)
		}
		held[scope].head = e.head
	}
	if err := s.writeHeads(ctx, write); err != nil {
		return err
	}
	for _, scope := range unknown {
		held[scope].known = true
	}
	return nil
}

// writeHeads stores the ends of chains.
func (s *Store) writeHeads(ctx context.Context, heads []chain.Head) error {
	if len(heads) == 0 {
		return nil
	}
	// As text, which spares the way that a block waits for the names of its columns.
	var b strings.Builder
	b.WriteString("INSERT INTO " + s.opt.Prefix + "heads (namespace,tenant,segment,sequence,hash) VALUES ")
	for i := range heads {
		h := &heads[i]
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for _, name := range []string{h.Namespace, h.Tenant, h.Segment} {
			writeText(&b, name)
			b.WriteByte(',')
		}
		b.WriteString(integer(h.Sequence) + "," + octets(h.Hash[:]) + ")")
	}
	return s.insist(ctx, newInsert(), func(ctx context.Context) (bool, error) { return true, s.conn.Exec(ctx, b.String()) })
}
