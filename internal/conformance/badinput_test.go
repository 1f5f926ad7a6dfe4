package conformance

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/badinput"
)

// pairs are events of one id that follow each other: the second is a duplicate
// or a conflict.
var pairs = []struct{ name, first, second string }{
	{"the same", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z"`},
	{"absent and empty", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","error":"","actor":{}`},
	{"1 and 1.0", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":{"n":1}`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":{"n":1.0}`},
	{"0 and -0", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":0`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":-0`},
	{"nanoseconds", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00.000001Z"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00.0000019Z"`},
	{"NUL and its replacement", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","error":"\u0000"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","error":"\ufffd"`},
	{"keys in another order", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":{"a":1,"b":2}`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":{"b":2,"a":1}`},
	{"no document and null", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","payload":null`},
	{"no document and an empty one", `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z"`, `{"action":"a.b","occurred_at":"2026-03-01T00:00:00Z","metadata":{}`},
}

// chainParts are what depends on the name of the chain's writer.
var chainParts = regexp.MustCompile(`,"(segment|prev_hash|hash)":"[^"]*"`)

// said is one request and what came of it: the answer to the post, and the
// record as it is read back, byte for byte.
type said struct{ Name, Result, Record string }

// TestBadInputIsTheSame posts what no sender should write to a server over each
// engine and wants the same answers, and the same records read back.
func TestBadInputIsTheSame(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	sites := openSites(t, at(now))
	var mu sync.Mutex
	answers := map[string][]said{}
	var wg sync.WaitGroup
	for engine, s := range sites {
		wg.Go(func() {
			got := s.takeBadInput(t)
			mu.Lock()
			defer mu.Unlock()
			answers[engine] = got
		})
	}
	wg.Wait()
	want := answers["memory"]
	for i, c := range badinput.Cases() {
		if refused := strings.Contains(want[i].Result, `"status":"rejected"`); refused != (c.Refused != "") || !strings.Contains(want[i].Result, c.Refused) {
			t.Errorf("%s: %.300s", c.Name, want[i].Result)
		}
	}
	for engine, got := range answers {
		limit, cut := sites[engine].store.Capabilities().RecordBytes, 0
		for i := range want {
			if got[i] == want[i] {
				continue
			}
			if limit > 0 && isCut(t, limit, want[i], got[i]) {
				cut++
				continue
			}
			t.Errorf("%s: %s (-memory +%s):\n%s", engine, want[i].Name, engine, cmp.Diff(short(want[i]), short(got[i])))
		}
		if limit > 0 && cut == 0 {
			t.Errorf("%s takes records of %d bytes at most, and has cut none", engine, limit)
		}
	}
}

func short(s said) said {
	for _, text := range []*string{&s.Result, &s.Record} {
		if len(*text) > 3000 {
			*text = fmt.Sprintf("%s… (%d bytes, SHA-256 %x)", (*text)[:3000], len(*text), sha256.Sum256([]byte(*text)))
		}
	}
	return s
}

func (s *site) takeBadInput(t *testing.T) (out []said) {
	post := func(name, id, body string) {
		w := s.do(http.MethodPost, "events", "durability=sync", "application/json", []byte(body))
		out = append(out, said{Name: name, Result: fmt.Sprint(w.Code, " ", masked(w.Body.Bytes())), Record: id})
	}
	for i, c := range badinput.Cases() {
		id := fmt.Sprintf("case-%d", i)
		post(c.Name, id, c.WithID(id))
	}
	for i, p := range pairs {
		id := fmt.Sprintf("pair-%d", i)
		post(p.name+", first", id, p.first+`,"id":"`+id+`"}`)
		post(p.name+", second", id, p.second+`,"id":"`+id+`"}`)
	}
	post("a bad one among good ones", "good-2", `[{"action":"a.b","id":"good-1"},{"action":"","id":"bad-1"},{"action":"a.c","id":"good-2"},{"action":"a.c","id":"good-2"},{"action":"a.d","id":"good-2"}]`)
	s.settle(t)
	for i := range out {
		w := s.do(http.MethodGet, "events/"+out[i].Record, "", "", nil)
		out[i].Record = masked(w.Body.Bytes())
		if v, err := url.ParseQuery("external_id=" + fmt.Sprintf("case-%d", i)); err == nil && i < len(badinput.Cases()) {
			w = s.do(http.MethodGet, "export", v.Encode(), "", nil)
			if exported := masked(w.Body.Bytes()); w.Code != http.StatusOK || exported != "" && exported != out[i].Record {
				t.Errorf("%s: %s: the export has another record: %d %.300s", s.engine, out[i].Name, w.Code, exported)
			}
		}
	}
	return out
}

func masked(body []byte) string {
	return string(bytes.TrimSpace(chainParts.ReplaceAll(body, nil)))
}

// isCut reports whether an engine whose records are smaller has the same record
// but for documents that are replaced by what tells of them, as many as it needs.
func isCut(t *testing.T, limit int, want, got said) bool {
	t.Helper()
	if want.Result != got.Result || len(want.Record) <= limit {
		return false
	}
	w, errW := audit.DecodeRecord([]byte(want.Record))
	g, errG := audit.DecodeRecord([]byte(got.Record))
	if errW != nil || errG != nil {
		t.Errorf("%s: %v, %v", want.Name, errW, errG)
		return false
	}
	for _, f := range audit.Fields() {
		if f.Kind != audit.Document || bytes.Equal(f.Bytes(w), f.Bytes(g)) {
			continue
		}
		sum := sha256.Sum256(f.Bytes(w))
		told, _ := json.Marshal(map[string]any{"truncated": true, "bytes": len(f.Bytes(w)), "sha256": hex.EncodeToString(sum[:])}) // always valid
		var a, b map[string]any
		if json.Unmarshal(told, &a) != nil || json.Unmarshal(f.Bytes(g), &b) != nil || !cmp.Equal(a, b) {
			return false
		}
		f.SetBytes(g, f.Bytes(w))
	}
	return bytes.Equal(w.AppendJSON(nil), g.AppendJSON(nil))
}
