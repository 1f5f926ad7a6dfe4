package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/annals-dev/annals/audit"
)

// Open opens the tables that the options name and brings their schema up to
// date, or makes them. Errors name the option.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, names: newNames(opt), unitRows: unitRows, blockUnits: blockUnits, glanceRecords: glanceRecords, narrowRecords: narrowRecords, closed: make(chan struct{})}
	s.beginRead = s.sql(beginRead(opt))
	s.copySQL, s.doors, s.writing = s.sql(copyStatement), newDoors(), make(chan struct{}, max(1, opt.MaxConnections-1))
	s.closing, s.close = context.WithCancel(context.Background())
	if err := s.open(ctx); err != nil {
		s.close()
		s.closePools()
		return nil, err
	}
	s.startRollup()
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.main, err = s.pool(ctx, "url", s.opt.URL, s.opt.MaxConnections); err != nil {
		return err
	}
	if err := s.checkServer(ctx); err != nil {
		return err
	}
	s.replica, s.maintenance = s.main, s.main
	if s.opt.MaintenanceURL != "" {
		if s.maintenance, err = s.pool(ctx, "maintenance_url", s.opt.MaintenanceURL, 2); err != nil {
			return err
		}
	}
	if err := s.migrate(ctx); err != nil {
		return err
	}
	if s.opt.ReplicaURL != "" {
		// Questions may wait for a replica that is away; writing does not.
		if s.replica, err = s.lazyPool("replica_url", s.opt.ReplicaURL, s.opt.MaxConnections); err != nil {
			return err
		}
	}
	return nil
}

// checkServer refuses a database that would not keep what it is given.
func (s *Store) checkServer(ctx context.Context) error {
	var version int
	var encoding string
	err := s.main.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('server_encoding')`).Scan(&version, &encoding)
	switch {
	case err != nil:
		return translate(ctx, err)
	case version < oldestServer:
		return &audit.Error{Code: audit.CodeUnsupported, Field: "url", Message: "the server is older than PostgreSQL 15"}
	case encoding != "UTF8":
		return audit.Invalid("url", "the database has the encoding %s, want UTF8", encoding)
	}
	return nil
}

// oldestServer is the oldest server that is tested, as server_version_num.
const oldestServer = 150000

// pool makes a pool and sees that it can connect.
func (s *Store) pool(ctx context.Context, field, url string, size int) (*pgxpool.Pool, error) {
	p, err := s.lazyPool(field, url, size)
	if err != nil {
		return nil, err
	}
	if err := p.Ping(ctx); err != nil {
		p.Close()
		return nil, &audit.Error{Code: audit.CodeUnavailable, Field: field, Message: "the database cannot be reached", Cause: err}
	}
	return p, nil
}

func (s *Store) lazyPool(field, url string, size int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(s.opt.TLS.into(url))
	if err != nil {
		// The error may quote the password, so it stays out.
		return nil, audit.Invalid(field, "is no connection string of PostgreSQL")
	}
	switch cfg.ConnConfig.DefaultQueryExecMode {
	case pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol:
		// Chosen for a pooler that keeps no prepared statements. These two give
		// results as text, which we do not read; this one keeps none either.
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	cfg.MaxConns, cfg.MinConns = int32(size), int32(min(s.opt.MinConnections, size))
	cfg.MaxConnLifetime, cfg.MaxConnIdleTime = s.opt.MaxConnLifetime, s.opt.MaxConnIdleTime
	cfg.MaxConnLifetimeJitter = cfg.MaxConnLifetime / 10
	cfg.HealthCheckPeriod = 15 * time.Second
	cfg.ConnConfig.ConnectTimeout = s.opt.ConnectTimeout
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = s.opt.ApplicationName
	}
	return pgxpool.NewWithConfig(s.closing, cfg)
}

// loadMeta reads what the tables were made with.
func (s *Store) loadMeta(ctx context.Context) error {
	var text string
	err := s.main.QueryRow(ctx, s.sql(`SELECT value FROM @meta WHERE key = 'full_text'`)).Scan(&text)
	if errors.Is(err, pgx.ErrNoRows) {
		return &audit.Error{Code: audit.CodeInternal, Message: "the table of settings is empty: the tables are not ours"}
	}
	s.text = text == "true"
	return translate(ctx, err)
}
