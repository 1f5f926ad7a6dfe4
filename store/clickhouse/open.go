package clickhouse

import (
	"context"
	"strings"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/annals-dev/annals/audit"
)

// Open opens the tables that the options name, or makes them. Errors name the option.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, names: strings.NewReplacer("@", opt.Prefix), records: opt.Prefix + "records", closed: make(chan struct{})}
	s.lanes.init()
	s.claims.init()
	if err := s.open(ctx); err != nil {
		if s.conn != nil {
			_ = s.conn.Close() // the first error says more
		}
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	o, err := s.opt.driver()
	if err != nil {
		return err
	}
	if !s.opt.NoMigrate {
		if err := s.makeDatabase(ctx, *o); err != nil {
			return err
		}
	}
	if s.conn, err = driver.Open(o); err != nil {
		return audit.Invalid("url", "is no address of ClickHouse") // the error may quote the password
	}
	if err := s.conn.Ping(ctx); err != nil {
		return unreachable(ctx, err)
	}
	return s.migrate(ctx)
}

func unreachable(ctx context.Context, err error) error {
	if codeOf(err) != 0 {
		return translate(ctx, err)
	}
	return &audit.Error{Code: audit.CodeUnavailable, Field: "url", Message: "the database cannot be reached", Cause: err}
}

// makeDatabase makes the database of the URL.
func (s *Store) makeDatabase(ctx context.Context, o driver.Options) error {
	name := o.Auth.Database
	if name == "" || name == "default" {
		return nil
	}
	o.Auth.Database = "" // the user's own, which is there
	conn, err := driver.Open(&o)
	if err != nil {
		return audit.Invalid("url", "is no address of ClickHouse")
	}
	defer conn.Close()
	var there uint64
	if err := conn.QueryRow(ctx, "SELECT count() FROM system.databases WHERE name="+text(name)).Scan(&there); err != nil {
		return unreachable(ctx, err)
	}
	if there > 0 {
		return nil
	}
	return translate(ctx, conn.Exec(ctx, "CREATE DATABASE IF NOT EXISTS "+quoteName(name)+s.opt.onCluster()))
}

func quoteName(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// driver gives the options of the driver.
func (o *Options) driver() (*driver.Options, error) {
	if !strings.HasPrefix(o.URL, "clickhouse://") && !strings.HasPrefix(o.URL, "tcp://") {
		return nil, audit.Invalid("url", "want clickhouse://USER:PASSWORD@HOST:9000/DATABASE")
	}
	d, err := driver.ParseDSN(o.URL)
	if err != nil {
		return nil, audit.Invalid("url", "is no address of ClickHouse")
	}
	if d.TLS, err = o.TLS.config(d.TLS); err != nil {
		return nil, err
	}
	if d.Compression == nil {
		d.Compression = &driver.Compression{Method: driver.CompressionLZ4}
	}
	if d.Settings == nil {
		d.Settings = driver.Settings{}
	}
	for name, value := range o.querySettings() {
		if _, given := d.Settings[name]; !given {
			d.Settings[name] = value
		}
	}
	d.MaxOpenConns, d.MaxIdleConns = o.MaxConnections, o.MaxConnections
	d.DialTimeout = o.ConnectTimeout
	d.ConnMaxLifetime = time.Hour
	d.ClientInfo.Products = append(d.ClientInfo.Products, struct{ Name, Version string }{"annals", "1"})
	return d, nil
}

// querySettings are those of every statement; what the URL says goes before.
func (o *Options) querySettings() driver.Settings {
	set := driver.Settings{
		// A question may have 50 filters of 200 values of a kilobyte, a thousand
		// holds as many; what a person may ask is limited elsewhere.
		"max_query_size": 1 << 30, "max_ast_elements": 10_000_000, "max_expanded_ast_elements": 10_000_000,
		// Dictionaries would be made in Go, at ten times what they cost the server.
		"low_cardinality_allow_in_native_format": 0,
		// A batch may have records of many months.
		"max_partitions_per_insert_block": 0,
		// DELETE hides rows by a small patch instead of writing parts anew.
		"lightweight_delete_mode": "lightweight_update", "lightweight_deletes_sync": 2, "mutations_sync": 2,
		// Nothing is acknowledged before it is stored.
		"async_insert": 0, "insert_deduplicate": 1,
		// What a SELECT has sorted it may fetch late, see docs/design/clickhouse.md.
		"query_plan_max_limit_for_lazy_materialization": 10_000,
	}
	if o.StatementTimeout > 0 {
		set["max_execution_time"] = int(max(1, o.StatementTimeout/time.Second))
	}
	if o.Cluster != "" {
		set["insert_quorum"] = "auto"
		set["insert_quorum_parallel"] = 0
		set["select_sequential_consistency"] = 1
	}
	return set
}
