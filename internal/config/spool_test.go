package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
)

// The server spools by default; a command waits for the store, whatever is set,
// and leaves the spool alone.
func TestDurabilityOfServerAndCommands(t *testing.T) {
	for _, c := range []struct {
		set             string
		server, command recorder.Durability
		dir             string
	}{
		{"", recorder.Spool, recorder.Sync, "annals-data/spool"},
		{"audit.url=elsewhere/a.db", recorder.Spool, recorder.Sync, "elsewhere/spool"},
		{"audit.spool_dir=s", recorder.Spool, recorder.Sync, "s"},
		{"audit.durability=sync", recorder.Sync, recorder.Sync, "annals-data/spool"},
		{"audit.durability=memory", recorder.Memory, recorder.Memory, "annals-data/spool"},
		{"audit.durability=memory audit.on_full=spill", recorder.Memory, recorder.Memory, "annals-data/spool"},
		{"audit.async=false", recorder.Sync, recorder.Sync, "annals-data/spool"},
		{"audit.on_full=drop", recorder.Spool, recorder.Sync, "annals-data/spool"},
		{"audit.backend=memory", recorder.Sync, recorder.Sync, ""},
		{"audit.backend=memory audit.durability=spool", recorder.Spool, recorder.Sync, "annals-data/spool"},
	} {
		cfg, err := Load(Input{Flags: flags(c.set)})
		if err != nil {
			t.Errorf("%s: %v", c.set, err)
			continue
		}
		server, command := cfg.ServerOptions(), cfg.TrailOptions()
		if server.Durability != c.server || server.SpoolDir != filepath.FromSlash(c.dir) || command.Durability != c.command || command.SpoolDir != "" {
			t.Errorf("%s: the server has %s in %q, a command %s in %q", c.set, server.Durability, server.SpoolDir, command.Durability, command.SpoolDir)
		}
		if command.OnFull == recorder.Spill || command.OnFull == recorder.Drop && command.Durability == recorder.Sync {
			t.Errorf("%s: a command has on_full %s", c.set, command.OnFull)
		}
		if server.SpoolDir != "" && server.SpoolBytes != 1<<30 {
			t.Errorf("%s: %d bytes", c.set, server.SpoolBytes)
		}
	}
}

func TestContradictionsOfTheSpool(t *testing.T) {
	for set, want := range map[string]string{
		"audit.async=false audit.durability=spool":                     "audit.async",
		"audit.on_full=spill":                                          "audit.on_full",
		"audit.on_full=spill audit.durability=sync":                    "audit.on_full",
		"audit.on_full=drop audit.durability=sync":                     "audit.on_full",
		"audit.on_full=drop audit.async=false":                         "audit.on_full",
		"audit.spool_dir=":                                             "audit.spool_dir",
		"audit.spool_dir= audit.durability=memory audit.on_full=spill": "audit.spool_dir",
		"audit.spool_max_bytes=1000":                                   "audit.spool_max_bytes",
		"audit.spool_max_bytes=-1":                                     "audit.spool_max_bytes",
		"audit.write_timeout_seconds=0":                                "audit.write_timeout_seconds",
		"audit.durability=disk":                                        "audit.durability",
	} {
		_, err := Load(Input{Flags: flags(set)})
		var e *audit.Error
		if !errors.As(err, &e) || e.Field != want || e.Code != audit.CodeInvalid {
			t.Errorf("%s: %v, want a fault of %s", set, err, want)
		}
	}
	if _, err := Load(Input{Flags: flags("audit.on_full=spill")}); err == nil || !strings.Contains(err.Error(), "which is the default; set audit.durability to memory") {
		t.Error(err)
	}
}

func flags(set string) map[string]string {
	out := map[string]string{}
	for _, pair := range strings.Fields(set) {
		key, value, _ := strings.Cut(pair, "=")
		out[key] = value
	}
	return out
}
