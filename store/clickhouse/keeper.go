package clickhouse

import (
	"context"
	"errors"
	"strconv"

	"github.com/annals-dev/annals/audit"
)

// A document is a log of attempts to save it, in the order in which the server
// committed them: each names the version that it was made over, and holds if
// that is the version then. Everybody who reads the log comes to the same
// verdict, so of two attempts over one version one holds. A version is the number
// of its attempt's block, which grows and never comes twice. An attempt to
// delete holds no value, and the version after it is 0.

// kept is a document, or its absence.
type kept struct {
	value    string
	version  int64  // 0 where there is none
	attempt  uint64 // that made it
	block    uint64 // of that attempt
	attempts int    // in the log
	held     map[uint64]bool
}

func (s *Store) kept(ctx context.Context, key string) (k kept, err error) {
	k.held = map[uint64]bool{}
	err = s.rows(ctx, s.sql("SELECT _block_number,base,attempt,value FROM @documents WHERE key=")+text(key)+" ORDER BY _block_number", func(r *row) error {
		var block, attempt uint64
		var base int64
		var value string
		if err := r.Scan(&block, &base, &attempt, &value); err != nil {
			return err
		}
		k.attempts++
		// The first one left is always one that held: what goes, goes before one.
		if k.attempts > 1 && base != k.version {
			return nil
		}
		k.value, k.version, k.attempt, k.block = value, int64(block), attempt, block
		if value == "" {
			k.version = 0
		}
		k.held[attempt] = true
		return nil
	})
	return k, err
}

// Load implements audit.Keeper.
func (s *Store) Load(ctx context.Context, key string) (value []byte, version int64, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, 0, err
	}
	defer leave()
	k, err := s.kept(ctx, key)
	switch {
	case err != nil:
		return nil, 0, err
	case k.version == 0:
		return nil, 0, audit.ErrNotFound
	}
	return []byte(k.value), k.version, nil
}

// Save implements audit.Keeper.
func (s *Store) Save(ctx context.Context, key string, value []byte, version int64) error {
	if err := audit.CheckKept(key, value, version); err != nil {
		return err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return s.save(ctx, key, value, version)
}

// maxAttempts is how long a log may become before its beginning goes.
const maxAttempts = 32

func (s *Store) save(ctx context.Context, key string, value []byte, version int64) error {
	now, err := s.kept(ctx, key)
	if err != nil {
		return err
	}
	if now.version != version {
		return audit.ErrMoved
	}
	attempt := newInsert()
	b := &block{}
	b.add("key", []string{key})
	b.add("base", []int64{version})
	b.add("attempt", []uint64{attempt})
	b.add("value", []string{string(value)})
	if err := s.send(ctx, s.opt.Prefix+"documents", b, attempt); err != nil {
		return err
	}
	if now, err = s.kept(ctx, key); err != nil {
		return err
	}
	if !now.held[attempt] {
		return audit.ErrMoved
	}
	if now.attempts > maxAttempts {
		// It is only for room, so that another may do it where this fails.
		_ = s.exec(ctx, s.sql("DELETE FROM @documents WHERE key=")+text(key)+" AND _block_number<"+strconv.FormatUint(now.block, 10))
	}
	return nil
}

// change loads a document and saves what fn makes of it, until nobody comes in between.
func (s *Store) change(ctx context.Context, key string, fn func(value []byte) ([]byte, error)) error {
	for {
		k, err := s.kept(ctx, key)
		if err != nil {
			return err
		}
		value, err := fn([]byte(k.value))
		if err != nil {
			return err
		}
		if err := s.save(ctx, key, value, k.version); !errors.Is(err, audit.ErrMoved) {
			return err
		}
	}
}
