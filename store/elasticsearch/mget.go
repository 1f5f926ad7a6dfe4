package elasticsearch

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/annals-dev/annals/audit"
)

// wanted names documents by id.
type wanted struct {
	index string // "" where each document names its own
	body  object // ids or docs
	n     int    // how many they are
}

// document is one of them as it is at this moment, or why it could not be read.
type document struct {
	seat
	Found  bool            `json:"found"`
	Source json.RawMessage `json:"_source"`
	Error  *fault          `json:"error"`
}

// What an answer has of each document.
const (
	withSource = "filter_path=docs.found,docs._source,docs.error"
	withSeat   = "_source=false&filter_path=docs.found,docs._seq_no,docs._primary_term,docs.error"
)

// starting is the error for a document of an index whose primary shard is not
// there at the moment, as that of an index which has just been made.
const starting = "no_shard_available_action_exception"

// mget gives fn each document that is there, by its place in what is wanted. An
// index that retention has dropped has none; one that is just being started is
// waited for, and fn is then called for all anew.
func (s *Store) mget(ctx context.Context, with string, w wanted, fn func(i int, d *document) error) error {
	path := "/_mget"
	if w.index != "" {
		path = "/" + w.index + path
	}
	for attempt := 0; ; attempt++ {
		a, err := s.client.do(ctx, request{method: "POST", path: path, query: with, body: encoded(w.body)})
		if err != nil {
			return err
		}
		if a.status != http.StatusOK {
			return failed("read a record", a)
		}
		var got struct {
			Docs []document `json:"docs"`
		}
		if err := json.Unmarshal(a.body, &got); err != nil {
			return garbled(err)
		}
		if len(got.Docs) != w.n {
			return audit.Unavailable("an answer of the search cluster has another number of records", nil)
		}
		unread, err := each(got.Docs, fn)
		if unread == nil {
			return err
		}
		if !unread.is(starting) || attempt >= s.opt.MaxRetries || sleep(ctx, backoff(attempt)) != nil {
			return audit.Unavailable("the search cluster could not read a record", unread)
		}
	}
}

// each goes through the documents of an answer, up to one that could not be read.
func each(docs []document, fn func(i int, d *document) error) (unread *fault, err error) {
	for i := range docs {
		switch d := &docs[i]; {
		case d.Error != nil && d.Error.is("index_not_found_exception"):
		case d.Error != nil:
			return d.Error, nil
		case d.Found:
			if err := fn(i, d); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}
