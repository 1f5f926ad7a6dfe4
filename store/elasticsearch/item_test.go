package elasticsearch

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// What is written is JSON, and what is read back is the record.
func TestSourceRoundtrip(t *testing.T) {
	for _, r := range storetest.Corpus(5, 300) {
		doc := appendDocument(nil, r, true)
		if !json.Valid(doc) {
			t.Fatalf("not JSON: %s", doc)
		}
		for _, src := range [][]byte{doc, appendSource(nil, r)} {
			got, err := decode(src)
			if err != nil {
				t.Fatal(err)
			}
			if d := storetest.Diff(r, got); d != "" {
				t.Fatal(d)
			}
		}
	}
}

// A server may lay out the source anew.
func TestDecodeOtherLayouts(t *testing.T) {
	r, err := decode([]byte("{ \"action\" : \"a\\u00e9\\/b\",\n\"nested\":{\"a\":[1,{\"b\":\"}\"}],\"c\":{}}, \"list\":[ ], \"enriched\": true ,\"tokens_full\":12}"))
	if err != nil || r.Action != "aé/b" || !r.Tool.Enrichment.Applied || r.Tool.Enrichment.TokensFull != 12 {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "{", `{"action":1}`, `{"action":"a`, `{"x":}`, `{"x":[}`, `{"occurred_at":"x"}`, `{"id":"zz"}`} {
		if _, err := decode([]byte(bad)); err == nil {
			t.Errorf("%s was read", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, r := range storetest.Corpus(6, 5) {
		f.Add(appendSource(nil, r))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := decode(src)
		if err == nil && r == nil {
			t.Error("no record and no error")
		}
	})
}

func TestDocumentIDs(t *testing.T) {
	id := audit.NewID()
	seen := map[string]audit.Ref{}
	ref := func(namespace, tenant string, id audit.ID) audit.Ref {
		return audit.Ref{Namespace: namespace, Tenant: tenant, ID: id}
	}
	for _, ref := range []audit.Ref{ref("", "", id), ref("a", "", id), ref("", "a", id), ref("a", "b", id), ref("ab", "", id), ref("a", "b", audit.NewID())} {
		name := documentID(ref)
		if other, taken := seen[name]; taken || len(name) != 43 {
			t.Errorf("%v and %v share %s", ref, other, name)
		}
		seen[name] = ref
	}
}

func TestMetadataTerms(t *testing.T) {
	if metadataKey("a")+"" == metadataTerm("", "a") || metadataTerm("a", "b=c") == metadataTerm("a=b", "c") || metadataKey("a=b") == metadataTerm("a", "b") {
		t.Error("two conditions have one term")
	}
	long := strings.Repeat("é", 1000)
	if got := cutValue(long); len(got) > maxValue || !strings.HasPrefix(long, got) || len(got) < maxValue-3 {
		t.Errorf("cut to %d bytes", len(got))
	}
}

// The mapping has the same fields whatever is recorded.
func TestMappingIsBounded(t *testing.T) {
	m := mapping(true)
	if m["dynamic"] != false {
		t.Error("the mapping grows")
	}
	if n := len(m["properties"].(object)); n > 100 {
		t.Errorf("%d fields", n)
	}
	for _, d := range audit.Dimensions() {
		if m["properties"].(object)[d.Name] == nil {
			t.Errorf("%s is a dimension and not mapped", d.Name)
		}
	}
}

// A payload with ten thousand keys is stored, searched and read like any other.
func TestHostilePayload(t *testing.T) {
	s := openStore(t, serverOptions(t))
	var doc strings.Builder
	doc.WriteString(`{"fox":"quick"`)
	for i := range 10_000 {
		fmt.Fprintf(&doc, `,"key %d.$[x]":{"deep":{"er":"value%d"}}`, i, i)
	}
	doc.WriteString("}")
	r := event("a", start, func(r *audit.Record) {
		r.Payload = json.RawMessage(doc.String())
		r.Metadata = json.RawMessage(manyKeys(10_000))
	})
	results, err := s.Append(t.Context(), []*audit.Record{r})
	stored(t, results, err)
	refreshed(t, s)
	for _, q := range []audit.Query{{Text: "value9999"}, {Filters: []audit.Filter{audit.Is("metadata.k9999", "v9999")}}} {
		v, err := q.Validate()
		if err != nil {
			t.Fatal(err)
		}
		page, err := s.Query(t.Context(), v)
		if err != nil || len(page.Records) != 1 || storetest.Diff(r, page.Records[0]) != "" {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func manyKeys(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"k%d":"v%d"`, i, i)
	}
	return "{" + b.String()[1:] + "}"
}
