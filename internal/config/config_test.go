package config

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "annals.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	c, err := Load(Input{})
	if err != nil {
		t.Fatal(err)
	}
	if !c.Audit.Enabled || c.Audit.Level != "writes_only" || c.Audit.BufferFlushInterval.Duration() != time.Second || c.Audit.BufferMaxSize != 500 {
		t.Errorf("defaults: %+v", c.Audit)
	}
	opt := c.TrailOptions()
	if opt.Durability != recorder.Sync || *opt.Policy.SampleRate != 1 || *opt.Policy.SampleReads != 1 {
		t.Errorf("options: %q, rates %v and %v", opt.Durability, *opt.Policy.SampleRate, *opt.Policy.SampleReads)
	}
}

// Both rates have a default of their own: the general one does not thin out reads.
func TestSampleRatesAreIndependent(t *testing.T) {
	c, err := Load(Input{Flags: map[string]string{"audit.sample_rate": "0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := c.TrailOptions().Policy; *p.SampleRate != 0.1 || *p.SampleReads != 1 {
		t.Errorf("rates %v and %v, want 0.1 and 1", *p.SampleRate, *p.SampleReads)
	}
}

func TestAsyncFalseIsSync(t *testing.T) {
	c, err := Load(Input{Env: []string{"AUDIT_TRAIL_ASYNC=false"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.TrailOptions().Durability; got != recorder.Sync {
		t.Errorf("durability %q, want sync", got)
	}
	if c, err = Load(Input{Env: []string{"AUDIT_TRAIL_DURABILITY=memory"}}); err != nil || c.TrailOptions().Durability != recorder.Memory {
		t.Errorf("durability memory: %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	file := write(t, "[audit]\nlevel = \"all\"\nbuffer_max_size = 7\nexclude_actions = [\"a\", \"b*\"]\n[audit.redact]\nenabled = true\nfields = [\"password\"]\n")
	c, err := Load(Input{
		File:  file,
		Env:   []string{"AUDIT_TRAIL_BUFFER_MAX_SIZE=8", "AUDIT_TRAIL_SAMPLE_RATE=0.5", "HOME=/x"},
		Flags: map[string]string{"audit.sample_rate": "0.25", "audit.buffer_flush_interval": "2.5"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Audit.Level != "all" || c.Audit.BufferMaxSize != 8 || c.Audit.SampleRate != 0.25 || !c.Audit.Redact.Enabled {
		t.Errorf("got %+v", c.Audit)
	}
	if diff := gocmp.Diff([]string{"a", "b*"}, c.Audit.ExcludeActions); diff != "" {
		t.Error(diff)
	}
	if got := c.TrailOptions().FlushInterval; got != 2500*time.Millisecond {
		t.Errorf("an explicit interval rules in the server too: %v", got)
	}
}

func TestErrorsNameTheSettingAndItsPlace(t *testing.T) {
	for _, tc := range []struct {
		name, file string
		env        []string
		flags      map[string]string
		want       []string
	}{
		{name: "unknown key", file: "[audit]\nlevle = \"all\"\n", want: []string{"audit.levle", "is not a setting", ":2"}},
		{name: "unknown table", file: "[audti]\nlevel = \"all\"\n", want: []string{"audti", "is not a table", ":1"}},
		{name: "unknown nested key", file: "[audit.redact]\n\nfield = [\"a\"]\n", want: []string{"audit.redact.field", ":3"}},
		{name: "bad level", file: "[audit]\n\nlevel = \"everything\"\n", want: []string{"audit.level", ":3", "writes_only"}},
		{name: "wrong kind", file: "[audit]\nlevel = 3\n", want: []string{"audit.level", "is a number, want a text", ":2"}},
		{name: "quoted number", file: "[audit]\nbuffer_max_size = \"5\"\n", want: []string{"audit.buffer_max_size", "is a text, want a whole number"}},
		{name: "syntax", file: "[audit\nlevel = 3\n", want: []string{"annals.toml:1:"}},
		{name: "table for a setting", file: "[audit.level]\nx = 1\n", want: []string{"audit.level", "is a table, want a text", ":1"}},
		{name: "date for a setting", file: "[audit]\nlevel = 2026-01-01\n", want: []string{"audit.level", "is a date", ":2"}},
		{name: "list for a text", file: "[audit]\nlevel = [\"all\"]\n", want: []string{"audit.level", "is a list, want a text"}},
		{name: "number in a list", file: "[audit]\nexclude_actions = [1]\n", want: []string{"audit.exclude_actions", "every item"}},
		{name: "comma in a list", file: "[audit]\nexclude_actions = [\"a,b\"]\n", want: []string{"audit.exclude_actions", "without a comma"}},
		{name: "dotted key", file: "\n\naudit.levle = \"all\"\n", want: []string{"audit.levle", ":3"}},
		{name: "inline table", file: "[audit]\n\nredact = {fields = 1}\n", want: []string{"audit.redact.fields", ":3"}},
		{name: "header with a comment", file: "# x\n[ audit ] # [y]\n'levle' = 1\n", want: []string{"audit.levle", ":3"}},
		{name: "key twice", file: "[audit]\nlevel = \"all\"\nlevel = \"all\"\n", want: []string{"annals.toml:3:"}},
		{name: "missing file", file: "-", want: []string{"config", "nowhere.toml"}},
		{name: "unknown variable", env: []string{"AUDIT_TRAIL_LEVLE=all"}, want: []string{"AUDIT_TRAIL_LEVLE", "is not a setting", "environment"}},
		{name: "bad variable", env: []string{"AUDIT_TRAIL_ENABLED=maybe"}, want: []string{"audit.enabled", "true or false", "environment AUDIT_TRAIL_ENABLED"}},
		{name: "bad rate", env: []string{"AUDIT_TRAIL_SAMPLE_RATE=1.5"}, want: []string{"audit.sample_rate", "environment AUDIT_TRAIL_SAMPLE_RATE"}},
		{name: "negative ttl", env: []string{"AUDIT_TRAIL_TTL_SECONDS=-1"}, want: []string{"audit.ttl_seconds", "negative"}},
		{name: "absurd ttl", env: []string{"AUDIT_TRAIL_TTL_SECONDS=1e300"}, want: []string{"audit.ttl_seconds", "100 years"}},
		{name: "unparsable ttl", env: []string{"AUDIT_TRAIL_TTL_SECONDS=30d"}, want: []string{"audit.ttl_seconds", "number of seconds"}},
		{name: "contradiction", env: []string{"AUDIT_TRAIL_ASYNC=false", "AUDIT_TRAIL_DURABILITY=memory"}, want: []string{"audit.async", "contradicts"}},
		{name: "trigger over capacity", env: []string{"AUDIT_TRAIL_BUFFER_CAPACITY=10"}, want: []string{"audit.buffer_max_size", "audit.buffer_capacity"}},
		{name: "unknown flag", flags: map[string]string{"audit.x": "1"}, want: []string{"audit.x", "command line"}},
		{name: "bad backend", flags: map[string]string{"audit.backend": "oracle"}, want: []string{"audit.backend", "oracle", "sqlite"}},
		{name: "empty url", flags: map[string]string{"audit.url": ""}, want: []string{"audit.url"}},
		{name: "bad address", flags: map[string]string{"server.addr": "8480"}, want: []string{"server.addr", "HOST:PORT"}},
		{name: "redact nothing nameable", file: "[audit.redact]\nenabled = true\nfields = [\"tenant\"]\n", want: []string{"audit.redact.fields", "tenant"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := Input{Env: tc.env, Flags: tc.flags}
			switch tc.file {
			case "":
			case "-":
				in.File = filepath.Join(t.TempDir(), "nowhere.toml")
			default:
				in.File = write(t, tc.file)
			}
			_, err := Load(in)
			if err == nil {
				t.Fatal("no error")
			}
			if audit.CodeOf(err) != audit.CodeInvalid {
				t.Errorf("code %s", audit.CodeOf(err))
			}
			for _, w := range tc.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q lacks %q", err, w)
				}
			}
		})
	}
}

func TestTOMLReadsBack(t *testing.T) {
	c, err := Load(Input{Flags: map[string]string{
		"audit.level": "all", "audit.exclude_actions": "a,b", "audit.ttl_seconds": "1.5", "audit.redact.placeholder": `"x\ é`, "audit.url": "a\tb\x01\x7f",
	}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := Load(Input{File: write(t, c.TOML())})
	if err != nil {
		t.Fatalf("%v in\n%s", err, c.TOML())
	}
	for _, s := range Settings() {
		if got, want := back.text(s), c.text(s); got != want {
			t.Errorf("%s: %q, want %q", s.Key, got, want)
		}
	}
}

// The example changes nothing until a line is uncommented, and then it is what
// the default was, or the example.
func TestExampleIsTheDefaults(t *testing.T) {
	plain, err := Load(Input{File: write(t, Example())})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		if plain.IsSet(s.Key) {
			t.Errorf("%s is set by the example", s.Key)
		}
	}
	var lines []string
	for line := range strings.Lines(Example()) {
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "# ") {
			line = line[1:]
		}
		lines = append(lines, line)
	}
	full, err := Load(Input{File: write(t, strings.Join(lines, ""))})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		if want := cmp.Or(s.Example, defaults().text(s)); s.Key != "audit.durability" && full.text(s) != want {
			t.Errorf("%s: %q, want %q", s.Key, full.text(s), want)
		}
		if !full.IsSet(s.Key) {
			t.Errorf("%s is missing from the example", s.Key)
		}
	}
}

func TestPrintSaysWhereAValueComesFrom(t *testing.T) {
	file := write(t, "[audit]\n\nttl_seconds = 7\n")
	c, err := Load(Input{File: file, Env: []string{"AUDIT_TRAIL_LEVEL=all"}, Flags: map[string]string{"log.level": "warn"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nlevel = \"all\" # environment AUDIT_TRAIL_LEVEL\n", "\nttl_seconds = 7 # " + file + ":3\n",
		"\nlevel = \"warn\" # command line\n", "\nbuffer_flush_interval = 1\n", "\ndurability = \"spool\"\n",
	} {
		if !strings.Contains(c.TOML(), want) {
			t.Errorf("%q is not in\n%s", want, c.TOML())
		}
	}
}

func TestBlameNamesTheSetting(t *testing.T) {
	c, err := Load(Input{Env: []string{"AUDIT_TRAIL_URL=x.db"}})
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("no space")
	err = c.Blame(&audit.Error{Code: audit.CodeUnavailable, Field: "path", Message: "cannot be made", Cause: cause}, "audit.url")
	if got := err.Error(); got != "audit.url: cannot be made (environment AUDIT_TRAIL_URL): no space" {
		t.Error(got)
	}
	if audit.CodeOf(err) != audit.CodeUnavailable || !errors.Is(err, cause) {
		t.Errorf("%s, cause kept: %t", audit.CodeOf(err), errors.Is(err, cause))
	}
	if err := c.Blame(cause, "audit.url"); err != cause {
		t.Error(err)
	}
}

// Whatever the file holds, loading ends with settings or an error that names one.
func FuzzLoad(f *testing.F) {
	f.Add("[audit]\nlevel = \"all\"\n")
	f.Add("audit.redact = {enabled = true, fields = ['a']}\n")
	f.Add("[audit]\nttl_seconds = inf\nsample_rate = nan\n")
	f.Add("[[audit]]\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Load(Input{File: write(t, text)})
		if err != nil {
			if e := (*audit.Error)(nil); !errors.As(err, &e) || e.Field == "" || e.Code != audit.CodeInvalid {
				t.Fatalf("%v names no setting", err)
			}
			return
		}
		if _, err := Load(Input{File: write(t, c.TOML())}); err != nil {
			t.Fatalf("%v in what was printed:\n%s", err, c.TOML())
		}
	})
}

func TestEverySettingIsDocumented(t *testing.T) {
	for _, s := range Settings() {
		if s.Doc == "" || s.Type == "" {
			t.Errorf("%s has no meaning", s.Key)
		}
	}
}

// The generated pages must be what the program says.
func TestGeneratedPagesAreCurrent(t *testing.T) {
	for path, want := range map[string]string{
		"../../.env.example":                    EnvExample(),
		"../../docs/reference/configuration.md": Reference(),
	} {
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s is not current: run go generate ./... (%v)", path, err)
		}
	}
}
