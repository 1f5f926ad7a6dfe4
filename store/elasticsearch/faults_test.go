package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// misbehaving lets a function spoil the bulk requests of a store: it is given
// the number of the request, from 1.
func misbehaving(tb testing.TB, opt Options, spoil func(n int64, r *http.Request) (*http.Response, error, bool)) *Store {
	tb.Helper()
	t := &http.Transport{}
	tb.Cleanup(t.CloseIdleConnections)
	var calls atomic.Int64
	opt.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasSuffix(r.URL.Path, "_bulk") {
			return t.RoundTrip(r)
		}
		n := calls.Add(1)
		if res, err, spoilt := spoil(n, r); spoilt {
			return res, err
		}
		return t.RoundTrip(r)
	})
	return openStore(tb, opt)
}

func answered(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// A server without room is asked again, later.
func TestBackPressure(t *testing.T) {
	s := misbehaving(t, serverOptions(t), func(n int64, r *http.Request) (*http.Response, error, bool) {
		if n <= 3 {
			return answered(r, http.StatusTooManyRequests, `{"error":{"type":"circuit_breaking_exception"},"status":429}`), nil, true
		}
		return nil, nil, false
	})
	results, err := s.Append(t.Context(), events("a", 10))
	stored(t, results, err)
	results, err = s.AppendChained(t.Context(), events("b", 10))
	stored(t, results, err)
}

// A server that never has room is an error that a retry may mend.
func TestNoRoomAtAll(t *testing.T) {
	opt := serverOptions(t)
	opt.MaxRetries = 2
	s := misbehaving(t, opt, func(_ int64, r *http.Request) (*http.Response, error, bool) {
		return answered(r, http.StatusTooManyRequests, `{}`), nil, true
	})
	if _, err := s.Append(t.Context(), events("a", 3)); !audit.Retryable(err) {
		t.Errorf("got %v", err)
	}
	if _, err := s.AppendChained(t.Context(), events("a", 3)); !audit.Retryable(err) {
		t.Errorf("got %v", err)
	}
}

// After an answer that was lost the records are new all the same, and there once.
func TestLostAnswers(t *testing.T) {
	opt := serverOptions(t)
	real := &http.Transport{}
	t.Cleanup(real.CloseIdleConnections)
	s := misbehaving(t, opt, func(n int64, r *http.Request) (*http.Response, error, bool) {
		if n%2 == 0 {
			return nil, nil, false
		}
		res, err := real.RoundTrip(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		return nil, errors.Join(errors.New("the answer was lost"), err), true
	})
	for range 3 {
		results, err := s.Append(t.Context(), events("a", 10))
		stored(t, results, err)
		results, err = s.AppendChained(t.Context(), events("b", 10))
		stored(t, results, err)
	}
	verified(t, s, "b", 30)
	refreshed(t, s)
	if n, err := s.Count(t.Context(), &audit.Query{}); err != nil || n != 60 {
		t.Errorf("%d records, %v", n, err)
	}
}

// What a server refuses of a batch is said of those records alone.
func TestPartialFailure(t *testing.T) {
	opt := serverOptions(t)
	opt.MaxRetries = -1
	s := misbehaving(t, opt, func(n int64, r *http.Request) (*http.Response, error, bool) {
		if n != 1 {
			return nil, nil, false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err, true
		}
		// Of three records the second is left out, and refused.
		lines := bytes.SplitAfter(body, []byte("\n"))
		kept := bytes.Join(append(lines[:2:2], lines[4:]...), nil)
		again := r.Clone(r.Context())
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(kept)), int64(len(kept))
		res, err := http.DefaultTransport.RoundTrip(again)
		if err != nil {
			return nil, err, true
		}
		_ = res.Body.Close()
		return answered(r, 200, `{"items":[{"create":{"status":201}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}},{"create":{"status":201}}]}`), nil, true
	})
	recs := events("a", 3)
	results, err := s.Append(t.Context(), recs)
	if err != nil || results[0].Err != nil || !audit.Retryable(results[1].Err) || results[2].Err != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	results, err = s.Append(t.Context(), storetest.CloneAll(recs))
	if err != nil || !results[0].Duplicate || results[1] != (audit.Result{}) || !results[2].Duplicate {
		t.Errorf("%+v, %v", results, err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A server that never answers is given up in time.
func TestSilence(t *testing.T) {
	opt := serverOptions(t)
	opt.MaxRetries = -1
	s := misbehaving(t, opt, func(_ int64, r *http.Request) (*http.Response, error, bool) {
		<-r.Context().Done()
		return nil, r.Context().Err(), true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Append(ctx, events("a", 3)); !errors.Is(err, context.DeadlineExceeded) || !audit.Retryable(err) {
		t.Errorf("got %v", err)
	}
	if _, err := s.AppendChained(ctx, events("a", 3)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}
