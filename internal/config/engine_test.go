package config

import (
	"strings"
	"testing"
)

func TestEngineSettings(t *testing.T) {
	pg := map[string]string{"audit.backend": "postgres", "audit.url": "postgres://u:secret@db/annals"}
	es := map[string]string{"audit.backend": "elasticsearch", "audit.url": "https://u:secret@search:9200"}
	ch := map[string]string{"audit.backend": "clickhouse", "audit.url": "clickhouse://u:secret@db:9000/annals"}
	for _, c := range []struct {
		name  string
		base  map[string]string
		key   string
		value string
		want  string // in the error; "" is none
	}{
		{"a connection string is needed", map[string]string{"audit.backend": "postgres"}, "", "", "audit.url: is required with audit.backend postgres"},
		{"all is well", pg, "", "", ""},
		{"an address is needed", map[string]string{"audit.backend": "clickhouse"}, "", "", "audit.url: is required with audit.backend clickhouse"},
		{"all is well with clickhouse", ch, "audit.clickhouse.writer", "gateway-1", ""},
		{"too few connections", ch, "audit.clickhouse.max_connections", "1", "audit.clickhouse.max_connections: must be at least 2"},
		{"protection of clickhouse", ch, "audit.tls.mode", "verify-full", ""},
		{"of postgres", ch, "audit.postgres.writers", "2", `audit.postgres.writers: has no effect with audit.backend "clickhouse"`},
		{"of clickhouse", pg, "audit.clickhouse.fsync", "true", `audit.clickhouse.fsync: has no effect with audit.backend "postgres"`},
		{"no connection", pg, "audit.postgres.max_connections", "1", "audit.postgres.max_connections: must be at least 2"},
		{"more kept than allowed", pg, "audit.postgres.min_connections", "9", "audit.postgres.min_connections: is more than audit.postgres.max_connections, 8"},
		{"negative", pg, "audit.postgres.statement_timeout_seconds", "-1", "audit.postgres.statement_timeout_seconds: is negative"},
		{"no timeout", pg, "audit.postgres.statement_timeout_seconds", "0", ""},
		{"unknown protection", pg, "audit.tls.mode", "prefer", `audit.tls.mode: is "prefer", want disable, require`},
		{"half a certificate", pg, "audit.tls.cert_file", "c.pem", "audit.tls.cert_file: and audit.tls.key_file"},
		{"of another engine", nil, "audit.postgres.writers", "2", `audit.postgres.writers: has no effect with audit.backend "sqlite"`},
		{"an address is needed", map[string]string{"audit.backend": "elasticsearch"}, "", "", "audit.url: is required with audit.backend elasticsearch"},
		{"a search cluster", es, "audit.elasticsearch.parallel", "4", ""},
		{"no age", es, "audit.elasticsearch.rollover_days", "0", "audit.elasticsearch.rollover_days: must be greater than 0"},
		{"of the search engine", pg, "audit.elasticsearch.parallel", "4", `audit.elasticsearch.parallel: has no effect with audit.backend "postgres"`},
		{"protection of a file", nil, "audit.tls.mode", "require", `audit.tls.mode: has no effect with audit.backend "sqlite"`},
		{"no endpoint is needed", map[string]string{"audit.backend": "dynamodb"}, "", "", ""},
		{"no call", map[string]string{"audit.backend": "dynamodb"}, "audit.dynamodb.parallel", "0", "audit.dynamodb.parallel: must be greater than 0"},
		{"negative retries", map[string]string{"audit.backend": "dynamodb"}, "audit.dynamodb.max_retries", "-1", "audit.dynamodb.max_retries: is negative"},
		{"a table without DynamoDB", nil, "audit.table_name", "x_audit", `audit.table_name: has no effect with audit.backend "sqlite"`},
		{"a region without DynamoDB", pg, "audit.region", "eu-central-1", `audit.region: has no effect with audit.backend "postgres"`},
		{"the TLS of a URL", map[string]string{"audit.backend": "dynamodb"}, "audit.tls.mode", "require", `audit.tls.mode: has no effect`},
		{"the default of another engine", nil, "audit.postgres.writers", "4", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			flags := map[string]string{}
			for k, v := range c.base {
				flags[k] = v
			}
			if c.key != "" {
				flags[c.key] = c.value
			}
			_, err := Load(Input{Flags: flags})
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
}

func TestPasswordsAreNotShown(t *testing.T) {
	for in, want := range map[string]string{
		"annals-data/annals.db":                              "annals-data/annals.db",
		"postgres://u@db/annals":                             "postgres://u@db/annals",
		"postgres://u:geheim@db:5432/annals?sslmode=require": "postgres://u:xxxxx@db:5432/annals?sslmode=require",
		"postgres://db/annals?password=geheim&user=u":        "postgres://db/annals?password=xxxxx&user=u",
		"host=db password=geheim user=u":                     "host=db password=xxxxx user=u",
		`host=db PassWord = 'ge\'he im' user=u`:              "host=db PassWord=xxxxx user=u",
		"https://u:geheim@a:9200, https://u:geheim@b:9200":   "https://u:xxxxx@a:9200,https://u:xxxxx@b:9200",
		"host=db sslpassword=geheim":                         "host=db sslpassword=xxxxx",
	} {
		if got := WithoutPassword(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	c, err := Load(Input{Flags: map[string]string{"audit.backend": "postgres", "audit.url": "postgres://u:geheim@db/annals", "audit.postgres.replica_url": "postgres://u:geheim@db2/annals"}})
	if err != nil {
		t.Fatal(err)
	}
	if out := c.TOML(); strings.Contains(out, "geheim") || strings.Count(out, "xxxxx") != 2 {
		t.Error(out)
	}
}
