package chain_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// vector is one published chain. Its JSON is written by write, because a record
// has to stay the bytes that it is.
type vector struct {
	About   string     `json:"about"`
	Key     chain.Key  `json:"key"`
	Head    chain.Head `json:"head"`
	Records []struct {
		Record   json.RawMessage `json:"record"`
		Encoding string          `json:"encoding"`
		SHA256   string          `json:"sha256"`
	} `json:"records"`
	Valid       bool         `json:"valid"`
	Pruned      []chain.Run  `json:"pruned"`
	FirstBroken *chain.Break `json:"first_broken"`
}

// vectors makes every published chain.
func vectors(t *testing.T) map[string]func() (about string, s *source) {
	add := func(s *source, k chain.Key, events ...audit.Event) {
		for i := range events {
			r := s.event(k)
			events[i].ID, events[i].Namespace, events[i].Tenant = r.ID, k.Namespace, k.Tenant
			if events[i].OccurredAt.IsZero() {
				events[i].OccurredAt = r.OccurredAt
			}
			r.Event = events[i]
			if err := audit.Normalize(r, epoch); err != nil {
				t.Fatal(err)
			}
			s.seal(k, r)
		}
	}
	one := func(about string, events ...audit.Event) func() (string, *source) {
		return func() (string, *source) {
			s := newSource()
			add(s, key, events...)
			return about, s
		}
	}
	// altered takes the plain chain and does something to it.
	altered := func(about string, alter func(*source)) func() (string, *source) {
		return func() (string, *source) {
			s := newChain(6)
			alter(s)
			s.sorted = nil
			return about, s
		}
	}
	doc := func(s string) json.RawMessage { return json.RawMessage(s) }
	return map[string]func() (string, *source){
		"minimal": one("One record with nothing but what every record has: fewer than 24 pairs, so the head of the map is one byte.",
			audit.Event{Action: "invoice.update"}),
		"chain": altered("A chain of six; each prev_hash is the hash before.", func(*source) {}),
		"unicode": one("Texts and documents are UTF-8. What a sender may not store (NUL, invalid UTF-8, lone surrogates) was replaced by U+FFFD before; escapes in documents stay as they were sent.",
			audit.Event{
				Action: "überweisung.anlegen", Actor: audit.Actor{Name: "Zoë 🦉 עברית e\u0301", ID: "a\x00b\xff"},
				Error:   "line one\nline two\t\"quoted\" \\ back \u2028 \x7f",
				Payload: doc(`{"caf\u00e9":"é", "e":"\ud83e\udd89","lone":"\ud800","nul":"\u0000","slash":"\/","<&>":"<&>"}`),
			}),
		"numbers": one("Numbers in documents are the bytes that were sent; a duration is whole microseconds, a time microseconds since 1970.",
			audit.Event{
				Action: "invoice.update", Duration: 1500 * time.Microsecond, OccurredAt: time.Date(2026, 1, 2, 3, 4, 5, 123_456_000, time.UTC),
				Payload:  doc(`[9007199254740993,18446744073709551616,1e400,-0,0.10,1E+2,-1.5e-9]`),
				Metadata: doc(`{"n": 1.0, "b": true}`), Request: audit.Request{Bytes: 23}, Response: audit.Response{Bytes: 24, Blocks: 65536},
			}),
		"empty": one("Empty texts, the number 0, false and null are absent and not encoded; empty documents that are not null are.",
			audit.Event{
				Action: "invoice.update", Actor: audit.Actor{ID: "u-1"}, Payload: doc(`{}`), Metadata: doc(` null `), Details: doc(`[]`),
				Changes: audit.Changes{Before: doc(`""`), After: doc(`0`)}, Tool: audit.Tool{Parameters: doc(`false`)},
			},
			audit.Event{Action: "invoice.update", Actor: audit.Actor{ID: "u-1"}}),
		"largest": one("The largest numbers and times, and a text at each length where the head of a CBOR string grows.",
			audit.Event{
				Action: "invoice.update", OccurredAt: time.Date(audit.MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC), Duration: audit.MaxDuration,
				ExpiresAt: time.Date(audit.MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
				Request:   audit.Request{Bytes: math.MaxInt64}, Response: audit.Response{Bytes: math.MaxUint32, Blocks: math.MaxUint32 + 1},
				Tool:  audit.Tool{Enrichment: audit.Enrichment{TokensFull: math.MaxInt64, TokensDedup: 1 << 53}},
				Actor: audit.Actor{ID: strings.Repeat("a", 23), Name: strings.Repeat("b", 24), Email: strings.Repeat("c", 255), Team: strings.Repeat("d", 256)},
			}),
		"all-fields": func() (string, *source) {
			s := newSource()
			s.grow(key, 1)
			k := chain.Key{Scope: scope, Segment: "writer-1/7"}
			s.heads[k] = chain.Head{Key: k, Sequence: 41, Hash: s.heads[key].Hash}
			r := s.event(k)
			for _, f := range audit.Fields() {
				if f.Absent(r) && f.Tag < 55 || f.Kind == audit.Document {
					setField(f, r, 1_700_000_000_000_000+int64(f.Tag), f.Name)
				}
			}
			r.ExternalID, r.Tool.Enrichment.Applied = "", true
			r.Metadata = doc(`{"metadata":"metadata"}`)
			s.seal(k, r)
			return "A record with every field but external_id, in a writer's segment; the records before it are not given, so verify from 42 on.", s
		},
		"external-id": func() (string, *source) {
			s := newSource()
			r := s.event(key)
			r.ID, r.ExternalID = audit.ID{}, "order 4711"
			if err := audit.Normalize(r, epoch); err != nil {
				t.Fatal(err)
			}
			s.seal(key, r)
			return "A sender's own id gives a UUID version 8 made from its SHA-256.", s
		},
		"pruned": altered("Retention removed 1 to 2, 4 and 6. The anchors are the records 7 and 8 of kind prune.", func(s *source) {
			var links []chain.Link
			for _, seq := range []int64{1, 2, 4, 6} {
				r := s.get(key, seq)
				links = append(links, chain.Link{Sequence: seq, PrevHash: r.PrevHash, Hash: r.Hash})
				s.remove(r)
			}
			head := s.heads[key]
			runs := chain.Runs(links)
			for i, part := range [][]chain.Run{runs[:2], runs[2:]} {
				r := chain.Anchor(key, part, "ninety days", epoch.Add(time.Duration(i)*time.Hour))
				r.ID = testID(int64(100 + i)) // so that the vector is always the same
				head = chain.Seal(head, []*audit.Record{r})
				s.insert(r)
			}
			s.heads[key] = head
		}),
		"broken-content": altered("The action of record 3 was changed.", func(s *source) { s.get(key, 3).Action = "invoice.delete" }),
		"broken-link": altered("The action of record 3 was changed and its hash computed anew.", func(s *source) {
			r := s.get(key, 3)
			r.Action = "invoice.delete"
			r.Hash, _ = chain.HashOf(r, nil)
		}),
		"broken-missing": altered("Record 3 was deleted.", func(s *source) { s.remove(s.get(key, 3)) }),
		"broken-tail":    altered("The last two records were deleted; the head still tells.", func(s *source) { s.remove(s.get(key, 5), s.get(key, 6)) }),
		"broken-twice": altered("Record 3 was inserted a second time, with other content and a right link.", func(s *source) {
			r := s.event(key)
			r.Sequence, r.PrevHash = 3, s.get(key, 2).Hash
			r.Hash, _ = chain.HashOf(r, nil)
			s.insert(r)
		}),
		"broken-head": altered("The head's hash was changed.", func(s *source) {
			h := s.heads[key]
			h.Hash[31] ^= 1
			s.heads[key] = h
		}),
	}
}

func TestVectors(t *testing.T) {
	made := vectors(t)
	if *update {
		if err := os.RemoveAll("testdata/vectors"); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll("testdata/vectors", 0o755); err != nil {
			t.Fatal(err)
		}
		for name, build := range made {
			about, s := build()
			if err := os.WriteFile(filepath.Join("testdata/vectors", name+".json"), write(t, about, s), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) != len(made) {
		t.Errorf("%d files for %d vectors: run go test ./chain -run TestVectors -update (%v)", len(files), len(made), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			published, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			checkVector(t, published)
			if build, ok := made[name]; ok {
				about, s := build()
				if diff := cmp.Diff(string(published), string(write(t, about, s))); diff != "" {
					t.Errorf("the published vector is not what is made today: %s", diff)
				}
			}
		})
	}
}

// checkVector does with a vector what a verifier of somebody else's would do.
func checkVector(t *testing.T, published []byte) {
	t.Helper()
	var v vector
	if err := json.Unmarshal(published, &v); err != nil {
		t.Fatal(err)
	}
	s := newSource()
	s.heads[v.Key] = v.Head
	for i, given := range v.Records {
		r, err := audit.DecodeRecord(given.Record)
		if err != nil {
			t.Fatal(err)
		}
		enc := chain.AppendEncoding(nil, r)
		if got := hex.EncodeToString(enc); got != given.Encoding {
			t.Errorf("record %d: encoding %s, want %s", i, got, given.Encoding)
		}
		sum := sha256.Sum256(enc)
		if got := hex.EncodeToString(sum[:]); got != given.SHA256 {
			t.Errorf("record %d: hash %s, want %s", i, got, given.SHA256)
		}
		if got := r.AppendJSON(nil); !bytes.Equal(got, given.Record) {
			t.Errorf("record %d is written differently: %s", i, cmp.Diff(string(given.Record), string(got)))
		}
		s.recs = append(s.recs, r)
	}
	from := int64(0)
	if v.Key.Segment != "" {
		from = s.recs[0].Sequence
	}
	report := check(t, s, v.Key, chain.VerifyOptions{From: from})
	if report.Valid != v.Valid {
		t.Errorf("valid = %v: %+v", report.Valid, report.FirstBroken)
	}
	if diff := cmp.Diff(v.Pruned, runsOf(report)); diff != "" && v.Valid {
		t.Error(diff)
	}
	if diff := cmp.Diff(v.FirstBroken, report.FirstBroken, cmpopts.IgnoreFields(chain.Break{}, "Detail")); diff != "" {
		t.Error(diff)
	}
}

// write gives the vector's JSON, a record a line.
func write(t *testing.T, about string, s *source) []byte {
	t.Helper()
	k := key
	for other := range s.heads {
		if other.Segment != "" {
			k = other
		}
	}
	recs := s.chain(k)
	from := int64(0)
	if k.Segment != "" {
		from = recs[0].Sequence
	}
	report := check(t, s, k, chain.VerifyOptions{From: from})
	var b bytes.Buffer
	put := func(name string, v any, end string) {
		j := json.NewEncoder(&b)
		j.SetEscapeHTML(false)
		b.WriteString("  \"" + name + "\": ")
		if err := j.Encode(v); err != nil {
			t.Fatal(err)
		}
		b.Truncate(b.Len() - 1)
		b.WriteString(end + "\n")
	}
	b.WriteString("{\n")
	put("about", about, ",")
	put("key", k, ",")
	put("head", s.heads[k], ",")
	b.WriteString("  \"records\": [\n")
	for i, r := range recs {
		enc := chain.AppendEncoding(nil, r)
		sum := sha256.Sum256(enc)
		b.WriteString("    {\n      \"record\": ")
		b.Write(r.AppendJSON(nil))
		b.WriteString(",\n      \"encoding\": \"" + hex.EncodeToString(enc) + "\",\n      \"sha256\": \"" + hex.EncodeToString(sum[:]) + "\"\n    }")
		if i < len(recs)-1 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
	}
	b.WriteString("  ],\n")
	put("valid", report.Valid, ",")
	if b := report.FirstBroken; b != nil {
		b.Detail = ""
		put("first_broken", b, ",")
	}
	put("pruned", runsOf(report), "")
	b.WriteString("}\n")
	return b.Bytes()
}

// runsOf gives the removed runs of a report; the reasons stand in the anchors,
// which the vectors hold.
func runsOf(report *chain.Report) []chain.Run {
	runs := []chain.Run{}
	for _, p := range report.Pruned {
		runs = append(runs, p.Run)
	}
	return runs
}
