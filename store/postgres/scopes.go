package postgres

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/annals-dev/annals/audit"
)

// lostScope is the namespace of records whose row in the table of scopes is
// gone; their tenant is the number of that row.
const lostScope = "(lost)"

// scopes remembers the numbers of scopes, which never change once committed.
type scopes struct {
	mu     sync.RWMutex
	number map[audit.Scope]int32
	name   map[int32]audit.Scope
}

// maxScopes bounds the memory; beyond it everything is forgotten and read anew.
const maxScopes = 100_000

func (c *scopes) lookUp(name audit.Scope) (int32, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.number[name]
	return n, ok
}

func (c *scopes) nameOf(number int32) (audit.Scope, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	n, ok := c.name[number]
	return n, ok
}

func (c *scopes) remember(number int32, name audit.Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.number == nil || len(c.number) >= maxScopes {
		c.number, c.name = map[audit.Scope]int32{}, map[int32]audit.Scope{}
	}
	c.number[name], c.name[number] = number, name
}

// querier is what a pool, a connection and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// scopeNumber gives the number of a scope; ok is false when it has none yet.
func (s *Store) scopeNumber(ctx context.Context, db querier, name audit.Scope) (number int32, ok bool, err error) {
	if number, ok = s.scopes.lookUp(name); ok {
		return number, true, nil
	}
	err = db.QueryRow(ctx, s.sql(`SELECT scope FROM @scopes WHERE namespace = $1 AND tenant = $2`), name.Namespace, name.Tenant).Scan(&number)
	if errors.Is(err, pgx.ErrNoRows) {
		if name.Namespace == lostScope {
			if n, e := strconv.ParseInt(name.Tenant, 10, 32); e == nil {
				return int32(n), true, nil
			}
		}
		return 0, false, nil
	}
	if err == nil {
		s.scopes.remember(number, name)
	}
	return number, err == nil, err
}

// makeScope gives the number of a scope, which it makes outside any transaction
// where there is none: a number that a rollback took back must not be remembered.
func (s *Store) makeScope(ctx context.Context, name audit.Scope) (int32, error) {
	number, ok, err := s.scopeNumber(ctx, s.main, name)
	if ok || err != nil {
		return number, err
	}
	err = s.write(ctx, s.main, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, s.sql(`INSERT INTO @scopes(namespace, tenant) VALUES($1, $2) ON CONFLICT DO NOTHING`), name.Namespace, name.Tenant)
		return err
	})
	if err != nil {
		return 0, err
	}
	number, ok, err = s.scopeNumber(ctx, s.main, name)
	if err == nil && !ok {
		err = &audit.Error{Code: audit.CodeInternal, Message: "a scope that was just made is not there"}
	}
	return number, err
}

// scopeName gives the names of a scope by its number.
func (s *Store) scopeName(ctx context.Context, db querier, number int32) (audit.Scope, error) {
	if name, ok := s.scopes.nameOf(number); ok {
		return name, nil
	}
	var name audit.Scope
	err := db.QueryRow(ctx, s.sql(`SELECT namespace, tenant FROM @scopes WHERE scope = $1`), number).Scan(&name.Namespace, &name.Tenant)
	if errors.Is(err, pgx.ErrNoRows) {
		return audit.Scope{Namespace: lostScope, Tenant: strconv.Itoa(int(number))}, nil
	}
	if err == nil {
		s.scopes.remember(number, name)
	}
	return name, err
}
