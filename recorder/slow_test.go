package recorder

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
)

// A store that takes 150 records a second needs 33 s for a batch of 5,000, more
// than the default WriteTimeout of 30 s: every attempt on the same batch ends
// with the time-out, for ever. The batch must get smaller.
func TestASlowStoreGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := policy.New(policy.Config{Level: policy.All})
		if err != nil {
			t.Fatal(err)
		}
		r, err := New(func(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
			select {
			case <-time.After(time.Duration(len(recs)) * time.Second / 150):
				return make([]audit.Result, len(recs)), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}, Options{Policy: p, OnFull: Drop})
		if err != nil {
			t.Fatal(err)
		}
		for range 20_000 {
			if _, err := r.Record(context.Background(), &audit.Event{Action: "a.create"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute) // 133 s would do
		defer cancel()
		if a, err := r.Close(ctx); err != nil || a.Stored != 20_000 {
			t.Errorf("%+v, %v", a, err)
		}
	})
}
