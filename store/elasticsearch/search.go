package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// found is the answer to a search.
type found struct {
	TimedOut bool   `json:"timed_out"`
	Shards   shards `json:"_shards"`
	PIT      string `json:"pit_id"`
	Hits     struct {
		Total struct {
			Value int64 `json:"value"`
		} `json:"total"`
		Hits []hit `json:"hits"`
	} `json:"hits"`
	Aggs json.RawMessage `json:"aggregations"`
}

type hit struct {
	seat
	Index  string            `json:"_index"`
	ID     string            `json:"_id"`
	Source json.RawMessage   `json:"_source"`
	Sort   []json.RawMessage `json:"sort"`
}

type shards struct {
	Total    int `json:"total"`
	Failed   int `json:"failed"`
	Failures []struct {
		Reason fault `json:"reason"`
	} `json:"failures"`
}

// check wants every shard to have answered.
func (s *shards) check(what string) error {
	if s.Failed == 0 {
		return nil
	}
	var cause error = errors.New(strconv.Itoa(s.Failed) + " of " + strconv.Itoa(s.Total) + " shards")
	if len(s.Failures) > 0 {
		cause = errors.Join(cause, &s.Failures[0].Reason)
	}
	return audit.Unavailable("not every shard of the search cluster could "+what, cause)
}

func wholeShards(what string, body []byte) error {
	var done struct {
		Shards shards `json:"_shards"`
	}
	if err := json.Unmarshal(body, &done); err != nil {
		return garbled(err)
	}
	return done.Shards.check(what)
}

// search asks one question. A shard that fails, or one that ran out of time, is
// an error: an answer is whole or none.
func (s *Store) search(ctx context.Context, path string, body object, options ...string) (*found, error) {
	query := strings.Join(append(options, "allow_partial_search_results=false"), "&")
	return s.searchBy(ctx, request{method: "POST", path: path + "/_search", query: query, body: encoded(body), long: true})
}

func (s *Store) searchBy(ctx context.Context, r request) (*found, error) {
	a, err := s.client.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, failed("answer a question", a)
	}
	f := &found{}
	if err := json.Unmarshal(a.body, f); err != nil {
		return nil, garbled(err)
	}
	if f.TimedOut {
		return nil, audit.Unavailable("the search cluster ran out of time", nil)
	}
	return f, f.Shards.check("answer a question")
}

const (
	// firstPage is how many whole records are asked for before anything is known
	// of their size: 200 of the largest are more than enough for a small server.
	firstPage = 200
	// pageBytes is about how much one answer may hold.
	pageBytes = 8 << 20
)

// pager reads whole records page by page, in pages that suit their size: a few
// large ones must not be more than the memory of the server.
type pager struct {
	s     *Store
	most  int // records in a page, as far as is known; 0 is firstPage
	bytes int // of the largest record of the page before
}

// read asks for at most want records, and says how many it asked for.
func (p *pager) read(ctx context.Context, path string, body object, want int) (f *found, asked int, err error) {
	if p.most == 0 {
		p.most = firstPage
	}
	for {
		n := max(1, min(want, p.most))
		if p.bytes > 0 {
			n = max(1, min(n, pageBytes/p.bytes))
		}
		body["size"] = n
		f, err = p.s.searchBy(ctx, request{method: "POST", path: path + "/_search", query: "allow_partial_search_results=false", body: encoded(body), long: true, large: n > 1})
		var refused *fault
		if n > 1 && errors.As(err, &refused) && refused.is(breaker) {
			p.most = max(1, n/8)
			continue
		}
		if err != nil {
			return nil, n, err
		}
		p.bytes = 0
		for i := range f.Hits.Hits {
			p.bytes = max(p.bytes, len(f.Hits.Hits[i].Source))
		}
		if p.bytes < pageBytes/maxHits {
			p.most = min(maxHits, 2*n) // small ones may come in larger pages
		}
		return f, n, nil
	}
}
