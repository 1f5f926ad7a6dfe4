package config

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/redact"
	"github.com/annals-dev/annals/retention"
)

// Backends are the engines that this program can open.
func Backends() []string {
	return []string{"sqlite", "postgres", "dynamodb", "clickhouse", "elasticsearch", "memory"}
}

// Validate checks every setting and that they do not contradict each other.
func (c *Config) Validate() error {
	for _, one := range []struct {
		key   string
		value string
		want  []string
	}{
		{"audit.backend", c.Audit.Backend, Backends()},
		{"audit.tls.mode", c.Audit.TLS.Mode, []string{"", "disable", "require", "verify-ca", "verify-full"}},
		{"audit.durability", c.Audit.Durability, []string{"", string(recorder.Sync), string(recorder.Spool), string(recorder.Memory)}},
		{"audit.on_full", c.Audit.OnFull, []string{string(recorder.Block), string(recorder.Fail), string(recorder.Spill), string(recorder.Drop)}},
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
	} {
		if !slices.Contains(one.want, one.value) {
			return c.wrong(one.key, "is "+quote(one.value)+", want "+strings.Join(nonEmpty(one.want), ", "))
		}
	}
	for _, n := range []struct {
		key   string
		value int64
		min   int64
	}{
		{"audit.buffer_flush_interval", int64(c.Audit.BufferFlushInterval), 1},
		{"audit.buffer_max_size", int64(c.Audit.BufferMaxSize), 1},
		{"audit.buffer_capacity", int64(c.Audit.BufferCapacity), 1},
		{"audit.buffer_capacity_bytes", c.Audit.BufferCapacityBytes, audit.MaxRecordBytes},
		{"audit.spool_max_bytes", c.Audit.SpoolMaxBytes, minSpoolBytes},
		{"audit.timeout_seconds", int64(c.Audit.TimeoutSeconds), 1},
		{"audit.write_timeout_seconds", int64(c.Audit.WriteTimeoutSeconds), 1},
		{"audit.ttl_seconds", int64(c.Audit.TTLSeconds), 0},
		{"audit.retention_days", int64(c.Audit.RetentionDays), 0},
		{"audit.cleanup_interval_seconds", int64(c.Audit.CleanupIntervalSeconds), 1},
		{"audit.cleanup_batch_size", int64(c.Audit.CleanupBatchSize), 1},
		{"audit.postgres.max_connections", int64(c.Audit.Postgres.MaxConnections), 2},
		{"audit.postgres.min_connections", int64(c.Audit.Postgres.MinConnections), 0},
		{"audit.postgres.writers", int64(c.Audit.Postgres.Writers), 1},
		{"audit.postgres.connect_timeout_seconds", int64(c.Audit.Postgres.ConnectTimeoutSeconds), 1},
		{"audit.postgres.connection_lifetime_seconds", int64(c.Audit.Postgres.ConnLifetimeSeconds), 1},
		{"audit.postgres.connection_idle_seconds", int64(c.Audit.Postgres.ConnIdleSeconds), 1},
		{"audit.postgres.statement_timeout_seconds", int64(c.Audit.Postgres.StatementTimeoutSeconds), 0},
		{"audit.postgres.lock_timeout_seconds", int64(c.Audit.Postgres.LockTimeoutSeconds), 1},
		{"audit.postgres.rollup_interval_seconds", int64(c.Audit.Postgres.RollupIntervalSeconds), 0},
		{"audit.dynamodb.max_retries", int64(c.Audit.DynamoDB.MaxRetries), 0},
		{"audit.dynamodb.call_timeout_seconds", int64(c.Audit.DynamoDB.CallTimeoutSeconds), 1},
		{"audit.dynamodb.timeout_seconds", int64(c.Audit.DynamoDB.TimeoutSeconds), 1},
		{"audit.dynamodb.parallel", int64(c.Audit.DynamoDB.Parallel), 1},
		{"audit.elasticsearch.refresh_interval_seconds", int64(c.Audit.Elasticsearch.RefreshIntervalSeconds), 1},
		{"audit.elasticsearch.rollover_bytes", c.Audit.Elasticsearch.RolloverBytes, 1},
		{"audit.elasticsearch.rollover_days", int64(c.Audit.Elasticsearch.RolloverDays), 1},
		{"audit.elasticsearch.parallel", int64(c.Audit.Elasticsearch.Parallel), 1},
		{"audit.elasticsearch.call_timeout_seconds", int64(c.Audit.Elasticsearch.CallTimeoutSeconds), 1},
		{"audit.elasticsearch.write_timeout_seconds", int64(c.Audit.Elasticsearch.WriteTimeoutSeconds), 1},
		{"audit.clickhouse.max_connections", int64(c.Audit.ClickHouse.MaxConnections), 2},
		{"audit.clickhouse.connect_timeout_seconds", int64(c.Audit.ClickHouse.ConnectTimeoutSeconds), 1},
		{"audit.clickhouse.statement_timeout_seconds", int64(c.Audit.ClickHouse.StatementTimeoutSeconds), 0},
		{"server.shutdown_timeout_seconds", int64(c.Server.ShutdownTimeoutSeconds), 1},
	} {
		if n.value < n.min {
			if n.key == "audit.buffer_capacity_bytes" {
				return c.wrong(n.key, "must hold at least one record of 1048576 bytes")
			}
			if n.key == "audit.spool_max_bytes" {
				return c.wrong(n.key, fmt.Sprintf("is %d, at least %d: it must hold a few records", n.value, minSpoolBytes))
			}
			if n.min == 0 {
				return c.wrong(n.key, "is negative")
			}
			if n.min == 2 {
				return c.wrong(n.key, "must be at least 2: one for writing, one for questions")
			}
			return c.wrong(n.key, "must be greater than 0")
		}
	}
	if most := int(retention.MaxAge / days(1)); c.Audit.RetentionDays > most {
		return c.wrong("audit.retention_days", fmt.Sprintf("is %d, at most %d days (100 years); 0 is for ever", c.Audit.RetentionDays, most))
	}
	if c.Audit.CleanupBatchSize > retention.MaxBatchSize {
		return c.wrong("audit.cleanup_batch_size", fmt.Sprintf("is %d, at most %d", c.Audit.CleanupBatchSize, retention.MaxBatchSize))
	}
	if c.Audit.BufferMaxSize > c.Audit.BufferCapacity {
		return c.wrong("audit.buffer_max_size", "is greater than audit.buffer_capacity")
	}
	if !c.Audit.Async && c.Audit.Durability != "" && c.Audit.Durability != string(recorder.Sync) {
		return c.wrong("audit.async", "false contradicts audit.durability "+quote(c.Audit.Durability))
	}
	if err := c.validateOnFull(); err != nil {
		return err
	}
	if err := c.validateEngine(); err != nil {
		return err
	}
	if _, _, err := net.SplitHostPort(c.Server.Addr); err != nil {
		return c.wrong("server.addr", "is "+quote(c.Server.Addr)+", want HOST:PORT")
	}
	return c.validateParts()
}

// validateEngine checks that the settings suit the engine. A setting of another
// engine is one that its user believes to be in force.
func (c *Config) validateEngine() error {
	backend := c.Audit.Backend
	if backend == "postgres" && !c.IsSet("audit.url") {
		return c.wrong("audit.url", "is required with audit.backend postgres, e.g. postgres://annals@db.example/annals?sslmode=verify-full")
	}
	if backend == "elasticsearch" && !c.IsSet("audit.url") {
		return c.wrong("audit.url", "is required with audit.backend elasticsearch, e.g. https://annals:password@search.example:9200")
	}
	if backend == "clickhouse" && !c.IsSet("audit.url") {
		return c.wrong("audit.url", "is required with audit.backend clickhouse, e.g. clickhouse://annals@db.example:9440/annals?secure=true")
	}
	if c.Audit.URL == "" && backend != "memory" && backend != "dynamodb" {
		return c.wrong("audit.url", "is empty")
	}
	if (c.Audit.TLS.CertFile == "") != (c.Audit.TLS.KeyFile == "") {
		return c.wrong("audit.tls.cert_file", "and audit.tls.key_file are only useful together")
	}
	if p := c.Audit.Postgres; p.MinConnections > p.MaxConnections {
		return c.wrong("audit.postgres.min_connections", fmt.Sprintf("is more than audit.postgres.max_connections, %d", p.MaxConnections))
	}
	for _, s := range settings {
		if c.text(s) != s.Default && !concerns(s.Key, backend) {
			return c.wrong(s.Key, "has no effect with audit.backend "+quote(backend))
		}
	}
	return nil
}

// concerns reports whether an engine knows the setting.
func concerns(key, backend string) bool {
	switch table, _ := split(key); table {
	case "audit.postgres", "audit.dynamodb", "audit.clickhouse", "audit.elasticsearch":
		return table == "audit."+backend
	case "audit.tls":
		return backend == "postgres" || backend == "clickhouse" || backend == "elasticsearch"
	}
	if key == "audit.region" || key == "audit.table_name" {
		return backend == "dynamodb"
	}
	return true
}

// minSpoolBytes holds a few records of the largest size.
const minSpoolBytes = 8 << 20

// validateOnFull checks what on_full means under the durability in force.
func (c *Config) validateOnFull() error {
	opt := c.ServerOptions()
	why := ""
	if c.Audit.Durability == "" {
		why = ", which is the default; set audit.durability to memory, or change audit.on_full"
	}
	switch {
	case opt.OnFull == recorder.Drop && opt.Durability == recorder.Sync,
		opt.OnFull == recorder.Spill && opt.Durability != recorder.Memory:
		return c.wrong("audit.on_full", quote(c.Audit.OnFull)+" contradicts audit.durability "+quote(string(opt.Durability))+why)
	}
	if c.Audit.SpoolDir == "" && (opt.Durability == recorder.Spool || opt.OnFull == recorder.Spill) {
		return c.wrong("audit.spool_dir", "is empty, and audit.durability or audit.on_full needs the spool")
	}
	return nil
}

// validateParts lets the packages that own a rule judge it, and gives their
// verdict the name and the place of the setting.
func (c *Config) validateParts() error {
	opt := c.TrailOptions()
	if _, err := policy.New(opt.Policy); err != nil {
		return c.blameField(err, "audit.")
	}
	if _, err := redact.New(opt.Redact); err != nil {
		return c.blameField(err, "audit.redact.")
	}
	if _, err := c.retention(); err != nil {
		return c.blameField(err, "audit.")
	}
	return nil
}

// blameField is Blame for a part whose fields are named like the settings.
func (c *Config) blameField(err error, prefix string) error {
	var e *audit.Error
	if !errors.As(err, &e) {
		return err
	}
	name, _, _ := strings.Cut(e.Field, "[")
	return c.Blame(err, prefix+name)
}

func (c *Config) wrong(key, msg string) error { return invalid(key, c.sources[key], msg) }

func quote(s string) string { return `"` + s + `"` }

func nonEmpty(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
}
