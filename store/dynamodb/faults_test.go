package dynamodb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// fault is what happens to one call.
type fault int

const (
	pass        fault = iota
	lose              // it is carried out, and the answer is lost
	cut               // it does not arrive
	refuse            // ProvisionedThroughputExceeded
	slow              // ThrottlingException
	overLimit         // RequestLimitExceeded
	broken            // InternalServerError
	conflict          // a transaction is canceled by TransactionConflict
	exhausted         // a transaction is canceled by ThrottlingError
	inProgress        // TransactionInProgress
	unprocessed       // a part of a batch is left undone
	denied            // AccessDeniedException
)

// faulty is a transport with faults.
type faulty struct {
	inner  *http.Transport
	mu     sync.Mutex
	decide func(op string) fault // nil passes everything
	seen   map[string]int        // calls by operation
	reads  map[string]int        // calls that read, by index; "" is the table itself
}

func newFaulty(tb testing.TB) *faulty {
	f := &faulty{inner: &http.Transport{MaxIdleConnsPerHost: 64}, seen: map[string]int{}, reads: map[string]int{}}
	tb.Cleanup(f.inner.CloseIdleConnections)
	return f
}

// set makes the faults from now on.
func (f *faulty) set(decide func(op string) fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.decide = decide
}

// calls gives how many calls of an operation there were.
func (f *faulty) calls(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen[op]
}

// asked gives how many calls read of each index.
func (f *faulty) asked() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.reads)
}

// note counts a call that reads.
func (f *faulty) note(req *http.Request, op string) error {
	if op != "Query" && op != "GetItem" && op != "BatchGetItem" {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	_ = req.Body.Close()
	req.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ IndexName string }
	if err := json.Unmarshal(body, &in); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads[in.IndexName]++
	return nil
}

var errLost = errors.New("the answer was lost")

// RoundTrip implements http.RoundTripper.
func (f *faulty) RoundTrip(req *http.Request) (*http.Response, error) {
	op := strings.TrimPrefix(req.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	if err := f.note(req, op); err != nil {
		return nil, err
	}
	f.mu.Lock()
	f.seen[op]++
	what := pass
	if f.decide != nil {
		what = f.decide(op)
	}
	f.mu.Unlock()
	switch what {
	case lose:
		res, err := f.inner.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		return nil, errLost
	case cut:
		return nil, errLost
	case refuse:
		return failing(req, http.StatusBadRequest, "ProvisionedThroughputExceededException", "")
	case slow:
		return failing(req, http.StatusBadRequest, "ThrottlingException", "")
	case overLimit:
		return failing(req, http.StatusBadRequest, "RequestLimitExceeded", "")
	case broken:
		return failing(req, http.StatusInternalServerError, "InternalServerError", "")
	case inProgress:
		return failing(req, http.StatusBadRequest, "TransactionInProgressException", "")
	case denied:
		return failing(req, http.StatusBadRequest, "AccessDeniedException", "")
	case conflict:
		return f.cancel(req, "TransactionConflict")
	case exhausted:
		return f.cancel(req, "ThrottlingError")
	case unprocessed:
		return f.half(req)
	}
	return f.inner.RoundTrip(req)
}

// failing answers with an error of DynamoDB's.
func failing(req *http.Request, status int, code, more string) (*http.Response, error) {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"injected"%s}`, code, more)
	return answering(req, status, []byte(body)), nil
}

func answering(req *http.Request, status int, body []byte) *http.Response {
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// cancel answers a transaction with the code for its first action.
func (f *faulty) cancel(req *http.Request, code string) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var in struct{ TransactItems []json.RawMessage }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	reasons := []string{fmt.Sprintf(`{"Code":%q,"Message":"injected"}`, code)}
	for range len(in.TransactItems) - 1 {
		reasons = append(reasons, `{"Code":"None"}`)
	}
	return failing(req, http.StatusBadRequest, "TransactionCanceledException", `,"CancellationReasons":[`+strings.Join(reasons, ",")+`]`)
}

// half lets the first half of a batch through, rounded down, and says of the rest
// that it was left.
func (f *faulty) half(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var in struct {
		RequestItems map[string]json.RawMessage
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	done, left := map[string]any{}, map[string]any{}
	for table, raw := range in.RequestItems {
		var writes []json.RawMessage
		if err := json.Unmarshal(raw, &writes); err != nil {
			return f.halfKeys(req, body)
		}
		n := len(writes) / 2
		if n > 0 {
			done[table] = writes[:n]
		}
		left[table] = writes[n:]
	}
	if len(done) > 0 {
		if err := f.forward(req, map[string]any{"RequestItems": done}, nil); err != nil {
			return nil, err
		}
	}
	out, err := json.Marshal(map[string]any{"UnprocessedItems": left})
	return answering(req, http.StatusOK, out), err
}

// halfKeys is half for a BatchGetItem.
func (f *faulty) halfKeys(req *http.Request, body []byte) (*http.Response, error) {
	type keys struct {
		Keys           []json.RawMessage
		ConsistentRead bool
	}
	var in struct{ RequestItems map[string]keys }
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, err
	}
	left := map[string]keys{}
	for table, k := range in.RequestItems {
		n := len(k.Keys) / 2
		left[table] = keys{k.Keys[n:], k.ConsistentRead}
		if in.RequestItems[table] = (keys{k.Keys[:n], k.ConsistentRead}); n == 0 {
			delete(in.RequestItems, table)
		}
	}
	out := map[string]any{}
	if len(in.RequestItems) > 0 {
		if err := f.forward(req, in, &out); err != nil {
			return nil, err
		}
	}
	out["UnprocessedKeys"] = left
	answer, err := json.Marshal(out)
	return answering(req, http.StatusOK, answer), err
}

// forward sends another body in the place of that of the request. DynamoDB Local
// does not check the signature.
func (f *faulty) forward(req *http.Request, body, out any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	other := req.Clone(req.Context())
	other.Body, other.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	res, err := f.inner.RoundTrip(other)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %v", res.Status, answer, err)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}
