package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/annals-dev/annals/audit"
)

// maxBulk is the size of one bulk request; Elasticsearch advises some megabytes
// ("Tune for indexing speed"), and refuses more than 100 MB.
const maxBulk = 8 << 20

// operation is one line of a bulk request and what became of it.
type operation struct {
	line, doc []byte // doc is nil for a deletion
	status    int    // 0: not known
	fault     fault
	again     bool // it may have been done by an attempt whose answer was lost
}

func createLine(id string) []byte { return []byte(`{"create":{"_id":"` + id + `"}}`) }

func (op *operation) size() int { return len(op.line) + len(op.doc) + 2 }

// waits reports whether the server had no room for it, so that it may be tried again.
func (op *operation) waits() bool {
	return op.status == 0 || op.status == http.StatusTooManyRequests || op.status >= 500
}

func (op *operation) err() error {
	op.fault.status = op.status
	f := op.fault
	if op.waits() {
		return audit.Unavailable("the search cluster had no room for a record", &f)
	}
	if f.is("cluster_block_exception") {
		return audit.Unavailable("the search cluster has blocked an index, as it does when a disk is full", &f)
	}
	return &audit.Error{Code: audit.CodeInternal, Message: "the search cluster refused a record", Cause: &f}
}

// errSealed says that a write alias is gone: there is a new generation.
var errSealed = errors.New("the generation is closed")

// bulk does the operations on an index or alias, those that meet with no room
// again and again until ctx ends or Options.MaxRetries is reached. An error means
// that not all have a status.
func (s *Store) bulk(ctx context.Context, target string, alias bool, ops []*operation) error {
	for attempt := 0; ; attempt++ {
		err := s.bulkOnce(ctx, target, alias, ops)
		if err != nil {
			return err
		}
		left := make([]*operation, 0, len(ops))
		for _, op := range ops {
			if op.waits() {
				left = append(left, op)
			}
		}
		if len(left) == 0 || attempt >= s.opt.MaxRetries || sleep(ctx, backoff(attempt)) != nil {
			return nil
		}
		ops = left
	}
}

func (s *Store) bulkOnce(ctx context.Context, target string, alias bool, ops []*operation) error {
	for len(ops) > 0 {
		n, size := 0, 0
		for n < len(ops) && (n == 0 || size+ops[n].size() <= maxBulk) {
			size += ops[n].size()
			n++
		}
		if err := s.bulkPart(ctx, target, alias, ops[:n], size); err != nil {
			return err
		}
		ops = ops[n:]
	}
	return nil
}

func (s *Store) bulkPart(ctx context.Context, target string, alias bool, ops []*operation, size int) error {
	select {
	case s.room <- struct{}{}:
	case <-ctx.Done():
		return s.interrupted(ctx)
	}
	defer func() { <-s.room }()
	body := make([]byte, 0, size)
	for _, op := range ops {
		body = append(append(body, op.line...), '\n')
		if op.doc != nil {
			body = append(append(body, op.doc...), '\n')
		}
	}
	query := "filter_path=items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.type"
	if alias {
		query += "&require_alias=true"
	}
	if s.opt.Visible {
		query += "&refresh=wait_for"
	}
	a, err := s.client.do(ctx, request{method: "POST", path: "/" + target + "/_bulk", query: query, body: body, lines: true, long: true})
	if err != nil {
		return err
	}
	if a.status == http.StatusNotFound && alias {
		return errSealed
	}
	if a.status == http.StatusRequestEntityTooLarge && len(ops) > 1 {
		half := len(ops) / 2
		<-s.room // each half takes its own
		err := errors.Join(s.bulkOnce(ctx, target, alias, ops[:half]), s.bulkOnce(ctx, target, alias, ops[half:]))
		s.room <- struct{}{}
		return err
	}
	if a.status != http.StatusOK {
		return failed("write", a)
	}
	var done struct {
		Items []map[string]struct {
			Status int   `json:"status"`
			Error  fault `json:"error"`
		} `json:"items"`
	}
	if err := json.Unmarshal(a.body, &done); err != nil {
		return garbled(err)
	}
	if len(done.Items) != len(ops) {
		return garbled(errors.New("the answer to a bulk request has another number of items"))
	}
	for i, item := range done.Items {
		for _, v := range item {
			if alias && v.Status == http.StatusNotFound && v.Error.Type == "index_not_found_exception" {
				return errSealed
			}
			ops[i].status, ops[i].fault = v.Status, v.Error
			ops[i].again = ops[i].again || a.again || v.Status >= 500
		}
	}
	return nil
}
