package recorder

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// maxGapScopes is how many scopes are counted apart between two sweeps; the
// events of any more are counted together.
const maxGapScopes = 10_000

// The kinds of gaps: the policy's reasons, and these.
const (
	gapDropped = policy.NumReasons + iota
	gapFailed
	gapKinds
)

// gapCounts counts, scope by scope, the events that leave a gap in a chain. To
// count costs a map look-up without a lock and one atomic addition.
type gapCounts struct {
	now  func() time.Time
	read atomic.Pointer[map[audit.Scope]*gapCell] // never changed once published

	mu     sync.Mutex
	fresh  map[audit.Scope]*gapCell // all cells, where read lacks some; else nil
	misses int                      // look-ups that read could not answer since it was published
	spill  *gapCell                 // counts for all scopes beyond the limit
	full   atomic.Bool
}

// gapCell counts one scope's gaps. A sealed counter is negative: the cell has
// been swept for the last time, and whoever still holds it looks for the next.
type gapCell struct {
	scope    audit.Scope
	overflow bool // stands for many scopes
	n        [gapKinds]atomic.Int64

	from time.Time // nothing of it was counted before
	last time.Time // when it was swept last, on the clock of timers; the sweeper's
}

func newGapCounts(now func() time.Time) *gapCounts {
	g := &gapCounts{now: now}
	g.reset()
	return g
}

// reset starts with no cells; the lock is held or nobody else knows g.
func (g *gapCounts) reset() {
	g.spill = g.cell(audit.Scope{})
	g.spill.overflow = true
	g.fresh, g.misses = nil, 0
	g.full.Store(false)
	g.read.Store(&map[audit.Scope]*gapCell{})
}

func (g *gapCounts) cell(s audit.Scope) *gapCell {
	return &gapCell{scope: s, from: g.now(), last: time.Now()}
}

// add counts one event.
func (g *gapCounts) add(namespace, tenant string, kind int) {
	for {
		c, ok := (*g.read.Load())[audit.Scope{Namespace: namespace, Tenant: tenant}]
		if !ok {
			c = g.find(namespace, tenant)
		}
		if c.n[kind].Add(1) > 0 {
			return
		}
	}
}

// find gives the cell of a scope that the published map lacks.
func (g *gapCounts) find(namespace, tenant string) *gapCell {
	known := isScope(namespace) && isScope(tenant)
	g.mu.Lock()
	defer g.mu.Unlock()
	if !known {
		return g.spill // no record can have this scope
	}
	s := audit.Scope{Namespace: namespace, Tenant: tenant}
	published := *g.read.Load()
	if g.fresh == nil {
		if c, ok := published[s]; ok {
			return c
		}
	}
	c, ok := g.fresh[s]
	if !ok {
		if max(len(g.fresh), len(published)) >= maxGapScopes {
			g.full.Store(true)
			return g.spill
		}
		if g.fresh == nil {
			g.fresh = make(map[audit.Scope]*gapCell, len(published)+1)
			for k, v := range published {
				g.fresh[k] = v
			}
		}
		// The caller's texts may be small parts of large ones.
		s = audit.Scope{Namespace: strings.Clone(namespace), Tenant: strings.Clone(tenant)}
		c = g.cell(s)
		g.fresh[s] = c
	}
	// Publishing costs a copy with the next new scope, so it waits until the
	// misses have cost as much; sync.Map grows by the same rule.
	if g.misses++; g.misses >= len(g.fresh) {
		g.publish()
	}
	return c
}

func (g *gapCounts) publish() {
	if g.fresh != nil {
		fresh := g.fresh
		g.read.Store(&fresh)
		g.fresh, g.misses = nil, 0
	}
}

// isScope reports whether a text can be a namespace or tenant at all; what
// audit.Normalize refuses must not become a gap record.
func isScope(s string) bool {
	return len(s) <= scopeLimit && strings.IndexByte(s, 0) < 0 && utf8.ValidString(s)
}

var scopeLimit = func() int {
	f, _ := audit.FieldByName("tenant")
	return f.Limit
}()

// all gives every cell, the one for the rest last. retire starts afresh with
// none of them, which makes room for other scopes; each is then to be swept
// for the last time.
func (g *gapCounts) all(retire bool) []*gapCell {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.publish()
	m := *g.read.Load()
	cells := make([]*gapCell, 0, len(m)+1)
	for _, c := range m {
		cells = append(cells, c)
	}
	slices.SortFunc(cells, func(a, b *gapCell) int {
		return cmp.Or(cmp.Compare(a.scope.Namespace, b.scope.Namespace), cmp.Compare(a.scope.Tenant, b.scope.Tenant))
	})
	cells = append(cells, g.spill)
	if retire {
		g.reset()
	}
	return cells
}

// of gives the scope's cell, or nil where nothing was counted for it.
func (g *gapCounts) of(s audit.Scope) *gapCell {
	if c, ok := (*g.read.Load())[s]; ok {
		return c
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fresh[s]
}

// gapTally is what was counted in a cell until now.
type gapTally struct {
	by       [gapKinds]int64
	total    int64
	from, to time.Time
}

// sweep takes the counts out of the cell. The last sweep of a retired cell
// seals it, so that no count gets lost between the two.
func (c *gapCell) sweep(now time.Time, last bool) gapTally {
	t := gapTally{from: c.from, to: now}
	var leave int64
	if last {
		leave = sealed
	}
	for k := range c.n {
		if !last && c.n[k].Load() == 0 {
			continue
		}
		t.by[k] = c.n[k].Swap(leave)
		t.total += t.by[k]
	}
	c.from, c.last = now, time.Now()
	return t
}

// holds reports whether anything is counted among the kinds from first on.
func (c *gapCell) holds(first int) bool {
	for k := first; k < gapKinds; k++ {
		if c.n[k].Load() > 0 {
			return true
		}
	}
	return false
}
