package cli

import "testing"

// The places of stores, and the settings that they stand for.
func TestCopyStores(t *testing.T) {
	t.Setenv("AUDIT_TRAIL_URL", "of-the-environment.db")
	for store, want := range map[string]struct{ backend, url, table string }{
		"sqlite:a/b.db":                          {"sqlite", "a/b.db", ""},
		"postgres://u:p@h/d?sslmode=disable":     {"postgres", "postgres://u:p@h/d?sslmode=disable", ""},
		"postgresql://u@h/d":                     {"postgres", "postgresql://u@h/d", ""},
		"clickhouse://u:p@h:9000/d":              {"clickhouse", "clickhouse://u:p@h:9000/d", ""},
		"elasticsearch:https://u:p@a:9200":       {"elasticsearch", "https://u:p@a:9200", ""},
		"opensearch:http://a:9200,http://b:9200": {"elasticsearch", "http://a:9200,http://b:9200", ""},
		"dynamodb:trail@http://127.0.0.1:8000":   {"dynamodb", "http://127.0.0.1:8000", "trail"},
		"dynamodb:trail":                         {"dynamodb", "annals-data/annals.db", "trail"},
	} {
		s, err := (&globals{}).side("--to", store)
		if err != nil {
			t.Errorf("%s: %v", store, err)
			continue
		}
		a := &s.cfg.Audit
		if a.Backend != want.backend || a.URL != want.url || a.TableName != want.table {
			t.Errorf("%s: %s at %s, table %q, want %+v", store, a.Backend, a.URL, a.TableName, want)
		}
		if store == "dynamodb:trail" && s.cfg.IsSet("audit.url") {
			t.Errorf("%s has an endpoint", store)
		}
	}
	for _, store := range []string{"oracle://h", "a.db", ":", "dynamodb:@http://127.0.0.1:8000", "sqlite", "elasticsearch:"} {
		if _, err := (&globals{}).side("--from", store); exitCode(err) != exitUsage || err.Error()[:7] != "--from:" {
			t.Errorf("%s: got %v", store, err)
		}
	}
	if s, err := (&globals{}).side("--from", ""); err != nil || s.cfg.Audit.URL != "of-the-environment.db" {
		t.Errorf("the store of the settings: %+v, %v", s.cfg, err)
	}
}
