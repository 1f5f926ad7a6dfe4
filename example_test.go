package annals_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/sqlite"
)

// Record an event on SQLite, find it, and verify the chain.
func Example() {
	ctx := context.Background()
	dir, _ := os.MkdirTemp("", "annals")
	defer os.RemoveAll(dir)

	store, err := sqlite.Open(ctx, sqlite.Options{Path: filepath.Join(dir, "audit.db")})
	if err != nil {
		panic(err)
	}
	trail, err := annals.New(store, annals.Options{})
	if err != nil {
		panic(err)
	}
	defer trail.Close(ctx)

	_, err = trail.Record(ctx, &audit.Event{Tenant: "acme", Action: "user.delete", Actor: audit.Actor{ID: "alice"}})
	if err != nil {
		panic(err)
	}
	_ = trail.Flush(ctx) // the queue is written every 30 seconds or 500 events; do not wait for it here

	page, err := trail.Query(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("actor", "alice")}}, "")
	if err != nil {
		panic(err)
	}
	reports, err := trail.Verify(ctx, audit.Scope{Tenant: "acme"}, chain.VerifyOptions{})
	if err != nil {
		panic(err)
	}
	fmt.Println(page.Records[0].Action, page.Records[0].Operation, reports[0].Valid)
	// Output: user.delete delete true
}
