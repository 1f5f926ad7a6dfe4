package elasticsearch

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/annals-dev/annals/audit"
)

// An index whose shard is not there yet, as after a rollover, is waited for; one
// whose shard does not come is an error that a retry may mend.
func TestAnIndexThatIsStarting(t *testing.T) {
	opt := serverOptions(t)
	real := &http.Transport{}
	t.Cleanup(real.CloseIdleConnections)
	var spoil atomic.Int64
	opt.MaxRetries = 3
	opt.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "_mget") && spoil.Add(-1) >= 0 {
			return answered(r, http.StatusOK, `{"docs":[{"error":{"type":"no_shard_available_action_exception","reason":"No shard available"}}]}`), nil
		}
		return real.RoundTrip(r)
	})
	s := openStore(t, opt)
	recs := events("a", 1)
	results, err := s.Append(t.Context(), recs)
	stored(t, results, err)
	spoil.Store(2)
	if got, err := s.Get(t.Context(), recs[0].Ref()); err != nil || got.ID != recs[0].ID {
		t.Errorf("got %v, %v", got, err)
	}
	spoil.Store(100)
	if _, err := s.Get(t.Context(), recs[0].Ref()); !audit.Retryable(err) {
		t.Errorf("got %v", err)
	}
}
