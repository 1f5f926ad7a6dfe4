package chain_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// decodeEncoding decodes into a record that held something before, and checks
// what must be true of every answer.
func decodeEncoding(t interface{ Fatal(...any) }, b []byte) (*audit.Record, error) {
	r := &audit.Record{}
	for _, f := range audit.Fields() {
		setField(f, r, 1_000_000, "what was there before")
	}
	given := slices.Clone(b)
	err := chain.DecodeEncoding(given, r)
	if !bytes.Equal(given, b) {
		t.Fatal("the bytes were changed")
	}
	if err != nil {
		var e *audit.Error
		if !errors.As(err, &e) || e.Code != audit.CodeInvalid || e.Field == "" {
			t.Fatal("an error without code or field: ", err)
		}
		if diff := cmp.Diff(&audit.Record{}, r); diff != "" {
			t.Fatal("after an error the record holds ", diff)
		}
		return nil, err
	}
	clear(given) // the record must not share it
	if again := chain.AppendEncoding(nil, r); !bytes.Equal(again, b) {
		t.Fatal("accepted ", hex.EncodeToString(b), ", which is encoded as ", hex.EncodeToString(again))
	}
	if !r.Hash.IsZero() {
		t.Fatal("a hash that is in no encoding")
	}
	return r, nil
}

func TestDecodeEncodingIsTheInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		got, err := decodeEncoding(t, chain.AppendEncoding(nil, r))
		if err != nil {
			t.Fatal(err)
		}
		r.Hash = audit.Digest{}
		if diff := cmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestDecodeEncodingOfEachField(t *testing.T) {
	for _, f := range audit.Fields() {
		for _, n := range []int64{1, 23, 24, 255, 256, math.MaxUint16 + 1, math.MaxUint32 + 1, math.MaxInt64, -1, -25, math.MinInt64} {
			r := &audit.Record{}
			setField(f, r, n, strings.Repeat("x", int(n&0x1ffff)))
			got, err := decodeEncoding(t, chain.AppendEncoding(nil, r))
			if err != nil {
				t.Fatal(f.Name, err)
			}
			r.Hash = audit.Digest{}
			if diff := cmp.Diff(r, got); diff != "" {
				t.Error(f.Name, diff)
			}
		}
	}
}

func TestDecodeEncodingOfTheVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		for i, given := range v.Records {
			want, err := audit.DecodeRecord(given.Record)
			if err != nil {
				t.Fatal(err)
			}
			want.Hash = audit.Digest{}
			enc, err := hex.DecodeString(given.Encoding)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeEncoding(t, enc)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s, record %d: %s", file, i, diff)
			}
		}
	}
}

func TestDecodeEncodingRefuses(t *testing.T) {
	id := "0150" + strings.Repeat("07", 16)
	for in, want := range map[string]string{
		"":                                  "encoding: is missing",
		"80":                                "encoding: is of another type",
		"a0":                                "encoding: does not begin with its version",
		"bf0001ff":                          "encoding: has a length that is not definite",
		"a10101":                            "encoding: does not begin with its version",
		"a1":                                "encoding: does not begin with its version",
		"a100":                              "encoding: is not of version 1",
		"a10002":                            "encoding: is not of version 1",
		"a1000100":                          "encoding: is followed by other bytes",
		"b8010001":                          "encoding: is not in its shortest form",
		"b8":                                "encoding: ends too early",
		"bbffffffffffffffff0001":            "encoding: is missing",
		"a20001" + "0361":                   "namespace: is longer than what is left",
		"a20001" + "0360":                   "namespace: is empty",
		"a20001" + "0341":                   "namespace: is of another type",
		"a20001" + "037f6161ff":             "namespace: has a length that is not definite",
		"a20001" + "03780161":               "namespace: is not in its shortest form",
		"a20001" + "037bffffffffffffffff61": "namespace: is longer than what is left",
		"a20001" + "03":                     "namespace: is missing",
		"a30001" + "03616103":               "encoding: has the key 3 after the key 3",
		"a30001" + "046161" + "036161":      "encoding: has the key 3 after the key 4",
		"a20001" + "0001":                   "encoding: has the key 0 after the key 0",
		"a20001" + "20":                     "encoding: is of another type",
		"a20001" + "183a5820":               "encoding: has the key 58, which is that of no field",
		"a20001" + "18416161":               "encoding: has the key 65, which is that of no field",
		"a20001" + "19ffff":                 "encoding: has the key 65535, which is that of no field",
		"a20001" + "0150" + strings.Repeat("00", 16): "id: is zero or of a wrong length",
		"a20001" + "014f" + strings.Repeat("07", 15): "id: is zero or of a wrong length",
		"a20001" + "0151" + strings.Repeat("07", 17): "id: is zero or of a wrong length",
		"a20001" + id + "00":                         "encoding: is followed by other bytes",
		"a20001" + "0600":                            "occurred_at: is 0, which it cannot be",
		"a20001" + "061bffffffffffffffff":            "occurred_at: is too large a number",
		"a20001" + "061901":                          "occurred_at: ends too early",
		"a20001" + "063bffffffffffffffff":            "occurred_at: is too large a number",
		"a20001" + "0640":                            "occurred_at: is of another type",
		"a20001" + "063b00dcbffeff2bbfff":            "occurred_at: is -62135596800000000, which it cannot be", // the zero time
		"a20001" + "081b7fffffffffffffff":            "duration_ms: is 9223372036854775807, which it cannot be",
		"a20001" + "182502":                          "tool.enrichment.applied: is 2, which it cannot be",
		"a20001" + "182520":                          "tool.enrichment.applied: is -1, which it cannot be",
		"a20001" + "181825":                          "resource.type: is of another type",
		"a20001" + "1817" + "6161":                   "encoding: is not in its shortest form",
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(in, err)
		}
		if r, err := decodeEncoding(t, b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %+v, %v, want %s", in, r, err, want)
		}
	}
}

// Every prefix is refused, and every flipped bit is refused or another record.
func TestDecodeEncodingOfDamage(t *testing.T) {
	r := typicalRecord(1)
	chain.Seal(chain.Head{Sequence: 41, Hash: audit.Digest{1}}, []*audit.Record{r})
	r.Metadata = json.RawMessage(`{"a":1}`)
	enc := chain.AppendEncoding(nil, r)
	for n := range enc {
		if _, err := decodeEncoding(t, enc[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes are accepted", n, len(enc))
		}
		for bit := range 8 {
			bad := slices.Clone(enc)
			bad[n] ^= 1 << bit
			_, _ = decodeEncoding(t, bad)
		}
	}
}

func TestDecodeEncodingAllocatesTextsAndDocumentsAtOnce(t *testing.T) {
	r := typicalRecord(1)
	r.Metadata = json.RawMessage(`{"a":1}`)
	enc := chain.AppendEncoding(nil, r)
	var got audit.Record
	n := testing.AllocsPerRun(100, func() {
		if err := chain.DecodeEncoding(enc, &got); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("decoding allocates %v times", n)
	}
	// Nothing of one document reaches into the next.
	_ = append(got.Metadata, "overwritten"...)
	if diff := cmp.Diff(r, &got); diff != "" {
		t.Error(diff)
	}
}

func FuzzDecodeEncoding(f *testing.F) {
	f.Add(chain.AppendEncoding(nil, typicalRecord(1)))
	f.Add(chain.AppendEncoding(nil, &audit.Record{}))
	full := &audit.Record{}
	for _, field := range audit.Fields() {
		setField(field, full, int64(1000+field.Tag), field.Name)
	}
	f.Add(chain.AppendEncoding(nil, full))
	f.Add([]byte{0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = decodeEncoding(t, b) })
}

func BenchmarkDecodeEncoding(b *testing.B) {
	enc := chain.AppendEncoding(nil, typicalRecord(1))
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	var r audit.Record
	for b.Loop() {
		if err := chain.DecodeEncoding(enc, &r); err != nil {
			b.Fatal(err)
		}
	}
}
