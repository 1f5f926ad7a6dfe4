package storetest

import (
	"testing"

	"github.com/annals-dev/annals/audit"
)

func TestCorpusIsTheSameForTheSameSeed(t *testing.T) {
	a, b := Corpus(1, 300), Corpus(1, 300)
	refs := map[audit.Ref]bool{}
	ids := map[audit.ID]int{}
	for i := range a {
		if string(a[i].AppendJSON(nil)) != string(b[i].AppendJSON(nil)) {
			t.Fatalf("record %d differs", i)
		}
		refs[a[i].Ref()] = true
		ids[a[i].ID]++
	}
	if len(refs) != len(a) {
		t.Errorf("%d refs for %d records", len(refs), len(a))
	}
	if len(ids) == len(a) {
		t.Error("no id occurs in two tenants")
	}
}

// A generator whose questions select nothing, or everything, would test nothing.
func TestQueriesSelectSomething(t *testing.T) {
	recs := Corpus(2, 500)
	r := NewRand(3)
	const questions = 600
	some, all := 0, 0
	for range questions {
		q := RandomQuery(r, recs...)
		n := 0
		for _, rec := range recs {
			if q.Match(rec) {
				n++
			}
		}
		if n > 0 {
			some++
		}
		if n == len(recs) {
			all++
		}
	}
	if some < questions/2 || all > questions/3 {
		t.Errorf("of %d questions %d select something and %d everything", questions, some, all)
	}
}

// Every dimension that a sender can fill must vary in the corpus.
func TestCorpusVariesEveryDimension(t *testing.T) {
	recs := Corpus(4, 500)
	for _, d := range audit.Dimensions() {
		if d.Name == "sequence" || d.Name == "segment" {
			continue // the chain's own
		}
		values := map[string]bool{}
		for _, rec := range recs {
			values[d.Text(rec)] = true
		}
		if len(values) < 2 {
			t.Errorf("%s has one value only", d.Name)
		}
	}
}
