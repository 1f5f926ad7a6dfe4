package storetest

import (
	"slices"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// Harness tells the suite how to get at an engine.
type Harness struct {
	// New opens a new and empty store. Closing it and removing its data is left
	// to tb.Cleanup; the suite may close it before, too.
	New func(tb testing.TB) audit.Store

	// Reopen closes the store and opens the same data again. Nil where nothing
	// outlives the process; the category Durability then needs a reason in Skip.
	Reopen func(tb testing.TB, s audit.Store) audit.Store

	// Settle makes what was written visible to questions, for engines with a
	// lag (audit.Capabilities). Nil where there is none.
	Settle func(tb testing.TB, s audit.Store)

	// Segment is the name that a new store's only writer gives to the segments of
	// its chains, and keeps over Reopen; empty where chains have none.
	Segment string

	// Skip names the categories that the engine does not answer to, each with
	// the reason. It is a promise to users as much as to the suite: the table of
	// engines in the documentation says the same.
	Skip map[Category]string
}

// Category is a part of the suite, by name.
type Category string

// The categories.
const (
	Roundtrip      Category = "roundtrip"       // every field comes back as it was
	Idempotency    Category = "idempotency"     // repeated, contradicting and partly failing batches
	Isolation      Category = "isolation"       // tenants do not touch, callers and store share no memory
	Filters        Category = "filters"         // every dimension with every operator, and metadata keys
	Windows        Category = "windows"         // start inclusive, end exclusive
	Paging         Category = "paging"          // cursors: order, completeness, late arrivals
	Text           Category = "text"            // full text, or a clear refusal
	Open           Category = "open"            // intents without an outcome
	Scanning       Category = "scanning"        // audit.Scanner and audit.Counter agree with Query
	Retention      Category = "retention"       // expiry, ceiling, holds, limit
	Chain          Category = "chain"           // chain.Appender and chain.Reader
	ChainRetention Category = "chain retention" // what retention removes from a chain stays accounted for
	Restoring      Category = "restoring"       // chain.Restorer: chains of another store come in as they are
	Durability     Category = "durability"      // everything is there after a restart
	Keeper         Category = "keeper"          // audit.Keeper: versions, races, limits
	Concurrency    Category = "concurrency"     // many readers and writers at once
	Lifecycle      Category = "lifecycle"       // cancelled contexts, Close
	Analytics      Category = "analytics"       // analytics.Analyzer agrees with the streaming reference
)

var categories = []struct {
	name Category
	run  func(t *testing.T, h *Harness)
}{
	{Roundtrip, testRoundtrip},
	{Idempotency, testIdempotency},
	{Isolation, testIsolation},
	{Filters, testFilters},
	{Windows, testWindows},
	{Paging, testPaging},
	{Text, testText},
	{Open, testOpen},
	{Scanning, testScanning},
	{Retention, testRetention},
	{Chain, testChain},
	{ChainRetention, testChainRetention},
	{Restoring, testRestoring},
	{Durability, testDurability},
	{Keeper, testKeeper},
	{Concurrency, testConcurrency},
	{Lifecycle, testLifecycle},
	{Analytics, testAnalytics},
}

// Categories are the names of all categories, in the order in which they run.
func Categories() []Category {
	var out []Category
	for _, c := range categories {
		out = append(out, c.name)
	}
	return out
}

// Run puts an engine through the suite.
func Run(t *testing.T, h Harness) {
	for name, reason := range h.Skip {
		if !slices.Contains(Categories(), name) {
			t.Errorf("Skip names %q, which is not a category", name)
		}
		if reason == "" {
			t.Errorf("Skip gives no reason for %q", name)
		}
	}
	for _, c := range categories {
		t.Run(string(c.name), func(t *testing.T) {
			if reason, ok := h.Skip[c.name]; ok {
				t.Skip("the engine opts out: " + reason)
			}
			c.run(t, &h)
		})
	}
}

// open gives a new store that is checked for the bare minimum.
func (h *Harness) open(t *testing.T) audit.Store {
	t.Helper()
	s := h.New(t)
	caps := s.Capabilities()
	if caps.Engine == "" {
		t.Error("Capabilities names no engine")
	}
	if caps.Lag > 0 && h.Settle == nil {
		t.Fatal("the engine has a lag, and its harness no Settle")
	}
	return s
}

// settle waits until questions see what was written.
func (h *Harness) settle(t *testing.T, s audit.Store) {
	t.Helper()
	if h.Settle != nil {
		h.Settle(t, s)
	}
}

// capability finds an optional interface or ends the test: an engine without
// it has to say so in Skip.
func capability[T any](t *testing.T, s audit.Store) T {
	t.Helper()
	c, ok := audit.As[T](s)
	if !ok {
		t.Fatalf("the store does not implement %T; if that is meant, name the category in Skip with the reason", (*T)(nil))
	}
	return c
}
