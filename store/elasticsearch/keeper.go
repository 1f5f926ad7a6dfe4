package elasticsearch

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// metaDoc is a document beside the records: a kept document, the head of a
// chain, or a note of our own.
type metaDoc struct {
	Type     string   `json:"type"` // kept, head, segments or far
	Key      string   `json:"key"`
	Value    []byte   `json:"value,omitempty"`  // of a kept document
	Number   int64    `json:"number,omitempty"` // of a note
	Head     *head    `json:"head,omitempty"`
	Segments []string `json:"segments,omitempty"` // of a scope, beside its own chain
}

// seat is the state of a document that a write is compared with; the zero seat
// is that of one that is not there.
type seat struct {
	SeqNo int64 `json:"_seq_no"`
	Term  int64 `json:"_primary_term"`
}

func (s *Store) metaPath(id string) string {
	return "/" + s.metaIndex() + "/_doc/" + url.PathEscape(id)
}

// getMeta reads a document as it is at this moment; nil is none.
func (s *Store) getMeta(ctx context.Context, id string) (*metaDoc, seat, error) {
	a, err := s.client.do(ctx, request{method: "GET", path: s.metaPath(id)})
	if err != nil {
		return nil, seat{}, err
	}
	var got struct {
		seat
		Found  bool    `json:"found"`
		Source metaDoc `json:"_source"`
		Error  any     `json:"error"`
	}
	if a.status != http.StatusOK && a.status != http.StatusNotFound {
		return nil, seat{}, failed("read a document", a)
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return nil, seat{}, garbled(err)
	}
	if got.Error != nil {
		return nil, seat{}, failed("read a document", a)
	}
	if !got.Found {
		return nil, seat{}, nil
	}
	return &got.Source, got.seat, nil
}

// putMeta writes a document in the place of the one that was there, nil deletes
// it. moved: another was there, and nothing was changed.
func (s *Store) putMeta(ctx context.Context, id string, doc *metaDoc, at seat) (moved bool, err error) {
	_, moved, err = s.writeMeta(ctx, id, doc, at)
	return moved, err
}

func (s *Store) writeMeta(ctx context.Context, id string, doc *metaDoc, at seat) (now seat, moved bool, err error) {
	r := request{method: "PUT", path: s.metaPath(id), once: true}
	q := url.Values{}
	if at == (seat{}) {
		q.Set("op_type", "create")
	} else {
		q.Set("if_seq_no", strconv.FormatInt(at.SeqNo, 10))
		q.Set("if_primary_term", strconv.FormatInt(at.Term, 10))
	}
	if doc == nil {
		r.method = "DELETE"
	} else {
		if doc.Key == "" {
			doc.Key = id
		}
		r.body = encoded(doc)
	}
	r.query = q.Encode()
	a, err := s.client.do(ctx, r)
	switch {
	case err != nil:
		return seat{}, false, err
	case a.status == http.StatusConflict, doc == nil && a.status == http.StatusNotFound && !refusal(a).is("index_not_found_exception"):
		return seat{}, true, nil
	case a.status != http.StatusOK && a.status != http.StatusCreated:
		return seat{}, false, failed("write a document", a)
	}
	if err := json.Unmarshal(a.body, &now); err != nil {
		return seat{}, false, garbled(err)
	}
	return now, false, nil
}

func keptID(key string) string { return "kept/" + key }

// versionOf is the version of a kept document: the number of the operation that
// wrote it, which no other in the index has. It begins at 1.
func versionOf(at seat) int64 { return at.SeqNo + 1 }

// Load implements audit.Keeper.
func (s *Store) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer done()
	doc, at, err := s.getMeta(ctx, keptID(key))
	switch {
	case err != nil:
		return nil, 0, err
	case doc == nil:
		return nil, 0, audit.ErrNotFound
	}
	return doc.Value, versionOf(at), nil
}

// Save implements audit.Keeper. The server compares the number of the operation
// that wrote what is there.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	var at seat
	if version > 0 {
		doc, now, err := s.getMeta(ctx, keptID(key))
		if err != nil {
			return err
		}
		if doc == nil || versionOf(now) != version {
			return audit.ErrMoved
		}
		at = now
	}
	var doc *metaDoc
	if value != nil {
		doc = &metaDoc{Type: "kept", Value: value}
	}
	moved, err := s.putMeta(ctx, keptID(key), doc, at)
	if err == nil && moved {
		return audit.ErrMoved
	}
	return err
}
