package config

import "testing"

func TestStoreName(t *testing.T) {
	name := func(flags map[string]string) string {
		t.Helper()
		c, err := Load(Input{Flags: flags})
		if err != nil {
			t.Fatal(err)
		}
		return c.ServerOptions().SpoolStore
	}
	pg := func(url string, more ...string) map[string]string {
		flags := map[string]string{"audit.backend": "postgres", "audit.url": url}
		for i := 0; i < len(more); i += 2 {
			flags[more[i]] = more[i+1]
		}
		return flags
	}
	es := func(url string) map[string]string {
		return map[string]string{"audit.backend": "elasticsearch", "audit.url": url}
	}
	ch := func(url string, more ...string) map[string]string {
		flags := pg(url, more...)
		flags["audit.backend"] = "clickhouse"
		return flags
	}
	for _, same := range [][2]map[string]string{
		{{"audit.url": "here/a.db"}, {"audit.url": "there/a.db"}}, // it was moved, and its spool with it
		{{"audit.url": "a.db", "audit.spool_dir": "s"}, {"audit.url": "./a.db", "audit.spool_dir": "s"}},
		{pg("postgres://app:x@db/annals"), pg("postgres://owner@db/annals?sslmode=require")},
		{es("https://u:p@a:9200,https://b:9200"), es("https://b:9200/, https://a:9200")},
		{pg("host=db dbname=annals user=a password=b"), pg("host=db dbname=annals user=c")},
		{ch("clickhouse://app:x@db:9000/annals"), ch("clickhouse://owner@db:9000/annals?secure=true")},
	} {
		if a, b := name(same[0]), name(same[1]); a != b || a == "" {
			t.Errorf("%v and %v: %q, %q", same[0], same[1], a, b)
		}
	}
	seen := map[string]map[string]string{}
	for _, flags := range []map[string]string{
		{"audit.url": "a.db"}, {"audit.url": "b.db"}, {"audit.url": "a.db", "audit.prefix": "other_"},
		{"audit.url": "x/a.db", "audit.spool_dir": "s"}, {"audit.url": "y/a.db", "audit.spool_dir": "s"},
		es("https://a:9200"), es("https://b:9200"), es("https://a:9200/search"),
		pg("postgres://db/annals"), pg("postgres://db/other"), pg("postgres://db2/annals"), pg("postgres://db:5433/annals"),
		pg("postgres:///annals?host=/run"), pg("postgres:///annals?host=/tmp"),
		pg("postgres://db/annals", "audit.prefix", "other_"), pg("postgres://db/annals", "audit.postgres.schema", "other"),
		ch("clickhouse://db/annals"), ch("clickhouse://db/other"), ch("clickhouse://db/annals", "audit.prefix", "other_"),
		pg("host=db dbname=a"), pg("host=db dbname=b"), pg("host=db2 dbname='a'"),
	} {
		n := name(flags)
		if seen[n] != nil {
			t.Errorf("%v and %v: both %q", seen[n], flags, n)
		}
		seen[n] = flags
	}
}
