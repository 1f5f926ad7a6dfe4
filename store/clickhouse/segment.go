package clickhouse

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"

	"github.com/annals-dev/annals/audit"
)

// A chain on this engine is a segment: the records of one namespace and tenant
// that one writer linked. A writer is a store from its opening to its closing;
// it takes a segment's name when it links its first record, one that nobody
// else has: a new one, or one that another writer gave back when it was closed
// in order. What a killed writer had is never taken again: nobody could tell
// whether it still writes.

// writersKey names the document that gives segments out, see audit.Keeper.
func (s *Store) writersKey() string { return "chain.writers" }

// writers is that document.
type writers struct {
	Epoch int64               `json:"epoch"`          // of the last segment that was made
	Free  map[string][]string `json:"free,omitempty"` // segments that were given back, by writer
}

// segment is the name that this store writes under.
type segment struct {
	mu   sync.Mutex
	name string // "" until the first record is linked
}

// mySegment gives the name, and takes one at the first call.
func (s *Store) mySegment(ctx context.Context) (string, error) {
	l := &s.lanes.segment
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name != "" {
		return l.name, nil
	}
	var name string
	err := s.change(ctx, s.writersKey(), func(value []byte) ([]byte, error) {
		w, err := readWriters(value)
		if err != nil {
			return nil, err
		}
		if free := w.Free[s.opt.Writer]; len(free) > 0 {
			name = free[len(free)-1]
			if w.Free[s.opt.Writer] = free[:len(free)-1]; len(free) == 1 {
				delete(w.Free, s.opt.Writer)
			}
		} else {
			w.Epoch++
			name = s.opt.Writer + "." + strconv.FormatInt(w.Epoch, 10)
		}
		return json.Marshal(w)
	})
	if err == nil {
		l.name = name
	}
	return name, err
}

// maxFree is how many segments of a writer wait to be taken again at most.
const maxFree = 64

// releaseSegment gives the name back. Where that fails the next writer takes a
// new one, which does no harm.
func (s *Store) releaseSegment(ctx context.Context) {
	l := &s.lanes.segment
	if l.name == "" || s.settleDoubts(ctx) != nil {
		return
	}
	_ = s.change(ctx, s.writersKey(), func(value []byte) ([]byte, error) {
		w, err := readWriters(value)
		if err != nil {
			return nil, err
		}
		if w.Free == nil {
			w.Free = map[string][]string{}
		}
		if free := w.Free[s.opt.Writer]; len(free) < maxFree {
			w.Free[s.opt.Writer] = append(free, l.name)
		}
		return json.Marshal(w)
	})
}

func readWriters(value []byte) (w writers, err error) {
	if len(value) == 0 {
		return w, nil
	}
	if err := json.Unmarshal(value, &w); err != nil {
		return w, &audit.Error{Code: audit.CodeInternal, Message: "the document that gives the segments of chains out cannot be read", Cause: err}
	}
	return w, nil
}
