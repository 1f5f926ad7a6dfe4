package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// testKeeper checks audit.Keeper: versions, races, limits, and that documents
// outlive the process where records do.
func testKeeper(t *testing.T, h *Harness) {
	t.Run("one document", func(t *testing.T) { testOneDocument(t, h) })
	t.Run("limits", func(t *testing.T) { testKeptLimits(t, h) })
	t.Run("many create", func(t *testing.T) { testManyCreate(t, h) })
	t.Run("many count", func(t *testing.T) { testManyCount(t, h) })
	t.Run("apart from records", func(t *testing.T) { testKeptApart(t, h) })
}

// kept is a store with its documents.
type kept struct {
	audit.Keeper
	t *testing.T
}

func keeperOf(t *testing.T, s audit.Store) kept {
	t.Helper()
	return kept{capability[audit.Keeper](t, s), t}
}

// has wants the document to be there and gives its version.
func (k kept) has(key, value string) int64 {
	k.t.Helper()
	got, version, err := k.Load(k.t.Context(), key)
	if err != nil || string(got) != value || version <= 0 {
		k.t.Fatalf("Load(%s): %s, version %d, %v, want %s", key, short(string(got)), version, err, short(value))
	}
	return version
}

func (k kept) lacks(key string) {
	k.t.Helper()
	got, version, err := k.Load(k.t.Context(), key)
	if audit.CodeOf(err) != audit.CodeNotFound || got != nil || version != 0 {
		k.t.Fatalf("Load(%s): %q, version %d, %v, want not_found", key, got, version, err)
	}
}

// saves wants a save to end with the code, "" for none.
func (k kept) saves(key, value string, version int64, want audit.Code) {
	k.t.Helper()
	var doc []byte
	if value != "" {
		doc = []byte(value)
	}
	if err := k.Save(k.t.Context(), key, doc, version); audit.CodeOf(err) != want {
		k.t.Fatalf("Save(%s, %q, %d): %v, want code %q", key, short(value), version, err, want)
	}
}

const gone = "" // the value that deletes

func testOneDocument(t *testing.T, h *Harness) {
	k := keeperOf(t, h.open(t))
	k.lacks("a")
	k.saves("a", "one", 12, audit.CodeConflict) // there is nothing to replace
	k.saves("a", gone, 12, audit.CodeConflict)
	k.saves("a", "one", 0, "")
	first := k.has("a", "one")
	k.saves("a", "other", 0, audit.CodeConflict) // it is there already
	k.saves("a", "other", first+1, audit.CodeConflict)
	k.has("a", "one")
	k.saves("a", "two", first, "")
	second := k.has("a", "two")
	if first == second {
		t.Error("the version did not change")
	}
	k.saves("a", "two", first, audit.CodeConflict)
	k.saves("a", gone, first, audit.CodeConflict)
	k.saves("a", "two", second, "") // the same content is a new version all the same
	third := k.has("a", "two")
	k.saves("a", gone, second, audit.CodeConflict)
	k.saves("a", gone, third, "")
	k.lacks("a")
	k.saves("a", gone, third, audit.CodeConflict)
	// Who remembers the first life of the document must not touch the second.
	k.saves("a", "one", 0, "")
	again := k.has("a", "one")
	if slices.Contains([]int64{first, second, third}, again) {
		t.Error("a version came twice")
	}
	k.saves("a", "three", first, audit.CodeConflict)
	k.has("a", "one")

	// Neither side keeps the other's memory.
	value := []byte("mine")
	if err := k.Save(t.Context(), "b", value, 0); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	got, _, err := k.Load(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	got[0] = 'Y'
	k.has("b", "mine")
}

func testKeptLimits(t *testing.T, h *Harness) {
	k := keeperOf(t, h.open(t))
	key := strings.Repeat("k.-_9", 25) + "abc"
	large := make([]byte, audit.MaxKeptValue)
	for i := range large {
		large[i] = byte(i * 7 >> 3)
	}
	k.saves(key, string(large), 0, "")
	k.has(key, string(large))
	k.saves(key, string(large)+"x", 0, audit.CodeTooLarge)
	k.saves(key+"x", "v", 0, audit.CodeInvalid)
	k.saves("", "v", 0, audit.CodeInvalid)
	k.saves("A", "v", 0, audit.CodeInvalid)
	k.saves("a", "v", -1, audit.CodeInvalid)
	k.saves("a", gone, 0, audit.CodeInvalid)
	if err := k.Save(t.Context(), "a", []byte{}, 0); audit.CodeOf(err) != audit.CodeInvalid {
		t.Errorf("an empty document: %v, want invalid", err)
	}
	k.lacks("a")
	// Bytes are bytes, whatever they would mean as text or in a key.
	for i, v := range []string{"\x00", "null", "\xff\xfe", "'; --"} {
		name := "v." + string(rune('a'+i))
		k.saves(name, v, 0, "")
		k.has(name, v)
	}
}

// testManyCreate has eight processes create one document, as at their start:
// one of them does, and all see the same.
func testManyCreate(t *testing.T, h *Harness) {
	k := keeperOf(t, h.open(t))
	var made atomic.Int64
	var wg sync.WaitGroup
	seen := make([][]byte, 8)
	for i := range seen {
		wg.Go(func() {
			switch err := k.Save(t.Context(), "secret", []byte{byte(i + 1)}, 0); audit.CodeOf(err) {
			case "":
				made.Add(1)
			case audit.CodeConflict:
			default:
				t.Errorf("Save: %v", err)
			}
			var err error
			if seen[i], _, err = k.Load(t.Context(), "secret"); err != nil {
				t.Errorf("Load: %v", err)
			}
		})
	}
	wg.Wait()
	for _, v := range seen {
		if !bytes.Equal(v, seen[0]) {
			t.Errorf("one sees %v, another %v", seen[0], v)
		}
	}
	if n := made.Load(); n != 1 {
		t.Errorf("%d created the document", n)
	}
}

// testManyCount has eight goroutines add to one number: none is lost.
func testManyCount(t *testing.T, h *Harness) {
	const each = 10
	k := keeperOf(t, h.open(t))
	zero := make([]byte, 8)
	if err := k.Save(t.Context(), "n", zero, 0); err != nil {
		t.Fatal(err)
	}
	add := func(ctx context.Context) error {
		for {
			v, version, err := k.Load(ctx, "n")
			if err != nil {
				return err
			}
			err = k.Save(ctx, "n", binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(v)+1), version)
			if audit.CodeOf(err) != audit.CodeConflict {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range each {
				if err := add(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	v, _, err := k.Load(t.Context(), "n")
	if err != nil || binary.BigEndian.Uint64(v) != 8*each {
		t.Errorf("the number is %d, %v, want %d", v, err, 8*each)
	}
}

// testKeptApart wants documents and records not to touch, and documents to be
// there after a restart.
func testKeptApart(t *testing.T, h *Harness) {
	s := h.open(t)
	k := keeperOf(t, s)
	recs := Corpus(131, 20)
	h.store(t, s, CloneAll(recs))
	k.saves("a", "one", 0, "")
	k.saves("b", "two", 0, "")
	ask(t, s, recs, valid(t, audit.Query{Limit: 100}))
	events := 0
	cut := audit.Cut{RecordedBefore: lastInstant}
	for _, r := range recs {
		if cut.Selects(r) {
			events++
		}
	}
	h.deleteAll(t, s, cut, 100, events)
	version := k.has("a", "one")
	keeperOf(t, h.open(t)).lacks("a") // another store
	if h.Reopen == nil {
		return
	}
	k = keeperOf(t, h.Reopen(t, s))
	k.has("b", "two")
	if got := k.has("a", "one"); got != version {
		t.Errorf("the version is %d after Reopen, was %d", got, version)
	}
	k.saves("a", "three", version, "")
	k.has("a", "three")
}
