package client_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// What asks for no estimates on this side reaches the engine on the other.
func TestExactReachesTheServer(t *testing.T) {
	var asked []string
	c, _, _ := rig(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.URL.Query().Get("exact"))
			next.ServeHTTP(w, r)
		})
	})
	q := &audit.Query{}
	for _, ctx := range []context.Context{t.Context(), analytics.WithExact(t.Context())} {
		asked = nil
		for name, ask := range map[string]func() error{
			"overview":    func() error { _, err := c.Overview(ctx, q); return err },
			"performance": func() error { _, err := c.Performance(ctx, q); return err },
			"discovery":   func() error { _, err := c.Discovery(ctx, q); return err },
			"enrichment":  func() error { _, err := c.Enrichment(ctx, q); return err },
		} {
			if err := ask(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n, err := c.Count(ctx, q); n != 0 || err != nil { // which takes no such parameter
			t.Errorf("count: %d, %v", n, err)
		}
		want := ""
		if analytics.Exact(ctx) {
			want = "true"
		}
		for _, got := range asked[:len(asked)-1] {
			if got != want {
				t.Errorf("exact=%q was sent, want %q", got, want)
			}
		}
	}
}
