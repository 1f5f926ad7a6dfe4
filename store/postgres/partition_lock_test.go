package postgres

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/storetest"
)

// A reader that does not end keeps the partitions as they are, and nobody else
// from anything: writers wait no longer than the lock is waited for. When it
// ends the change is made, by itself.
func TestAReaderHoldsUpNoWriter(t *testing.T) {
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for name, change := range map[string]struct {
		do   func(ctx context.Context, s *Store) error
		want []string
	}{
		"ensure": {func(ctx context.Context, s *Store) error { return s.EnsureMonthlyPartitions(ctx, 4) }, append(months("2026_06", 1)[:1], months("2026_09", 5)...)},
		"ensure fenced": {func(ctx context.Context, s *Store) error {
			return s.ensure(ctx, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), 0)
		}, append(months("2026_06", 1)[:1], months("2026_09", 5)...)},
		"drop": {func(ctx context.Context, s *Store) error { return s.DropExpiredPartitions(ctx, 90) }, months("2026_09", 4)},
	} {
		t.Run(name, func(t *testing.T) {
			eachVersion(t, func(t *testing.T, url string) {
				s := dated(t, Options{URL: url, LockTimeout: 100 * time.Millisecond}, today)
				makeMonths(t, s, june, 1)
				past, future := at(20, june), at(20, time.Date(2027, 1, 5, 0, 0, 0, 0, time.UTC))
				chainAll(t, s, append(slices.Clone(past), future...))

				reader := newStranger(t, s)
				reader.must(t, `BEGIN ISOLATION LEVEL REPEATABLE READ`)
				if n := reader.number(t, `SELECT count(*) FROM @records`); n != 40 {
					t.Fatalf("the reader sees %d records", n)
				}
				done := make(chan error, 1)
				go func() { done <- change.do(t.Context(), s) }()
				watch := newStranger(t, s)
				waiting := `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
				for watch.number(t, waiting) == 0 { // until the change stands in the queue
					select {
					case err := <-done:
						t.Fatalf("the change did not wait for the reader: %v", err)
					default:
					}
				}
				var fresh []*audit.Record
				for i := range 30 {
					recs := at(5, today.Add(time.Duration(i)*time.Second))
					if name == "ensure" && i%10 == 0 { // into the month that is being made
						recs = append(recs, at(1, time.Date(2027, 1, 6, i, 0, 0, 0, time.UTC))...)
					}
					chainAll(t, s, recs)
					fresh = append(fresh, recs...)
				}
				if n := reader.number(t, `SELECT count(*) FROM @records`); n != 40 {
					t.Errorf("the reader sees %d records after a while", n)
				}
				select {
				case err := <-done:
					t.Fatalf("the change was made under the reader: %v", err)
				default:
				}
				reader.must(t, `COMMIT`)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				wantLayout(t, s, change.want)
				want := append(fresh, future...)
				if name != "drop" {
					want = append(want, past...)
				}
				wantRecords(t, s, want)
				intact(t, s)
			})
		})
	}
}

// A reader that outlasts every attempt leaves an error that says so, and no trace.
func TestAReaderThatNeverEnds(t *testing.T) {
	june := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	s := dated(t, Options{LockTimeout: time.Millisecond}, today)
	makeMonths(t, s, june, 1)
	recs := append(at(20, june), at(20, time.Date(2027, 1, 5, 0, 0, 0, 0, time.UTC))...)
	chainAll(t, s, storetest.CloneAll(recs))
	before := layoutOf(t, s)
	reader := newStranger(t, s)
	reader.must(t, `BEGIN`)
	reader.number(t, `SELECT count(*) FROM @records`)
	for name, err := range map[string]error{
		"ensure": s.EnsureMonthlyPartitions(t.Context(), 4),
		"drop":   s.DropExpiredPartitions(t.Context(), 90),
		"fence":  s.ensure(t.Context(), monthOf(today).AddDate(0, 4, 0), 0),
	} {
		if audit.CodeOf(err) != audit.CodeUnavailable || !audit.Retryable(err) {
			t.Errorf("%s: %v, want a retryable unavailable", name, err)
		}
	}
	wantLayout(t, s, before)
	wantRecords(t, s, recs)
	reader.must(t, `ROLLBACK`)
	ensure(t, s, 4)
	intact(t, s)
}

// Close ends a change that waits.
func TestCloseEndsAChangeThatWaits(t *testing.T) {
	url := abroad(t, "")
	s := dated(t, Options{URL: url}, today)
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), s.sql(`BEGIN; LOCK TABLE @records IN ACCESS EXCLUSIVE MODE`)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.EnsureMonthlyPartitions(t.Context(), 6) }()
	watch, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(context.Background())
	for n := 0; n == 0; {
		if err := watch.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE NOT granted`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; audit.CodeOf(err) != audit.CodeOf(audit.ErrClosed) {
		t.Errorf("%v, want closed", err)
	}
}

// A question that began before records moved to a partition finds them.
func TestAQuestionSeesOneState(t *testing.T) {
	s := dated(t, Options{LockTimeout: 100 * time.Millisecond}, today)
	from, to := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)
	chainAll(t, s, at(20, from))
	done := make(chan error, 1)
	if err := s.read(t.Context(), true, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SELECT 1`); err != nil { // from here on it sees what there is now
			return err
		}
		go func() { done <- s.ensure(t.Context(), from, fenceBytes) }()
		watch := newStranger(t, s)
		for len(done) == 0 && watch.number(t, `SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'`) == 0 {
		}
		var n int
		err := tx.QueryRow(t.Context(), s.sql(`SELECT count(*) FROM @records WHERE occurred_at >= $1 AND occurred_at < $2`), from, to).Scan(&n)
		if n != 20 {
			t.Errorf("the question sees %d records, want 20", n)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := in(t, s, "2027_01"); n != 20 {
		t.Errorf("%d records moved, want 20", n)
	}
}
