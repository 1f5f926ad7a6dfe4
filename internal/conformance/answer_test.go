package conformance

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// answer is what one engine says to one question, in a form that can be compared.
type answer struct {
	Status  int
	Pages   []int    // how many records each page had
	Records []string // in their order
	Body    any      // of everything else
}

func (s *site) ask(t *testing.T, q question) (a answer) {
	t.Helper()
	path, paged := q.path, q.path == "pages"
	if paged {
		path = "events"
	}
	cursor := ""
	for {
		w := s.do(http.MethodGet, path, q.query+cursor, "", nil)
		a.Status = w.Code
		next, err := a.read(path, w)
		if err != nil {
			t.Fatalf("%s: %v: %v: %.500s", s.engine, q, err, w.Body)
		}
		if next == "" || !paged {
			break
		}
		if len(a.Pages) > 1000 {
			t.Fatalf("%s: %v does not end", s.engine, q)
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	return a
}

// read adds one response to the answer.
func (a *answer) read(path string, w *httptest.ResponseRecorder) (next string, err error) {
	body := w.Body.Bytes()
	kind, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
	switch {
	case w.Code != http.StatusOK:
		var problem map[string]any
		err = json.Unmarshal(body, &problem)
		delete(problem, "instance")
		a.Body = problem
	case kind == "text/csv":
		a.Body, err = readCSV(body)
	case path == "export":
		lines := bufio.NewScanner(bytes.NewReader(body))
		lines.Buffer(nil, 4<<20)
		for lines.Scan() {
			if err := a.add(lines.Bytes()); err != nil {
				return "", err
			}
		}
		err = lines.Err()
	case path == "events":
		var page struct {
			Records []json.RawMessage `json:"records"`
			Next    string            `json:"next_cursor"`
		}
		err = json.Unmarshal(body, &page)
		for _, r := range page.Records {
			if err == nil {
				err = a.add(r)
			}
		}
		a.Pages, next = append(a.Pages, len(page.Records)), page.Next
		if len(a.Pages) == 1 && next != "" {
			a.Body = "there is more"
		}
	case strings.HasPrefix(path, "stats/"):
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		err = d.Decode(&a.Body)
	default:
		err = a.add(body)
	}
	return next, err
}

// add takes a record over, but for what depends on the name of its chain's
// writer. Records of several scopes that share a position may come in any order,
// so they are put in one.
func (a *answer) add(text []byte) error {
	r, err := audit.DecodeRecord(bytes.TrimSpace(text))
	if err != nil {
		return err
	}
	if r.Hash == (audit.Digest{}) {
		return fmt.Errorf("a record has no hash")
	}
	r.Segment, r.PrevHash, r.Hash = "", audit.Digest{}, audit.Digest{}
	line := string(r.AppendJSON(nil))
	at := len(a.Records)
	for at > 0 && samePosition(a.Records[at-1], line) && a.Records[at-1] > line {
		at--
	}
	a.Records = slices.Insert(a.Records, at, line)
	return nil
}

func samePosition(a, b string) bool {
	x, errX := audit.DecodeRecord([]byte(a))
	y, errY := audit.DecodeRecord([]byte(b))
	return errX == nil && errY == nil && x.Position() == y.Position()
}

func readCSV(body []byte) (any, error) {
	rows, err := csv.NewReader(bytes.NewReader(body)).ReadAll()
	if err != nil || len(rows) == 0 {
		return rows, err
	}
	for _, own := range []string{"segment", "prev_hash", "hash"} {
		if at := slices.Index(rows[0], own); at >= 0 {
			for _, row := range rows[1:] {
				row[at] = ""
			}
		}
	}
	return rows, nil
}

// something reports whether the answer holds more than nothing.
func (a answer) something() bool {
	if len(a.Records) > 0 {
		return true
	}
	if rows, ok := a.Body.([][]string); ok {
		return len(rows) > 1
	}
	return a.Status == http.StatusOK && holds(a.Body)
}

// holds reports whether a statistic has any number but 0, or a text.
func holds(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			if name != "start" && holds(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, holds)
	case string:
		return true
	case json.Number:
		return v != "0"
	}
	return false
}
