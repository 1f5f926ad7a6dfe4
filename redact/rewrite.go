package redact

import (
	"bytes"

	"github.com/annals-dev/annals/audit"
)

// rewriter walks one compact document and copies it from the first hit on.
// The active nodes of every open array and object lie on one stack, the
// innermost last; base is where those of the value in hand begin.
type rewriter struct {
	doc    []byte
	rules  *document
	mark   []byte
	states nodeStack
	out    []byte
	kept   int // what lies before is in out
	hit    bool
	key    [MaxStep]byte // the folded part of a key in hand
}

// run gives the redacted document; hit is false when it is the one that came.
// ok is false when the document is not compact JSON within the depth.
func (w *rewriter) run() (out []byte, hit, ok bool) {
	w.states.push(0)
	end, ok := w.value(0, 0, 0)
	if !ok || end != len(w.doc) {
		return nil, false, false
	}
	if !w.hit {
		return w.doc, false, true
	}
	return append(w.out, w.doc[w.kept:]...), true, true
}

// value walks the value at i and gives the index after it.
func (w *rewriter) value(i, base, depth int) (end int, ok bool) {
	if i >= len(w.doc) {
		return 0, false
	}
	c := w.doc[i]
	if c != '{' && c != '[' {
		return skip(w.doc, i)
	}
	if depth >= audit.MaxDepth {
		return 0, false
	}
	if c == '[' {
		return w.array(i, base, depth)
	}
	return w.object(i, base, depth)
}

func (w *rewriter) object(i, base, depth int) (end int, ok bool) {
	if i+1 < len(w.doc) && w.doc[i+1] == '}' {
		return i + 2, true
	}
	for {
		if i++; i >= len(w.doc) || w.doc[i] != '"' {
			return 0, false
		}
		from := i + 1
		class := uint8(0)
		for i = from; i < len(w.doc); i++ {
			c := byteClass[w.doc[i]]
			class |= c
			if c == isBackslash {
				i++
			} else if c == isQuote {
				break
			}
		}
		if i+1 >= len(w.doc) || class&isControl != 0 || w.doc[i+1] != ':' {
			return 0, false
		}
		key := w.doc[from:i]
		mark := w.states.len
		hit, ok := w.match(key, class, base)
		if !ok {
			return 0, false
		}
		if i, ok = w.member(i+2, mark, depth, hit); !ok || i >= len(w.doc) {
			return 0, false
		}
		w.states.len = mark
		switch w.doc[i] {
		case ',':
		case '}':
			return i + 1, true
		default:
			return 0, false
		}
	}
}

func (w *rewriter) array(i, base, depth int) (end int, ok bool) {
	if i+1 < len(w.doc) && w.doc[i+1] == ']' {
		return i + 2, true
	}
	mark := w.states.len
	from := base // the active nodes of the elements: those of the array, unless an index can lead on
	indexed := w.indexed(base)
	if indexed {
		from = mark
	}
	for n := 0; ; n++ {
		hit := indexed && w.element(n, base, mark)
		if i, ok = w.member(i+1, from, depth, hit); !ok || i >= len(w.doc) {
			return 0, false
		}
		w.states.len = mark
		switch w.doc[i] {
		case ',':
		case ']':
			return i + 1, true
		default:
			return 0, false
		}
	}
}

// indexed reports whether an index leads on from any of the nodes from base on.
func (w *rewriter) indexed(base int) bool {
	for i := base; i < w.states.len; i++ {
		if n := &w.rules.tree.nodes[w.states.at(i)]; n.star != 0 || n.elements != nil {
			return true
		}
	}
	return false
}

// member takes the value at i, which a rule hit or whose nodes are from base on.
func (w *rewriter) member(i, base, depth int, hit bool) (end int, ok bool) {
	if !hit && (w.states.len > base || !w.rules.keys.empty()) {
		return w.value(i, base, depth+1)
	}
	if end, ok = skip(w.doc, i); ok && hit {
		w.replace(i, end)
	}
	return end, ok
}

// replace puts the placeholder in the place of the bytes from i to end.
func (w *rewriter) replace(i, end int) {
	if bytes.Equal(w.doc[i:end], w.mark) {
		return
	}
	if !w.hit {
		w.hit = true
		w.out = make([]byte, 0, len(w.doc)+2*len(w.mark))
	}
	w.out = append(append(w.out, w.doc[w.kept:i]...), w.mark...)
	w.kept = end
}

// match takes a key without its quotes. It reports a hit, or appends the nodes
// that are active in the key's value.
func (w *rewriter) match(key []byte, class uint8, base int) (hit, ok bool) {
	if class&(isBackslash|isDot|isWide) != 0 || len(key) > MaxStep {
		return w.matchSteps(key, base)
	}
	mark := w.states.len
	keys := w.rules.keys
	if mark == base {
		// The usual case: nothing but keys at any depth. A look at the first
		// byte saves folding the others.
		if len(key) == 0 || keys.seen[min(len(key), 63)]&(1<<(audit.FoldASCII(key[0])&63)) == 0 {
			return false, true
		}
	}
	for i, c := range key {
		w.key[i] = audit.FoldASCII(c)
	}
	return w.step(w.key[:len(key)], base, mark), true
}

// matchSteps takes a key that has to be unescaped, or whose dots make it several steps.
func (w *rewriter) matchSteps(key []byte, base int) (hit, ok bool) {
	start := w.states.len
	for mark := start; ; {
		n, rest, more, ok := nextStep(&w.key, key)
		if !ok {
			return false, false
		}
		var part []byte // nil is a part that is no key of a rule
		if n >= 0 {
			part = w.key[:n]
		}
		if w.step(part, base, mark) {
			return true, true
		}
		// The nodes of this part are where the next one goes on from.
		if mark != start {
			w.states.moveDown(start, mark)
		}
		if !more {
			return false, true
		}
		base, mark, key = start, w.states.len, rest
	}
}

// step goes from the nodes in base:mark by one folded key, and appends
// the nodes it comes to.
func (w *rewriter) step(key []byte, base, mark int) (hit bool) {
	if w.rules.keys.has(key) {
		return true
	}
	for i := base; i < mark; i++ {
		n := &w.rules.tree.nodes[w.states.at(i)]
		if n.star != 0 && w.enter(n.star) {
			return true
		}
		if n.children != nil && key != nil {
			if c, found := n.children[string(key)]; found && w.enter(c) {
				return true
			}
		}
	}
	return false
}

// element goes from the nodes in base:mark to an array's element: they
// stay active, for arrays are transparent, and those that the index leads to join them.
func (w *rewriter) element(index, base, mark int) (hit bool) {
	for i := base; i < mark; i++ {
		w.states.push(w.states.at(i))
	}
	for i := base; i < mark; i++ {
		n := &w.rules.tree.nodes[w.states.at(i)]
		if n.star != 0 && w.join(n.star, mark) {
			return true
		}
		if n.elements != nil {
			if c, found := n.elements[index]; found && w.join(c, mark) {
				return true
			}
		}
	}
	return false
}

// enter makes a node active, unless it is final: that is a hit.
func (w *rewriter) enter(at uint16) (hit bool) {
	if w.rules.tree.nodes[at].final {
		return true
	}
	w.states.push(at)
	return false
}

// join is enter for a node that may be active already. Without it nested
// arrays would double the active nodes at every level.
func (w *rewriter) join(at uint16, mark int) (hit bool) {
	for i := mark; i < w.states.len; i++ {
		if w.states.at(i) == at {
			return false
		}
	}
	return w.enter(at)
}
