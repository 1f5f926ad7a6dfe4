package audit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNewIDIsUniqueAndGrowsOverGoroutines(t *testing.T) {
	const workers, each = 8, 20_000
	made := make([][]ID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				made[w] = append(made[w], NewID())
			}
		})
	}
	wg.Wait()
	seen := make(map[ID]bool, workers*each)
	for _, ids := range made {
		if !slices.IsSortedFunc(ids, ID.Compare) {
			t.Fatal("the ids of one goroutine do not grow")
		}
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%s was given twice", id)
			}
			seen[id] = true
			if id[6]>>4 != 7 || id[8]>>6 != 2 {
				t.Fatalf("%s is not a UUID of version 7", id)
			}
		}
	}
}

func TestNewIDHoldsTheTime(t *testing.T) {
	before := time.Now().UnixMilli()
	id := NewID()
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	// The counter may run ahead of the clock by a millisecond for every 4096 ids made at once.
	if ms < before || ms > before+60_000 {
		t.Errorf("the id says %d ms, the clock said %d", ms, before)
	}
}

func TestIDFrom(t *testing.T) {
	for _, tc := range []struct{ in, id, external string }{
		{"0197A6F0-1234-7abc-8DEF-0123456789ab", "0197a6f0-1234-7abc-8def-0123456789ab", ""},
		{"abc", "ba7816bf-8f01-8fea-8141-40de5dae2223", "abc"}, // from SHA-256("abc") of FIPS 180-2
		{"00000000-0000-0000-0000-000000000000", "12b9377c-be7e-8c94-a8a7-0d9d23929523", "00000000-0000-0000-0000-000000000000"},
		{strings.Repeat("x", MaxExternalID), "", strings.Repeat("x", MaxExternalID)},
		{"--345678-1234-1234-1234-123456789012", "", "--345678-1234-1234-1234-123456789012"},
		{"12345678-1234-1234-1234-1234567890-1", "", "12345678-1234-1234-1234-1234567890-1"},
		{"12345678-1234-1234-1234-12345678901-", "", "12345678-1234-1234-1234-12345678901-"},
		{"{0197a6f0-1234-7abc-8def-0123456789}", "", "{0197a6f0-1234-7abc-8def-0123456789}"},
	} {
		id, external, err := IDFrom(tc.in)
		if err != nil || external != tc.external || tc.id != "" && id.String() != tc.id {
			t.Errorf("IDFrom(%q) = %s, %q, %v; want %s, %q", tc.in, id, external, err, tc.id, tc.external)
		}
		if external != "" && (id[6]>>4 != 8 || id[8]>>6 != 2) {
			t.Errorf("IDFrom(%q) = %s is not a UUID of version 8", tc.in, id)
		}
	}
	for _, bad := range []string{"", strings.Repeat("x", MaxExternalID+1), "a\x00", "\xff"} {
		_, _, err := IDFrom(bad)
		wantInvalid(t, err, "id")
	}
}

func TestParseID(t *testing.T) {
	id := NewID()
	got, err := ParseID(strings.ToUpper(id.String()))
	if err != nil || got != id {
		t.Errorf("got %s, %v; want %s", got, err, id)
	}
	for _, bad := range []string{
		"", "abc", "0197a6f0x1234-7abc-8def-0123456789ab", "0197a6f0-1234-7abc-8def-0123456789ag",
		"00000000-0000-0000-0000-000000000000", "12345678-1234-1234-1234-1234567890-1",
	} {
		_, err := ParseID(bad)
		wantInvalid(t, err, "id")
	}
}

func TestIDFromNeverPanics(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[0-9a-f-]{34,37}`).Draw(t, "s")
		id, external, err := IDFrom(s)
		if err == nil && external == "" && id.String() != s {
			t.Fatalf("%q is read as %s", s, id)
		}
	})
}

func TestIDText(t *testing.T) {
	type doc struct {
		ID   ID     `json:"id"`
		Hash Digest `json:"hash"`
	}
	for _, in := range []doc{{}, {ID: NewID(), Hash: Digest{1, 2, 31: 255}}} {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out doc
		if err := json.Unmarshal(b, &out); err != nil || out != in {
			t.Errorf("%s is read as %v, %v", b, out, err)
		}
	}
	for _, bad := range []string{`{"id":"x"}`, `{"hash":"00"}`, `{"hash":"` + strings.Repeat("g", 64) + `"}`} {
		if err := json.Unmarshal([]byte(bad), &doc{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if !(ID{}).IsZero() || !(Digest{}).IsZero() || (ID{}).String() != "" || (Digest{}).String() != "" {
		t.Error("an absent id or hash has a text")
	}
	if (ID{1}).Compare(ID{2}) != -1 || (ID{2}).Compare(ID{1}) != 1 || (ID{1}).Compare(ID{1}) != 0 {
		t.Error("ids compare wrongly")
	}
}
