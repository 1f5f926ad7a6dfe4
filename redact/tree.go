package redact

import "strconv"

// tree holds the paths of one document, with equal beginnings shared. Node 0
// is the root; a node is final when a path ends there, and then has no children:
// what lies below goes with it.
type tree struct{ nodes []node }

type node struct {
	final    bool
	star     uint16            // the child for any one key or index; 0 is none
	children map[string]uint16 // by folded key
	elements map[int]uint16    // by index, for those children whose key is a number
}

func newTree() tree { return tree{nodes: make([]node, 1)} }

func (t *tree) empty() bool { return len(t.nodes) == 1 }

// add takes the folded steps of a path.
func (t *tree) add(steps []string) {
	at := uint16(0)
	for _, s := range steps {
		if t.nodes[at].final {
			return
		}
		at = t.child(at, s)
	}
	t.nodes[at] = node{final: true}
}

// child finds or makes the child for one step. MaxFields and MaxSteps keep the
// number of nodes below 2^16.
func (t *tree) child(at uint16, step string) uint16 {
	n := &t.nodes[at]
	if step == "*" && n.star != 0 {
		return n.star
	}
	if c, ok := n.children[step]; ok {
		return c
	}
	c := uint16(len(t.nodes))
	if step == "*" {
		n.star = c
	} else {
		if n.children == nil {
			n.children = map[string]uint16{}
		}
		n.children[step] = c
		if i, err := strconv.Atoi(step); err == nil && itoa(i) == step {
			if n.elements == nil {
				n.elements = map[int]uint16{}
			}
			n.elements[i] = c
		}
	}
	t.nodes = append(t.nodes, node{})
	return c
}

// keySet holds the keys that match at any depth. Most keys of a document are
// not in it, and seen tells that from length and first byte alone.
type keySet struct {
	keys map[string]struct{}
	seen [64]uint64 // by length, at most 63: the first bytes, modulo 64
}

func newKeySet() *keySet { return &keySet{keys: map[string]struct{}{}} }

func (k *keySet) empty() bool { return len(k.keys) == 0 }

// add takes a folded key.
func (k *keySet) add(key string) {
	k.keys[key] = struct{}{}
	k.seen[min(len(key), 63)] |= 1 << (key[0] & 63)
}

// has takes a folded key.
func (k *keySet) has(key []byte) bool {
	if len(key) == 0 || k.seen[min(len(key), 63)]&(1<<(key[0]&63)) == 0 {
		return false
	}
	_, ok := k.keys[string(key)]
	return ok
}

func itoa(n int) string { return strconv.Itoa(n) }
