package postgres

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/enginetest"
)

func init() { children["append"] = appendAsChild }

// Four processes with eight writers each, and the batches that each writes.
const (
	contenders     = 4
	contendWriters = 8
	contendBatches = 10
	contendRecords = 7
)

// appendAsChild is the work of one process.
func appendAsChild() {
	ctx := context.Background()
	s, err := Open(ctx, Options{URL: os.Getenv("ANNALS_POSTGRES_URL"), MaxConnections: 4, NoMigrate: true})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range contendWriters {
		wg.Go(func() {
			for range contendBatches {
				results, err := s.AppendChained(ctx, batch(contendRecords, 1, 1))
				for _, r := range results {
					if r.Err != nil || r.Duplicate {
						err = fmt.Errorf("%+v", r)
					}
				}
				if err != nil {
					fmt.Println(err)
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// Many writers in several processes on one chain lose nothing, and each gets
// its turn.
func TestContention(t *testing.T) {
	url := enginetest.Postgres(t)
	s := open(t, Options{URL: url})
	var wg sync.WaitGroup
	for range contenders {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childVariable+"=append", "ANNALS_POSTGRES_URL="+url)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, strings.TrimSpace(string(out)))
			}
		})
	}
	wg.Wait()
	const want = contenders * contendWriters * contendBatches * contendRecords
	verifyAll(t, s, want)
	if n := newStranger(t, s).number(t, `SELECT count(*) FROM @records`); n != want {
		t.Errorf("%d records, want %d", n, want)
	}
	if n, err := s.Unchained(t.Context(), audit.Scope{Namespace: "billing", Tenant: "t0"}); n != 0 || err != nil {
		t.Errorf("%d records outside the chain: %v", n, err)
	}
}
