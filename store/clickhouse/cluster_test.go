package clickhouse

import (
	"strings"
	"testing"
)

// A replicated table needs a Keeper, which the server of the tests has not: what
// is sent to a cluster is compared as text.
func TestClusterStatements(t *testing.T) {
	opt, err := Options{URL: "clickhouse://db/annals", Cluster: "main", Prefix: "a_", Fsync: true}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	schema := opt.schema()
	for i, want := range []struct{ begin, engine string }{
		{"CREATE TABLE IF NOT EXISTS @records ON CLUSTER `main` (", "ENGINE=ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/a_records','{replica}') PARTITION BY month"},
		{"CREATE TABLE IF NOT EXISTS @heads ON CLUSTER `main` (", "ENGINE=ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/a_heads','{replica}',sequence) ORDER BY"},
		{"CREATE TABLE IF NOT EXISTS @documents ON CLUSTER `main` (", "ENGINE=ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/a_documents','{replica}') ORDER BY key"},
		{"CREATE TABLE IF NOT EXISTS @meta ON CLUSTER `main` (", "ENGINE=ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/a_meta','{replica}') ORDER BY key"},
	} {
		if !strings.HasPrefix(schema[i], want.begin) || !strings.Contains(schema[i], want.engine) {
			t.Errorf("%s\nwant %s … %s", schema[i], want.begin, want.engine)
		}
	}
	if !strings.Contains(schema[0], "replicated_deduplication_window=1000") || !strings.Contains(schema[0], "fsync_after_insert=1") {
		t.Errorf("%s lacks a setting", schema[0])
	}
	d, err := opt.driver()
	if err != nil {
		t.Fatal(err)
	}
	// What is acknowledged is on most replicas, and what is read is all of it.
	for name, want := range map[string]any{"insert_quorum": "auto", "insert_quorum_parallel": 0, "select_sequential_consistency": 1} {
		if d.Settings[name] != want {
			t.Errorf("%s is %v, want %v", name, d.Settings[name], want)
		}
	}
	s := &Store{opt: opt}
	if got := s.processes(); got != "clusterAllReplicas('main',system.processes)" {
		t.Errorf("the queries of a cluster are read from %s", got)
	}
	for _, bad := range []Options{
		{}, {URL: "x", Prefix: "A"}, {URL: "x", Prefix: "1a"}, {URL: "x", Writer: "a.b"}, {URL: "x", Cluster: "a`b"}, {URL: "x", MaxConnections: 1},
		{URL: "x", MaxConnections: -1}, {URL: "x", ConnectTimeout: -1}, {URL: "x", TLS: TLS{Mode: "prefer"}}, {URL: "x", TLS: TLS{CertFile: "c"}},
	} {
		if _, err := bad.withDefaults(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}
