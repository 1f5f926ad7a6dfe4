package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// When a partition is attached, PostgreSQL reads the whole default partition
// under its lock, to see that nothing there belongs to the new one, unless a
// valid constraint says so. Where that would take long the default partition
// gets one beforehand, a fence: its validation holds nobody up. While it stands
// records of the new month are refused. Their writers try again, and later ones
// find the partition.
//
// A process that dies in between leaves its fence. Who comes next removes it,
// or uses it. Should somebody remove the fence of a process that is still at
// work, the attachment takes longer, and nothing else.

const (
	// fenceBytes is a size that is read in a tenth of a second, also where it is
	// not in the cache.
	fenceBytes = 64 << 20
	// unfenceTime is how long the fence of a failed attempt is tried to be removed.
	unfenceTime = 10 * time.Second
	fencePrefix = "annals_fence_"
)

// fenceName is the name of a month's fence, which is one of the table.
func fenceName(month time.Time) string {
	return fmt.Sprintf("%s%04d_%02d", fencePrefix, month.Year(), month.Month())
}

// fences gives the fences that stand.
func (s *Store) fences(ctx context.Context, db querier, rest *partition) ([]string, error) {
	rows, err := db.Query(ctx, `SELECT conname::text FROM pg_constraint WHERE conrelid = $1 AND starts_with(conname::text, $2)`, rest.oid, fencePrefix)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (s *Store) fenced(ctx context.Context, db querier, rest *partition, month time.Time) (bool, error) {
	names, err := s.fences(ctx, db, rest)
	for _, name := range names {
		if name == fenceName(month) {
			return true, err
		}
	}
	return false, err
}

// fence puts up the fence of a month, in the place of any other.
func (s *Store) fence(ctx context.Context, rest *partition, month time.Time) error {
	return s.refence(ctx, rest, fenceName(month), `ADD CONSTRAINT `+fenceName(month)+` CHECK (occurred_at < `+literal(month)+
		` OR occurred_at >= `+literal(month.AddDate(0, 1, 0))+`) NOT VALID`)
}

// unfence takes down what fences stand.
func (s *Store) unfence(ctx context.Context, rest *partition) error {
	return s.refence(ctx, rest, "", "")
}

// refence takes down every fence but the wanted one, which add makes where it is
// not there.
func (s *Store) refence(ctx context.Context, rest *partition, wanted, add string) error {
	return s.patiently(ctx, func(wait time.Duration) error {
		if names, err := s.fences(ctx, s.maintenance, rest); err != nil || wanted == "" && len(names) == 0 {
			return err
		}
		return s.exclusively(ctx, func(tx pgx.Tx) error {
			names, err := s.fences(ctx, tx, rest)
			if err != nil {
				return err
			}
			var actions []string
			stands := wanted == ""
			for _, name := range names {
				if name == wanted {
					stands = true
				} else {
					actions = append(actions, `DROP CONSTRAINT `+name)
				}
			}
			if !stands {
				actions = append(actions, add)
			}
			if len(actions) == 0 {
				return nil
			}
			if err := lockTimeout(ctx, tx, wait); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, `ALTER TABLE `+rest.name+` `+strings.Join(actions, ", "))
			return err
		})
	})
}
