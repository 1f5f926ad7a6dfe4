package postgres

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

// Versions grow for ever, also over deletions, and saving only ever inserts.
func TestDocumentVersions(t *testing.T) {
	s := open(t, Options{})
	c := newStranger(t, s)
	last := int64(0)
	for i := range 5 {
		if err := s.Save(t.Context(), "lease", fmt.Appendf(nil, "%d", i), 0); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), "lease", []byte("x"), 0); !errors.Is(err, audit.ErrConflict) {
			t.Errorf("made twice: %v", err)
		}
		value, version, err := s.Load(t.Context(), "lease")
		if err != nil || string(value) != fmt.Sprint(i) || version <= last {
			t.Fatalf("%q %d %v after version %d", value, version, err, last)
		}
		if err := s.Save(t.Context(), "lease", nil, version); err != nil {
			t.Fatal(err)
		}
		if err := s.Save(t.Context(), "lease", nil, version); !errors.Is(err, audit.ErrConflict) {
			t.Errorf("deleted twice: %v", err)
		}
		if _, _, err := s.Load(t.Context(), "lease"); !errors.Is(err, audit.ErrNotFound) {
			t.Errorf("after the deletion: %v", err)
		}
		last = version
	}
	if n := c.number(t, `SELECT count(*) FROM @documents`); n != 10 {
		t.Errorf("%d rows, want 10", n)
	}
}

// Of many that save over one version, over several connections, one gets through.
func TestOneSaveOfMany(t *testing.T) {
	url := enginetest.Postgres(t)
	stores := []*Store{open(t, Options{URL: url}), open(t, Options{URL: url})}
	version := int64(0)
	for range 10 {
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				switch err := stores[i%2].Save(t.Context(), "x", []byte{byte(i)}, version); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, audit.ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d saved over version %d", won.Load(), version)
		}
		var err error
		if _, version, err = stores[0].Load(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestState(t *testing.T) {
	s := open(t, Options{RollupInterval: -1})
	appendAll(t, s, batch(30, 2, 1))
	c := newStranger(t, s)
	enqueue(t, c, batch(3, 1, 1), true)
	c.must(t, `ANALYZE @records_default`)
	state, err := s.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"records_estimated": "30", "scopes": "2", "outbox": "3", "outbox_refused": "0", "full_text": "true", "tables": "public.annals_"} {
		if state[name] != want {
			t.Errorf("%s is %q, want %q", name, state[name], want)
		}
	}
}
