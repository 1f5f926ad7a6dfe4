package conformance

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
	"github.com/annals-dev/annals/store/postgres"
	"github.com/annals-dev/annals/store/storetest"
)

var postgresSchemas atomic.Int64

// postgresHarness gives every store a schema of its own in one database. The
// sums of the statistics are made as the suite goes along, so that answers come
// from them, from records and from both.
func postgresHarness(tb testing.TB) storetest.Harness {
	url := enginetest.Postgres(tb)
	schemas := map[audit.Store]string{}
	open := func(tb testing.TB, schema string) audit.Store {
		s, err := postgres.Open(tb.Context(), postgres.Options{URL: url, Schema: schema, MaxConnections: 4, RollupInterval: 20 * time.Millisecond})
		if err != nil {
			tb.Fatal(err)
		}
		schemas[s] = schema
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	return storetest.Harness{
		New: func(tb testing.TB) audit.Store {
			schema := fmt.Sprintf("s%d", postgresSchemas.Add(1))
			tb.Cleanup(func() { dropSchema(tb, url, schema) })
			return open(tb, schema)
		},
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			return open(tb, schemas[s])
		},
	}
}

func dropSchema(tb testing.TB, url, schema string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err == nil {
		_, err = conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
		_ = conn.Close(ctx) // it has done its work
	}
	if err != nil {
		tb.Error(err)
	}
}
