package postgres

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// settled gives the blocks that have bounds.
func (c stranger) settled(t testing.TB) (out []int32) {
	t.Helper()
	rows, err := c.Query(t.Context(), c.s.sql("SELECT block FROM @blocks ORDER BY block"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err = pgx.CollectRows(rows, pgx.RowTo[int32]); err != nil {
		t.Fatal(err)
	}
	return out
}

// soundBounds wants every record to lie within the bounds of its block.
func (c stranger) soundBounds(t testing.TB) {
	t.Helper()
	if n := c.number(t, `SELECT count(*) FROM @records r JOIN @blocks b ON b.block = r.block WHERE r.occurred_at NOT BETWEEN b.min_occurred AND b.max_occurred`); n != 0 {
		t.Fatalf("%d records lie outside the bounds of their block", n)
	}
}

// A block gets its bounds when the sequence has left it and whoever might still
// write to it has ended, and not before.
func TestBoundsWaitForWriters(t *testing.T) {
	s := sparse(t, Options{})
	c := newStranger(t, s)
	settle(t, s)
	if got := c.settled(t); len(got) != 0 {
		t.Fatalf("the block that is being filled has bounds: %v", got)
	}
	writer := newStranger(t, s)
	tx, err := writer.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The writer's first record is to be in block 0, long before the others.
	for _, text := range []string{"SELECT pg_current_xact_id()", "SELECT nextval('@units')"} {
		if _, err := tx.Exec(t.Context(), s.sql(text)); err != nil {
			t.Fatal(err)
		}
	}
	appendAll(t, s, storetest.Corpus(1, 40))
	for range 3 {
		settle(t, s)
		if got := c.settled(t); slices.Contains(got, 0) {
			t.Fatalf("block 0 has bounds while a transaction may write to it: %v", got)
		}
	}
	early := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	if _, err := tx.Exec(t.Context(), s.sql("INSERT INTO @records(block, scope, id, occurred_at, recorded_at, actor) VALUES(0, 1, gen_random_uuid(), $1, $1, 'late')"), early); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	settle(t, s)
	if got := c.settled(t); !slices.Contains(got, 0) || len(got) < 2 {
		t.Fatalf("after every writer has ended the blocks with bounds are %v", got)
	}
	c.soundBounds(t)
	page, err := s.Query(t.Context(), &audit.Query{Filters: []audit.Filter{audit.Is("actor", "late")}, To: early.AddDate(0, 0, 1)})
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("the late record is not found: %v, %v", page, err)
	}
}

// A block with nothing in it has bounds that hold nothing, and is not asked.
func TestBoundsOfAnEmptyBlock(t *testing.T) {
	s := sparse(t, Options{})
	c := newStranger(t, s)
	c.must(t, "SELECT setval('@units', $1)", 3*s.blockUnits)
	settle(t, s)
	if got := c.settled(t); !slices.Equal(got, []int32{0, 1, 2}) {
		t.Fatalf("blocks with bounds: %v", got)
	}
	err := s.ask(t.Context(), func(a *ask) error {
		p, err := a.prepare(&audit.Query{})
		if err != nil {
			return err
		}
		x := &search{ask: a, p: p, start: startOf(p.q), n: 1}
		pieces, err := x.pieces()
		if err == nil && len(pieces) != 1 {
			err = fmt.Errorf("%v may hold records", pieces)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is stored is found at once, whatever block it fell into and whoever
// writes bounds meanwhile.
func TestStoredIsFoundWhileBlocksSettle(t *testing.T) {
	s := sparse(t, Options{})
	other := open(t, Options{URL: s.opt.URL, NoMigrate: true})
	other.blockUnits = s.blockUnits
	c := newStranger(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var settling, writing sync.WaitGroup
	settling.Go(func() {
		for ctx.Err() == nil {
			if err := s.settleBlocks(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	for writer := range 4 {
		writing.Go(func() {
			r := storetest.NewRand(uint64(writer))
			for round := range storetest.Rounds(60) {
				recs := storetest.Corpus(uint64(writer*1000+round), 1+r.IntN(9))
				name := fmt.Sprintf("writer %d, round %d", writer, round)
				for i := range recs {
					recs[i].Actor.ID = name
				}
				results, err := s.Append(ctx, recs)
				if err != nil {
					t.Error(err)
					return
				}
				for _, res := range results {
					if res.Err != nil {
						t.Error(res.Err)
					}
				}
				for _, reader := range []*Store{s, other} {
					page, err := reader.Query(ctx, &audit.Query{Filters: []audit.Filter{audit.Is("actor", name)}})
					if err != nil || len(page.Records) != len(recs) {
						t.Errorf("%s: %d records of %d are found, %v", name, len(page.Records), len(recs), err)
						return
					}
				}
			}
		})
	}
	writing.Wait()
	cancel()
	settling.Wait()
	settle(t, s)
	c.soundBounds(t)
}

func TestBoundsOfPartitions(t *testing.T) {
	at := func(text string) int64 {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMicro()
	}
	s := sparse(t, Options{URL: abroad(t, "")})
	err := s.ask(t.Context(), func(a *ask) error {
		parts, err := a.partitions()
		if err != nil {
			return err
		}
		found := false
		for _, p := range parts {
			if p.name == "public.annals_records_day0" {
				found = p.from == at("2026-03-01T00:00:00Z") && p.to == at("2026-03-02T00:00:00Z")-1
			}
		}
		if !found {
			t.Errorf("the partitions are %+v", parts)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
