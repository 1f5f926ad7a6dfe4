// Package archtest checks the structure of the tree: who may import whom, and
// that no rule of the house lives in prose only (docs/design/architecture.md).
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/annals-dev/annals"

// rule says what the packages of one folder may import of this module, and
// which libraries. A package is governed by the rule with the longest prefix.
type rule struct {
	pkg   string   // below the module; "" is the root, a trailing /... covers what is below
	own   []string // packages of this module; a trailing /... covers what is below
	libs  []string // modules outside the standard library, by prefix
	tests []string // libraries that only its tests may import besides testLibs
}

var testLibs = []string{
	"github.com/google/go-cmp", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/rogpeppe/go-internal",
}

var domain = []string{"audit", "policy", "redact", "chain", "analytics", "recorder", "retention", "spool"}

var rules = []rule{
	{pkg: "", own: domain, tests: []string{"zombiezen.com/go/sqlite", "modernc.org/sqlite"}},
	{pkg: "audit"},
	{pkg: "policy", own: []string{"audit"}},
	{pkg: "redact", own: []string{"audit"}},
	{pkg: "chain", own: []string{"audit"}, tests: []string{"github.com/fxamacker/cbor/v2"}},
	{pkg: "analytics", own: []string{"audit"}},
	{pkg: "spool", own: []string{"audit"}, tests: []string{"github.com/cockroachdb/pebble/v2"}},
	{pkg: "recorder", own: []string{"audit", "policy", "redact", "chain", "spool"}, libs: []string{"github.com/cenkalti/backoff/v5"}, tests: []string{"github.com/rs/zerolog"}},
	{pkg: "retention", own: []string{"audit", "policy", "redact", "chain", "spool"}},
	{pkg: "store/memory", own: []string{"audit", "chain", "analytics", "store/internal/intake"}},
	{pkg: "store/sqlite", own: []string{"audit", "chain", "analytics", "store/internal/intake"}, libs: []string{"zombiezen.com/go/sqlite", "modernc.org/sqlite"}},
	{pkg: "store/postgres", own: []string{"audit", "chain", "analytics", "store/internal/intake"}, libs: []string{"github.com/jackc/pgx/v5", "github.com/pressly/goose/v3"}},
	{pkg: "store/dynamodb", own: []string{"audit", "chain", "analytics", "store/internal/intake"}, libs: []string{"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"}},
	{pkg: "store/elasticsearch", own: []string{"audit", "chain", "analytics", "store/internal/intake", "store/internal/secure"}},
	{pkg: "store/internal/...", own: []string{"audit"}},
	{pkg: "store/clickhouse", own: []string{"audit", "chain", "analytics", "store/internal/intake", "store/internal/secure"}, libs: []string{"github.com/ClickHouse/clickhouse-go/v2"}},
	{pkg: "store/storetest", own: []string{"audit", "chain", "analytics", "internal/model"}, libs: []string{"pgregory.net/rapid"}},
	{pkg: "ingest/...", own: []string{"audit"}},
	{pkg: "export/...", own: []string{"audit"}},
	{pkg: "client", own: append([]string{""}, domain...)},
	{pkg: "internal/crashtest", own: append([]string{"", "client", "store/...", "internal/..."}, domain...), tests: []string{"github.com/jackc/pgx/v5"}},
	{pkg: "internal/model", own: []string{"audit", "chain"}},
	{pkg: "internal/faultstore", own: []string{"audit", "chain", "analytics"}},
	{pkg: "internal/server/...", own: append([]string{"", "client", "ingest/...", "export/...", "internal/server/..."}, domain...),
		libs: []string{"github.com/danielgtaylor/huma/v2", "github.com/prometheus/client_golang"}, tests: []string{"github.com/chromedp"}},
	{pkg: "internal/config/...", own: append([]string{"", "internal/config"}, domain...), libs: []string{"github.com/pelletier/go-toml/v2"}},
	{pkg: "internal/backends", own: append([]string{"", "store/...", "internal/config"}, domain...)},
	{pkg: "internal/cli/...", own: append([]string{"", "client", "ingest/...", "export/...", "internal/..."}, domain...),
		libs: []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"}, tests: []string{"zombiezen.com/go/sqlite", "github.com/jackc/pgx/v5", "github.com/ClickHouse/clickhouse-go/v2"}},
	{pkg: "internal/conformance", own: []string{"audit", "chain", "analytics", "store/...", "internal/..."}, tests: []string{"github.com/jackc/pgx/v5"}},
	{pkg: "internal/enginetest", libs: []string{"github.com/jackc/pgx/v5", "github.com/ClickHouse/clickhouse-go/v2"}},
	{pkg: "internal/copying", own: []string{"audit", "chain", "store/...", "internal/..."}},
	{pkg: "internal/load", own: append([]string{"client"}, domain...)},
	{pkg: "internal/overload", own: append([]string{"", "internal/..."}, domain...)},
	{pkg: "internal/archtest"},
	{pkg: "internal/badinput"},
	{pkg: "internal/benchdata", own: []string{"audit"}},
	{pkg: "cmd/annals", own: []string{"internal/cli"}},
	{pkg: "bench/...", own: append([]string{"", "store/...", "internal/..."}, domain...), libs: []string{"zombiezen.com/go/sqlite", "github.com/rs/zerolog"}},
}

// forbidden are imports that no rule may allow by accident.
var forbidden = map[string][]string{
	"internal/server/...": {"store/..."},
	"":                    {"store/..."},
}

type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		check(t, p)
	}
	if seen < 5 {
		t.Fatalf("only %d packages were listed", seen)
	}
}

func check(t *testing.T, p listed) {
	own := below(p.ImportPath)
	r, ok := ruleFor(own)
	if !ok {
		t.Errorf("%s: no rule for this package: add one to internal/archtest and say why in docs/design/architecture.md", p.ImportPath)
		return
	}
	for _, imp := range p.Imports {
		if !allowed(r, own, imp) {
			t.Errorf("%s must not import %s", p.ImportPath, imp)
		}
	}
	for _, imp := range append(p.TestImports, p.XTestImports...) {
		// Tests may set up anything of the module, and use the few test libraries.
		if strings.HasPrefix(imp, module) || allowed(r, own, imp) || matches(imp, testLibs) || matches(imp, r.tests) {
			continue
		}
		t.Errorf("the tests of %s must not import %s", p.ImportPath, imp)
	}
}

func allowed(r rule, own, imp string) bool {
	if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
		return true // the standard library
	}
	if imp != module && !strings.HasPrefix(imp, module+"/") {
		return matches(imp, r.libs)
	}
	target := below(imp)
	for _, f := range forbidden[r.pkg] {
		if covers(f, target) {
			return false
		}
	}
	for _, o := range r.own {
		if covers(o, target) {
			return true
		}
	}
	return false
}

func below(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}

func covers(pattern, pkg string) bool {
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}

func matches(imp string, prefixes []string) bool {
	for _, p := range prefixes {
		if imp == p || strings.HasPrefix(imp, p+"/") {
			return true
		}
	}
	return false
}

func ruleFor(pkg string) (best rule, ok bool) {
	for _, r := range rules {
		if covers(r.pkg, pkg) && (!ok || len(r.pkg) > len(best.pkg)) {
			best, ok = r, true
		}
	}
	return best, ok
}
