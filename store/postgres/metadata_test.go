package postgres

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// Conditions on metadata have the meaning of audit.Filter.Match on any document
// that the door lets in: nested, escaped, with keys and values that look like
// parts of JSON.
func TestMetadataEqualsTheReference(t *testing.T) {
	s := open(t, Options{})
	words := []string{"a", "ab", "k", "", "1", "-1", "1.50", "1e3", "t", "true", "false", "null", "{", "[", "}", `"`, `\`, `a":"b`, `"a":1`, "ä", "\n", `\u0061`, ":", ","}
	word := rapid.SampledFrom(words)
	value := rapid.Custom(func(rt *rapid.T) any {
		switch rapid.IntRange(0, 9).Draw(rt, "kind") {
		case 0:
			return map[string]any{word.Draw(rt, "inner key"): word.Draw(rt, "inner value")}
		case 1:
			return []any{word.Draw(rt, "element"), 1}
		case 2:
			return json.RawMessage(rapid.SampledFrom([]string{"1", "-1", "1.50", "1e3", "-0", "1e400", "12345678901234567890"}).Draw(rt, "number"))
		case 3:
			return rapid.Bool().Draw(rt, "flag")
		case 4:
			return nil
		}
		return word.Draw(rt, "text")
	})
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		if runs++; runs > storetest.Rounds(100) {
			return
		}
		var docs []*string
		var recs []*audit.Record
		for range 20 {
			rec := &audit.Record{}
			if members := rapid.MapOfN(word, value, 0, 4).Draw(rt, "metadata"); rapid.IntRange(0, 9).Draw(rt, "absent") > 0 {
				text, err := json.Marshal(members)
				if err != nil {
					rt.Fatal(err)
				}
				if rec.Metadata, err = audit.CompactDocument(text); err != nil {
					rt.Fatal(err)
				}
				doc := string(rec.Metadata)
				docs = append(docs, &doc)
			} else {
				docs = append(docs, nil)
			}
			recs = append(recs, rec)
		}
		for range 10 {
			f := audit.Filter{
				Field:  audit.MetadataPrefix + rapid.SampledFrom(append(words[:3:3], words[4:]...)).Draw(rt, "key"),
				Op:     rapid.SampledFrom([]audit.Ops{audit.OpIs, audit.OpNot, audit.OpPrefix}).Draw(rt, "op"),
				Values: rapid.SliceOfN(word, 1, 10).Draw(rt, "values"),
			}
			q, err := (&audit.Query{Filters: []audit.Filter{f}}).Validate()
			if err != nil {
				continue // an empty prefix
			}
			f = q.Filters[0]
			var w where
			list := w.arg(docs)
			key, _ := f.MetadataKey()
			w.add("SELECT (")
			w.metadata(key, &f)
			w.add(") IS TRUE FROM unnest(", list, "::text[]) WITH ORDINALITY AS r(metadata, place) ORDER BY place")
			rows, err := s.main.Query(t.Context(), w.sql.String(), w.args...)
			if err != nil {
				rt.Fatal(err)
			}
			// All are read first: whoever fails in between keeps the connection.
			got, err := pgx.CollectRows(rows, pgx.RowTo[bool])
			if err != nil {
				rt.Fatal(err)
			}
			for i, got := range got {
				if want := f.Match(recs[i]); got != want {
					rt.Fatalf("%+v on %s: %v, want %v", f, recs[i].Metadata, got, want)
				}
			}
		}
	})
}

// Keys that look like what stands between two strings.
func TestMetadataKeysLikePunctuation(t *testing.T) {
	s := open(t, Options{})
	var recs []*audit.Record
	for i, doc := range []string{`{"a":":","{":","}`, `{":":","}`, `{"k,":":","x":1}`, `{",":":"}`} {
		recs = append(recs, at(1, today)...)
		recs[i].Metadata = []byte(doc)
	}
	appendAll(t, s, recs)
	for _, key := range []string{":", ",", "{", "k,", "a"} {
		for _, value := range []string{",", ":", "x"} {
			q := &audit.Query{Filters: []audit.Filter{audit.Is(audit.MetadataPrefix+key, value)}}
			n, err := s.Count(t.Context(), q)
			want := int64(0)
			for _, r := range recs {
				if q.Match(r) {
					want++
				}
			}
			if n != want || err != nil {
				t.Errorf("%s = %s: %d records, want %d (%v)", key, value, n, want, err)
			}
		}
	}
}
