package conformance

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/model"
	"github.com/annals-dev/annals/store/storetest"
)

// minQuestions keeps the corpus from shrinking unnoticed.
const minQuestions = 200

// question is one line of testdata/questions.txt.
type question struct {
	line   int
	expect string // some, none or refused
	path   string // below /v1; "pages" is events, page after page
	query  string // as it stands behind the ?
}

func (q question) String() string {
	return fmt.Sprintf("questions.txt:%d: %s?%s", q.line, q.path, q.query)
}

func readQuestions(t *testing.T) (out []question) {
	t.Helper()
	text, err := os.ReadFile("testdata/questions.txt")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		expect, rest, _ := strings.Cut(line, " ")
		path, query, _ := strings.Cut(rest, "?")
		if !slices.Contains([]string{"some", "none", "refused"}, expect) || path == "" || seen[rest] {
			t.Fatalf("questions.txt:%d: %q is not EXPECTED PATH?QUERY, or it is there twice", i+1, line)
		}
		seen[rest] = true
		out = append(out, question{i + 1, expect, path, query})
	}
	if len(out) < minQuestions {
		t.Errorf("%d questions, want %d at least", len(out), minQuestions)
	}
	return out
}

// TestQuestions asks every engine the same and wants the same answers: those of
// the memory engine, which for plain questions must be those of audit.Query.Match.
func TestQuestions(t *testing.T) {
	t.Parallel()
	questions := readQuestions(t)
	recs := questioned()
	now := storetest.CorpusStart.Add(60 * time.Hour)
	sites := openSites(t, at(now))
	var wg sync.WaitGroup
	for _, s := range sites {
		wg.Go(func() { s.fill(t, recs) })
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	m := model.New()
	m.AppendChained(recs)

	reference := make([]answer, len(questions))
	for i, q := range questions {
		reference[i] = sites["memory"].ask(t, q)
		checkReference(t, m, q, reference[i])
	}
	delete(sites, "memory")
	for engine, s := range sites {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			for i, q := range questions {
				got := s.ask(t, q)
				if v, err := url.ParseQuery(q.query); err == nil && v.Get(audit.ParamText) != "" && reference[i].Status == http.StatusOK && !s.store.Capabilities().Text {
					if !refusedText(got) {
						t.Errorf("%s: %v: the engine has no full text search and answers %+v", engine, q, got)
					}
					continue
				}
				if !strings.Contains(q.query, "exact=true") {
					forgive(reference[i].Body, got.Body)
				}
				if diff := cmp.Diff(reference[i], got, sameNumbers(engine)); diff != "" {
					t.Errorf("%s: %v (-memory +%s):\n%s", engine, q, engine, diff)
				}
			}
		})
	}
}

func refusedText(a answer) bool {
	problem, ok := a.Body.(map[string]any)
	return ok && problem["code"] == string(audit.CodeUnsupported) && problem["field"] == audit.ParamText
}

// checkReference compares the answer of the memory engine with what its line
// expects, and with Query.Match.
func checkReference(t *testing.T, m *model.Model, q question, got answer) {
	t.Helper()
	expect := "some"
	if got.Status != http.StatusOK {
		expect = "refused"
	} else if !got.something() {
		expect = "none"
	}
	if expect != q.expect {
		t.Errorf("%v: the answer is %q, expected %q: %+v", q, expect, q.expect, got)
		return
	}
	v, err := url.ParseQuery(q.query)
	if err != nil || expect == "refused" || !slices.Contains([]string{"events", "pages", "export", "stats/count"}, q.path) || v.Get("format") == "csv" {
		return
	}
	v.Del("format")
	parsed, _, err := audit.ParseParams(v)
	if err == nil {
		parsed, err = parsed.Validate()
	}
	if err != nil {
		t.Errorf("%v: %v", q, err)
		return
	}
	records := m.Answer(parsed)
	if q.path == "stats/count" {
		if want := map[string]any{"count": json.Number(fmt.Sprint(len(records)))}; !cmp.Equal(want, got.Body) {
			t.Errorf("%v: %v, want %v", q, got.Body, want)
		}
		return
	}
	if q.path == "events" {
		records = records[:min(len(records), max(parsed.Limit, len(got.Records)))]
	}
	var want answer
	for _, r := range records {
		if err := want.add(r.AppendJSON(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(want.Records, got.Records); diff != "" {
		t.Errorf("%v (-Query.Match +memory):\n%s", q, diff)
	}
}
