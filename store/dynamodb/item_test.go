package dynamodb

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// No two items have the same key, whatever their namespaces, tenants and names are.
func TestKeysDoNotCollide(t *testing.T) {
	part := rapid.StringOf(rapid.RuneFrom([]rune("#%a23SEQHADPRUN")))
	id := audit.NewID()
	rapid.Check(t, func(t *rapid.T) {
		a := audit.Scope{Namespace: part.Draw(t, "a.namespace"), Tenant: part.Draw(t, "a.tenant")}
		b := audit.Scope{Namespace: part.Draw(t, "b.namespace"), Tenant: part.Draw(t, "b.tenant")}
		keys := map[string]audit.Scope{}
		for _, s := range []audit.Scope{a, b} {
			p := partition(s)
			if got, ok := scopeOf(p); !ok || got != s {
				t.Fatalf("%q reads as %+v, want %+v", p, got, s)
			}
			if scope, got, ok := splitRecordKey(recordKey(p, id)); !ok || scope != s || got != id {
				t.Fatalf("the key %q reads as %+v %v", recordKey(p, id), scope, got)
			}
			for _, key := range []string{recordKey(p, id), fenceKey(p, "", 7), fenceKey(p, "s", 7), headKey(p, ""), headKey(p, "s"), segmentsKey(p), leadKey(p), pruneKey(p, id)} {
				if other, ok := keys[key]; ok && other != s {
					t.Fatalf("%+v and %+v share the key %q", s, other, key)
				}
				keys[key] = s
			}
			for _, key := range []string{fenceKey(p, "", 7), fenceKey(p, "s", 7), headKey(p, ""), headKey(p, "s"), segmentsKey(p), leadKey(p), pruneKey(p, id), ownKey(kindDir, "1"), duePartition(p)} {
				if _, _, ok := splitRecordKey(key); ok {
					t.Fatalf("%q reads as the key of a record", key)
				}
			}
			if _, ok := scopeOf(duePartition(p)); ok {
				t.Fatalf("%q reads as a scope", duePartition(p))
			}
		}
		if a != b && len(keys) != 16 || a == b && len(keys) != 8 {
			t.Fatalf("%d keys", len(keys))
		}
	})
}

// The largest record that the door lets pass is an item that DynamoDB takes.
func TestOverhead(t *testing.T) {
	r := event(audit.Scope{Namespace: strings.Repeat("#", 128), Tenant: strings.Repeat("#", 128)}, start, func(r *audit.Record) {
		for _, f := range audit.Fields() {
			switch {
			case f.Name == "namespace" || f.Name == "tenant" || f.Name == "external_id" || f.Name == "kind" || f.Name == "operation" || f.Name == "outcome":
			case f.Kind == audit.Text:
				f.SetText(r, strings.Repeat("x", f.Limit))
			case f.Kind == audit.Number:
				f.SetInt(r, math.MaxInt64)
			case f.Kind == audit.Span:
				f.SetInt(r, audit.MaxDuration.Microseconds())
			case f.Kind == audit.Flag:
				f.SetInt(r, 1)
			case f.Kind == audit.Hash:
				f.SetBytes(r, []byte(strings.Repeat("x", 32)))
			case f.Kind == audit.Document:
				f.SetBytes(r, []byte(`{"a":1}`))
			}
		}
		r.ExpiresAt = start
	})
	r.Payload = json.RawMessage(`"` + strings.Repeat("x", recordBytes) + `"`)
	s := &Store{opt: Options{Now: func() time.Time { return start }}}
	for kept := bytesOf(r) - recordBytes; kept > 0; kept = bytesOf(r) - recordBytes {
		r.Payload = json.RawMessage(`"` + strings.Repeat("x", len(r.Payload)-2-kept) + `"`)
	}
	if err := audit.Truncate(storetest.Clone(r), recordBytes); err != nil || bytesOf(r) != recordBytes {
		t.Fatalf("%d bytes: %v", bytesOf(r), err)
	}
	m, _ := s.stamped(r, nil)
	if n := sizeOf(m); n > maxItem {
		t.Errorf("the item has %d bytes, %d more than its record", n, n-recordBytes)
	}
	if n := sizeOf(fenceItem(partition(r.Scope()), r, make([]byte, 16), due{at: 1 << 33})); n > fenceRoom {
		t.Errorf("the fence has %d bytes", n)
	}
}

// Every record comes back from its item.
func TestItemRoundtrip(t *testing.T) {
	for _, r := range storetest.Corpus(301, 500) {
		r.Sequence, r.Hash, r.PrevHash = 1<<53+1, audit.Digest{1}, audit.Digest{31: 2}
		got, err := decode(encode(r))
		if err != nil || storetest.Diff(r, got) != "" {
			t.Fatalf("%v\n%s", err, storetest.Diff(r, got))
		}
	}
	for _, key := range []string{"", "a", "a#b", "a#b#c", "SEQ#a#b#1", "a#b#" + strings.ToUpper(audit.NewID().String()), "a#b#c#" + audit.NewID().String()} {
		if r, err := decode(keyOf(key)); err == nil {
			t.Errorf("%q reads as %v", key, r.Ref())
		}
	}
}

// Every field has an attribute of its own, and none of them is one that means
// something else in an item.
func TestNames(t *testing.T) {
	seen := map[string]string{attrID: "", attrPartition: "", attrDispatched: "", attrTTL: "", attrHeld: "", attrMark: "", attrRecord: ""}
	for _, a := range attributes {
		if other, ok := seen[a.name]; ok {
			t.Errorf("%s has the attribute %s, which %q has", a.Name, a.name, other)
		}
		seen[a.name] = a.Name
	}
	for name := range shortNames {
		if _, ok := audit.FieldByName(name); !ok {
			t.Errorf("%s is no field", name)
		}
	}
}
