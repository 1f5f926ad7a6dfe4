package chain_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"
)

// drawRecord gives a record with any of its fields set to anything.
func drawRecord(t *rapid.T) *audit.Record {
	r := &audit.Record{}
	share := rapid.IntRange(0, 10).Draw(t, "share of fields")
	for _, f := range audit.Fields() {
		if rapid.IntRange(1, 10).Draw(t, "set") <= share {
			setField(f, r, rapid.Int64().Draw(t, f.Name), rapid.String().Draw(t, f.Name))
		}
	}
	return r
}

// setField gives a field of any kind a value made of n and s.
func setField(f *audit.Field, r *audit.Record, n int64, s string) {
	switch f.Kind {
	case audit.Text:
		f.SetText(r, s)
	case audit.Document:
		doc, _ := json.Marshal(s)
		f.SetBytes(r, doc)
	case audit.Identity, audit.Hash:
		b := binary.BigEndian.AppendUint64(nil, uint64(n))
		f.SetBytes(r, bytes.Repeat(b, 4))
	case audit.Span:
		f.SetInt(r, n/1000) // a duration holds nanoseconds
	case audit.Instant:
		f.SetInt(r, n/4) // what time.UnixMicro can hold and give back
	default:
		f.SetInt(r, n)
	}
}

// tableMap is the encoding's map, by the field table.
func tableMap(r *audit.Record) map[int]any {
	m := map[int]any{0: chain.Version}
	for _, f := range audit.Fields() {
		switch {
		case f.Name == "hash" || f.Absent(r):
		case f.Kind == audit.Text:
			m[f.Tag] = f.Text(r)
		case f.Kind == audit.Document:
			m[f.Tag] = string(f.Bytes(r))
		case f.Kind == audit.Identity || f.Kind == audit.Hash:
			m[f.Tag] = f.Bytes(r)
		default:
			m[f.Tag] = f.Int(r)
		}
	}
	return m
}

func deterministic(t interface{ Fatal(...any) }, v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The hand-written encoder says what an independent implementation of RFC 8949
// says of the field table.
func TestEncodingIsDeterministicCBOR(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		want := deterministic(t, tableMap(r))
		if got := chain.AppendEncoding(nil, r); !bytes.Equal(got, want) {
			t.Fatalf("got  %x\nwant %x", got, want)
		}
		prefix := []byte("before")
		if got := chain.AppendEncoding(slices.Clone(prefix), r); !bytes.Equal(got, append(prefix, want...)) {
			t.Fatalf("behind a prefix: got %x", got)
		}
		if got, _ := chain.HashOf(r, []byte("scratch")); got != audit.Digest(sha256.Sum256(want)) {
			t.Fatal("HashOf is not SHA-256 of the encoding")
		}
	})
}

// No field can be forgotten: each, alone and last among the others, is encoded
// under its tag.
func TestEncodingFollowsTheFieldTable(t *testing.T) {
	full := &audit.Record{}
	for _, f := range audit.Fields() {
		for _, n := range []int64{1, 23, 24, 255, 256, math.MaxUint16, math.MaxUint16 + 1, math.MaxUint32, math.MaxUint32 + 1, 1 << 53, math.MaxInt64, -1, -24, -25, math.MinInt64} {
			r := &audit.Record{}
			setField(f, r, n, "value")
			if got, want := chain.AppendEncoding(nil, r), deterministic(t, tableMap(r)); !bytes.Equal(got, want) {
				t.Errorf("%s = %d alone: got %x, want %x", f.Name, n, got, want)
			}
		}
		for _, size := range []int{1, 23, 24, 255, 256, 65535, 65536} {
			r := &audit.Record{}
			setField(f, r, 1, string(bytes.Repeat([]byte("x"), size)))
			if got, want := chain.AppendEncoding(nil, r), deterministic(t, tableMap(r)); !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes alone is encoded wrongly", f.Name, size)
			}
		}
		setField(f, full, int64(1000+f.Tag), "value of "+f.Name)
		if got, want := chain.AppendEncoding(nil, full), deterministic(t, tableMap(full)); !bytes.Equal(got, want) {
			t.Errorf("%s with those before it: got %x, want %x", f.Name, got, want)
		}
	}
}

func TestEveryFieldChangesTheHash(t *testing.T) {
	r := &audit.Record{}
	for _, f := range audit.Fields() {
		setField(f, r, 1_700_000_000_000_000, "v")
	}
	before, _ := chain.HashOf(r, nil)
	for _, f := range audit.Fields() {
		changed := *r
		change(f, &changed)
		after, _ := chain.HashOf(&changed, nil)
		if (after != before) == (f.Name == "hash") {
			t.Errorf("%s: changed = %v", f.Name, after != before)
		}
		absent := *r
		setField(f, &absent, 0, "")
		if f.Kind == audit.Document {
			f.SetBytes(&absent, nil)
		}
		if after, _ := chain.HashOf(&absent, nil); (after != before) == (f.Name == "hash") {
			t.Errorf("%s: removal changed the hash = %v", f.Name, after != before)
		}
	}
}

// change gives a field another value of its kind, the next one to the old.
func change(f *audit.Field, r *audit.Record) {
	switch f.Kind {
	case audit.Text:
		f.SetText(r, f.Text(r)+"x")
	case audit.Document:
		f.SetBytes(r, append(slices.Clone(f.Bytes(r)), ' '))
	case audit.Identity, audit.Hash:
		b := make([]byte, 32)
		copy(b, f.Bytes(r))
		b[15] ^= 1
		f.SetBytes(r, b)
	case audit.Flag:
		f.SetInt(r, 1-f.Int(r))
	default:
		f.SetInt(r, f.Int(r)+1)
	}
}

// The same value in two fields, or moved between them, is never the same hash.
func TestFieldsAreNotInterchangeable(t *testing.T) {
	seen := map[audit.Digest]string{}
	for _, f := range audit.Fields() {
		if f.Name == "hash" {
			continue
		}
		r := &audit.Record{}
		setField(f, r, 7, "7")
		sum, _ := chain.HashOf(r, nil)
		if other, ok := seen[sum]; ok {
			t.Errorf("%s and %s give the same hash", f.Name, other)
		}
		seen[sum] = f.Name
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	r := typicalRecord(1)
	var buf []byte
	_, buf = chain.HashOf(r, buf)
	if n := testing.AllocsPerRun(100, func() { _, buf = chain.HashOf(r, buf) }); n != 0 {
		t.Errorf("HashOf allocates %v times", n)
	}
}
