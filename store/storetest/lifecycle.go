package storetest

import (
	"context"
	"errors"
	"testing"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

func testLifecycle(t *testing.T, h *Harness) {
	t.Run("a cancelled context", func(t *testing.T) {
		s := h.open(t)
		recs := Corpus(121, 20)
		h.store(t, s, CloneAll(recs[:10]))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for name, call := range calls(t, s, recs) {
			err := call(ctx)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", name, err)
			}
			wantOurs(t, name, err)
		}
		// Nothing is broken by it.
		if _, err := s.Append(t.Context(), CloneAll(recs)); err != nil {
			t.Fatal(err)
		}
		h.settle(t, s)
		ask(t, s, recs, valid(t, audit.Query{Limit: 100}))
	})
	t.Run("closed", func(t *testing.T) {
		s := h.open(t)
		recs := Corpus(122, 20)
		h.store(t, s, CloneAll(recs[:10]))
		before := s.Capabilities()
		if err := s.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
		for name, call := range calls(t, s, recs) {
			err := call(t.Context())
			if !errors.Is(err, audit.ErrClosed) {
				t.Errorf("%s after Close: got %v, want %v", name, err, audit.ErrClosed)
			}
			wantOurs(t, name, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
		if s.Capabilities() != before {
			t.Error("Capabilities changed")
		}
	})
	t.Run("optional interfaces answer", func(t *testing.T) {
		s := h.open(t)
		recs := Corpus(123, 20)
		h.store(t, s, CloneAll(recs[:10]))
		for name, call := range calls(t, s, recs) {
			if err := call(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// wantOurs wants an *audit.Error, so that no driver's text reaches a client.
func wantOurs(t *testing.T, name string, err error) {
	t.Helper()
	var ours *audit.Error
	if err != nil && !errors.As(err, &ours) {
		t.Errorf("%s: %T is not an *audit.Error: %v", name, err, err)
	}
}

// calls are all methods of the store that can fail, the optional ones among
// them. The first ten records are stored already.
func calls(t *testing.T, s audit.Store, recs []*audit.Record) map[string]func(context.Context) error {
	q := valid(t, audit.Query{})
	all := map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error { _, err := s.Append(ctx, CloneAll(recs[10:15])); return err },
		"Get":    func(ctx context.Context) error { _, err := s.Get(ctx, recs[0].Ref()); return err },
		"Query":  func(ctx context.Context) error { _, err := s.Query(ctx, q); return err },
		"DeleteExpired": func(ctx context.Context) error {
			_, err := s.DeleteExpired(ctx, audit.Cut{RecordedBefore: CorpusStart}, 10)
			return err
		},
	}
	if c, ok := audit.As[audit.Scanner](s); ok {
		all["Scan"] = func(ctx context.Context) error {
			return c.Scan(ctx, q, func(*audit.Record) error { return nil })
		}
	}
	if c, ok := audit.As[audit.Counter](s); ok {
		all["Count"] = func(ctx context.Context) error { _, err := c.Count(ctx, q); return err }
	}
	if c, ok := audit.As[audit.Keeper](s); ok {
		all["Load"] = func(ctx context.Context) error {
			_, _, err := c.Load(ctx, "kept")
			if errors.Is(err, audit.ErrNotFound) {
				return nil // the map has no order: Save may come later
			}
			return err
		}
		all["Save"] = func(ctx context.Context) error { return c.Save(ctx, "kept", []byte("x"), 0) }
	}
	if c, ok := audit.As[audit.Pinger](s); ok {
		all["Ping"] = c.Ping
	}
	if c, ok := audit.As[audit.Migrator](s); ok {
		all["SchemaVersion"] = func(ctx context.Context) error { _, _, err := c.SchemaVersion(ctx); return err }
	}
	if c, ok := audit.As[audit.Stater](s); ok {
		all["State"] = func(ctx context.Context) error { _, err := c.State(ctx); return err }
	}
	if c, ok := audit.As[chain.Appender](s); ok {
		all["AppendChained"] = func(ctx context.Context) error {
			_, err := c.AppendChained(ctx, CloneAll(recs[15:]))
			return err
		}
	}
	if c, ok := audit.As[chain.Reader](s); ok {
		all["Heads"] = func(ctx context.Context) error { _, err := c.Heads(ctx, nil); return err }
		all["Walk"] = func(ctx context.Context) error {
			return c.Walk(ctx, chain.Key{}, 1, 10, func([]*audit.Record) error { return nil })
		}
		all["Unchained"] = func(ctx context.Context) error { _, err := c.Unchained(ctx, audit.Scope{}); return err }
	}
	if c, ok := audit.As[analytics.Analyzer](s); ok {
		all["Overview"] = func(ctx context.Context) error { _, err := c.Overview(ctx, q); return err }
	}
	return all
}
