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
	a, err := s.client.do(ctx, request{method: "POST", path: path + "/_search", query: query, body: encoded(body), long: true})
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
