package postgres

import (
	"context"
	"database/sql"
	"hash/fnv"
	"strconv"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/annals-dev/annals/audit"
)

// schemaVersion is the version that this program wants.
const schemaVersion = 2

// migrations bring the tables from one version to the next, each in a
// transaction. One never changes once it was released.
func (s *Store) migrations() []*goose.Migration {
	run := func(statements []string) *goose.GoFunc {
		return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			for _, text := range statements {
				if _, err := tx.ExecContext(ctx, s.sql(text)); err != nil {
					return err
				}
			}
			return nil
		}}
	}
	text := !s.opt.NoFullText
	first := append(coreSchema(), retentionSchema()...)
	first = append(first, firstPartitions(s.opt.Now())...)
	first = append(first, rollupSchema()...)
	first = append(first, `INSERT INTO @meta(key, value) VALUES('full_text', '`+strconv.FormatBool(text)+`')`)
	return []*goose.Migration{
		goose.NewGoMigration(1, run(first), nil),
		goose.NewGoMigration(2, run(segmentSchema()), nil),
	}
}

// versionTable is ours alone: the application may use goose, or another tool,
// for its own tables.
func (s *Store) versionTable() string { return s.sql("@migrations") }

// migrate brings the schema up to date. Replicas that start together wait for
// the one that does it, by an advisory lock of this schema and prefix.
func (s *Store) migrate(ctx context.Context) error {
	have, err := s.version(ctx)
	if err != nil {
		return err
	}
	switch {
	case have > schemaVersion:
		return &audit.Error{Code: audit.CodeUnsupported, Message: "the tables were made by a newer version of Annals: schema " + strconv.Itoa(have) + ", this program knows " + strconv.Itoa(schemaVersion)}
	case have < schemaVersion && s.opt.NoMigrate:
		return &audit.Error{Code: audit.CodeUnavailable, Message: "the tables are not up to date: run annals migrate"}
	case have < schemaVersion:
		if err := s.up(ctx); err != nil {
			return err
		}
	}
	return s.loadMeta(ctx)
}

func (s *Store) up(ctx context.Context) error {
	if _, err := s.maintenance.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+s.opt.Schema); err != nil && state(err) != stateNoPrivilege && state(err) != stateUniqueViolation {
		return translate(ctx, err) // without the right to make one it may still be there
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(s.lockID("migrate")), lock.WithLockTimeout(1, 300))
	if err != nil {
		return translate(ctx, err)
	}
	db := stdlib.OpenDBFromPool(s.maintenance)
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, nil,
		goose.WithTableName(s.versionTable()), goose.WithSessionLocker(locker),
		goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(s.migrations()...))
	if err != nil {
		return translate(ctx, err)
	}
	_, err = provider.Up(ctx)
	return translate(ctx, err)
}

// version reads the version of the tables, 0 where there are none.
func (s *Store) version(ctx context.Context) (int, error) {
	var have int
	err := s.main.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+s.versionTable()+` WHERE is_applied`).Scan(&have)
	if state(err) == stateUndefinedTable || state(err) == "3F000" { // no such schema
		return 0, nil
	}
	return have, s.fail(ctx, err)
}

// SchemaVersion implements audit.Migrator.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int, err error) {
	have, err = s.version(ctx)
	return have, schemaVersion, err
}

// lockID gives the number of an advisory lock of these tables. Locks of the
// application, which have other numbers, do not meet it but by chance.
func (s *Store) lockID(what string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("annals\x00" + s.sql("@") + "\x00" + what))
	return int64(h.Sum64())
}
