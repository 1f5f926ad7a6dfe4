// Package backends opens engines by the name in the settings. It is the one
// place that knows them all; a new engine is one line here.
package backends

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/store/clickhouse"
	"github.com/annals-dev/annals/store/dynamodb"
	"github.com/annals-dev/annals/store/elasticsearch"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/postgres"
	"github.com/annals-dev/annals/store/sqlite"
)

// Use says what an engine is opened for.
type Use int

// The uses. A server keeps the engine in order in the background; a command is
// gone before that would be of use. A migration changes the schema whatever the
// settings say, and a look never does.
const (
	Command Use = iota
	Server
	Migration
	Look
)

// Open opens the engine that the settings name.
func Open(ctx context.Context, cfg *config.Config, use Use) (audit.Store, error) {
	open, ok := engines[cfg.Audit.Backend]
	if !ok {
		return nil, audit.Invalid("audit.backend", "is %q, which this program does not have", cfg.Audit.Backend)
	}
	store, err := open(ctx, cfg, use)
	if err != nil {
		return nil, blame(cfg, err)
	}
	return store, nil
}

// blame gives an error about an option of the engine the name of its setting.
func blame(cfg *config.Config, err error) error {
	var e *audit.Error
	if !errors.As(err, &e) || e.Field == "" {
		return err
	}
	own := "audit." + cfg.Audit.Backend + "." + e.Field
	for _, key := range []string{own, own + "_seconds", settingOf[e.Field], "audit." + e.Field} {
		if cfg.Has(key) {
			return cfg.Blame(err, key)
		}
	}
	return err
}

// MustExist refuses settings that name a store which is not there, so that a
// question with a mistyped path is an error and not a new, empty store.
func MustExist(cfg *config.Config) error {
	if cfg.Audit.Backend != "sqlite" {
		return nil
	}
	if _, err := os.Stat(cfg.Audit.URL); errors.Is(err, fs.ErrNotExist) {
		return cfg.Blame(audit.Invalid("path", "there is no store at %s: nothing was recorded there yet", cfg.Audit.URL), "audit.url")
	}
	return nil // whatever else is wrong with it, opening says so
}

// settingOf names the settings of those engine options that have another name.
var settingOf = map[string]string{
	"path":               "audit.url",
	"max_conn_lifetime":  "audit.postgres.connection_lifetime_seconds",
	"max_conn_idle_time": "audit.postgres.connection_idle_seconds",
	"timeout":            "audit.elasticsearch.write_timeout_seconds",
	"rollover_age":       "audit.elasticsearch.rollover_days",
}

var engines = map[string]func(context.Context, *config.Config, Use) (audit.Store, error){
	"memory": func(context.Context, *config.Config, Use) (audit.Store, error) {
		return memory.New(memory.Options{}), nil
	},
	"sqlite": func(ctx context.Context, cfg *config.Config, _ Use) (audit.Store, error) {
		return sqlite.Open(ctx, sqlite.Options{Path: cfg.Audit.URL, Prefix: cfg.Audit.Prefix, NoFullText: !cfg.Audit.FullText})
	},
	"postgres": func(ctx context.Context, cfg *config.Config, use Use) (audit.Store, error) {
		return postgres.Open(ctx, postgresOptions(cfg, use))
	},
	"dynamodb": func(ctx context.Context, cfg *config.Config, use Use) (audit.Store, error) {
		return dynamodb.Open(ctx, dynamodbOptions(cfg, use))
	},
	"clickhouse": func(ctx context.Context, cfg *config.Config, use Use) (audit.Store, error) {
		return clickhouse.Open(ctx, clickhouseOptions(cfg, use))
	},
	"elasticsearch": func(ctx context.Context, cfg *config.Config, use Use) (audit.Store, error) {
		return elasticsearch.Open(ctx, elasticsearchOptions(cfg, use))
	},
}

func elasticsearchOptions(cfg *config.Config, use Use) elasticsearch.Options {
	a, e := &cfg.Audit, &cfg.Audit.Elasticsearch
	return elasticsearch.Options{
		URL: a.URL, APIKey: e.APIKey,
		TLS:    elasticsearch.TLS{Mode: a.TLS.Mode, CAFile: a.TLS.CAFile, CertFile: a.TLS.CertFile, KeyFile: a.TLS.KeyFile},
		Prefix: a.Prefix, NoFullText: !a.FullText, Replicas: e.Replicas,
		RefreshInterval: e.RefreshIntervalSeconds.Duration(), Visible: e.Visible,
		RolloverBytes: e.RolloverBytes, RolloverAge: time.Duration(e.RolloverDays) * 24 * time.Hour,
		CallTimeout: e.CallTimeoutSeconds.Duration(), Timeout: e.WriteTimeoutSeconds.Duration(), Parallel: e.Parallel,
		NoCreate: use == Look,
	}
}

func clickhouseOptions(cfg *config.Config, use Use) clickhouse.Options {
	a, c := &cfg.Audit, &cfg.Audit.ClickHouse
	return clickhouse.Options{
		URL:    a.URL,
		TLS:    clickhouse.TLS{Mode: a.TLS.Mode, CAFile: a.TLS.CAFile, CertFile: a.TLS.CertFile, KeyFile: a.TLS.KeyFile},
		Prefix: a.Prefix, Writer: c.Writer, Cluster: c.Cluster, NoFullText: !a.FullText, Fsync: c.Fsync,
		MaxConnections: c.MaxConnections, ConnectTimeout: c.ConnectTimeoutSeconds.Duration(), StatementTimeout: orNever(c.StatementTimeoutSeconds),
		NoMigrate: use == Look || use != Migration && !c.Migrate,
	}
}

func postgresOptions(cfg *config.Config, use Use) postgres.Options {
	a, p := &cfg.Audit, &cfg.Audit.Postgres
	opt := postgres.Options{
		URL: a.URL, MaintenanceURL: p.MaintenanceURL, ReplicaURL: p.ReplicaURL,
		TLS:    postgres.TLS{Mode: a.TLS.Mode, CAFile: a.TLS.CAFile, CertFile: a.TLS.CertFile, KeyFile: a.TLS.KeyFile},
		Schema: p.Schema, Prefix: a.Prefix, NoFullText: !a.FullText,
		MaxConnections: p.MaxConnections, MinConnections: p.MinConnections, Writers: p.Writers,
		ConnectTimeout: p.ConnectTimeoutSeconds.Duration(), MaxConnLifetime: p.ConnLifetimeSeconds.Duration(), MaxConnIdleTime: p.ConnIdleSeconds.Duration(),
		StatementTimeout: orNever(p.StatementTimeoutSeconds), LockTimeout: p.LockTimeoutSeconds.Duration(),
		ApplicationName: p.ApplicationName, RollupInterval: orNever(p.RollupIntervalSeconds),
	}
	if use != Server {
		opt.RollupInterval = -1
	}
	opt.NoMigrate = use == Look || use != Migration && !p.Migrate
	return opt
}

func dynamodbOptions(cfg *config.Config, use Use) dynamodb.Options {
	a, d := &cfg.Audit, &cfg.Audit.DynamoDB
	opt := dynamodb.Options{
		Region: a.Region, TableName: a.TableName, Prefix: a.Prefix, NoCreate: use == Look,
		Sweep: d.Sweep, PutOnly: d.PutOnly, Ceiling: cfg.TrailOptions().Retention.Ceiling,
		MaxRetries: d.MaxRetries, CallTimeout: d.CallTimeoutSeconds.Duration(), Timeout: d.TimeoutSeconds.Duration(), Parallel: d.Parallel,
	}
	if cfg.IsSet("audit.url") {
		opt.URL = a.URL
	}
	if d.MaxRetries == 0 {
		opt.MaxRetries = -1 // a zero there is the default
	}
	return opt
}

// orNever gives the form in which an engine's options say never: a zero there
// is the default.
func orNever(s config.Seconds) time.Duration {
	if s == 0 {
		return -1
	}
	return s.Duration()
}

// Describe names the engine and where it is, without secrets, for the log.
func Describe(cfg *config.Config) string {
	if cfg.Audit.Backend == "memory" {
		return "memory (gone when the program ends)"
	}
	if cfg.Audit.Backend == "dynamodb" {
		opt := dynamodbOptions(cfg, Look)
		return strings.TrimSpace("dynamodb " + cmp.Or(opt.TableName, opt.Prefix+"audit") + " in " + opt.Region + " " + config.WithoutPassword(opt.URL))
	}
	return cfg.Audit.Backend + " " + config.WithoutPassword(cfg.Audit.URL)
}
