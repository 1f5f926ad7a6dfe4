package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// The vectors that the server reads are those of the reference: every token,
// and every member of the metadata under its own name.
func TestVectorsHoldEveryToken(t *testing.T) {
	s := open(t, Options{})
	recs := storetest.Corpus(3, 100)
	appendAll(t, s, recs)
	c := newStranger(t, s)
	for _, r := range recs {
		want := map[string]bool{}
		audit.EachToken(r, func(token string) { want[token] = true })
		audit.EachMetadata(r.Metadata, func(key, value string) { want[string(appendMember(nil, key, value))] = true })
		scope, _, err := s.scopeNumber(t.Context(), s.main, r.Scope())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if err := c.QueryRow(t.Context(), s.sql("SELECT tsvector_to_array(search) FROM @records WHERE id = $1 AND scope = $2"), [16]byte(r.ID), scope).Scan(&got); err != nil {
			t.Fatal(err)
		}
		list := []string{}
		for token := range want {
			list = append(list, token)
		}
		slices.Sort(list)
		slices.Sort(got)
		if d := cmp.Diff(list, got); d != "" {
			t.Fatalf("%v (-want +got):\n%s", r.ID, d)
		}
	}
}

// A record with more metadata or more words than a vector holds is stored, and
// found by all of its metadata.
func TestVectorsThatAreFull(t *testing.T) {
	s := open(t, Options{})
	members := map[string]string{}
	for i := range 2 * maxMembers {
		members[fmt.Sprintf("key%d", i)] = fmt.Sprintf("value %d", i)
	}
	metadata, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	// Letters that have three bytes in lower case, and two before.
	var words strings.Builder
	for i := 0; words.Len() < audit.MaxRecordBytes-len(metadata)-2000; i++ {
		fmt.Fprintf(&words, "ȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺȺ%d ", i)
	}
	payload, err := json.Marshal(words.String())
	if err != nil {
		t.Fatal(err)
	}
	rec := storetest.Corpus(4, 1)[0]
	rec.Metadata, rec.Payload = metadata, payload
	appendAll(t, s, []*audit.Record{rec})
	s.glanceRecords = 0 // so that the index has to say it
	for _, i := range []int{0, maxMembers - 1, maxMembers, 2*maxMembers - 1} {
		key, value := fmt.Sprintf("metadata.key%d", i), fmt.Sprintf("value %d", i)
		for _, filters := range [][]audit.Filter{{audit.Is(key, value)}, {audit.Prefix(key, value[:7])}} {
			n, err := s.Count(t.Context(), &audit.Query{Filters: filters})
			page, qerr := s.Query(t.Context(), &audit.Query{Filters: filters})
			if err != nil || qerr != nil || n != 1 || len(page.Records) != 1 {
				t.Errorf("%v: counted %d, found %v; %v, %v", filters, n, page, err, qerr)
			}
		}
	}
}

func TestTextWithoutItsIndex(t *testing.T) {
	s := open(t, Options{NoFullText: true})
	recs := storetest.Corpus(5, 60)
	appendAll(t, s, recs)
	s.glanceRecords = 0
	q := &audit.Query{Text: "word"}
	_, err := s.Query(t.Context(), q)
	_, cerr := s.Count(t.Context(), q)
	serr := s.Scan(t.Context(), q, func(*audit.Record) error { return nil })
	for _, err := range []error{err, cerr, serr} {
		if audit.CodeOf(err) != audit.CodeUnsupported {
			t.Errorf("full text without its index: %v", err)
		}
	}
	// Metadata has its index all the same.
	for _, r := range recs {
		audit.EachMetadata(r.Metadata, func(key, value string) {
			if key == "" || value == "" || t.Failed() {
				return
			}
			q, err := (&audit.Query{Filters: []audit.Filter{audit.Is("metadata."+key, value)}}).Validate()
			if err != nil {
				return
			}
			want := storetest.Answer(recs, q)
			if n, err := s.Count(context.Background(), q); err != nil || n != int64(len(want)) {
				t.Errorf("metadata.%s = %q: %d, %v, want %d", key, value, n, err, len(want))
			}
		})
	}
}

func TestLexemesAreQuoted(t *testing.T) {
	terms, err := audit.ParseText(`it's "a" & !b | c:* <-> \d* %_`)
	if err != nil {
		t.Fatal(err)
	}
	want := `'a' & 'b' & 'c':* & 'd':* & 'it' & 's'`
	if got := wordsQuery(terms); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var b strings.Builder
	quoteLexeme(&b, `'\`)
	if b.String() != `'''\\'` {
		t.Errorf("got %s", b.String())
	}
}

func TestMemberQuery(t *testing.T) {
	for _, c := range []struct {
		f     audit.Filter
		words bool
		ok    bool
	}{
		{audit.Is("metadata.env", "prod"), false, true},
		{audit.Is("metadata.env", "prod", ""), true, false},
		{audit.Not("metadata.env", "prod"), true, false},
		{audit.Prefix("metadata.env", "pro"), true, true},
		{audit.Prefix("metadata.env", "pro"), false, false},
		{audit.Prefix("metadata.env", "-/"), true, false},
		{audit.Is("actor", "x"), true, false},
	} {
		if query, ok := memberQuery(&c.f, c.words); ok != c.ok {
			t.Errorf("%+v: %q, %v", c.f, query, ok)
		}
	}
}
