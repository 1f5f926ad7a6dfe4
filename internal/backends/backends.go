// Package backends opens engines by the name in the settings. It is the one
// place that knows them all; a new engine is one line here.
package backends

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/store/memory"
	"github.com/annals-dev/annals/store/sqlite"
)

// Open opens the engine that the settings name.
func Open(ctx context.Context, cfg *config.Config) (audit.Store, error) {
	open, ok := engines[cfg.Audit.Backend]
	if !ok {
		return nil, audit.Invalid("audit.backend", "is %q, which this program does not have", cfg.Audit.Backend)
	}
	store, err := open(ctx, cfg)
	var e *audit.Error
	if errors.As(err, &e) {
		if key := settingOf[e.Field]; key != "" {
			return nil, cfg.Blame(err, key)
		}
	}
	return store, err
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

// settingOf names the settings that the engines' options come from.
var settingOf = map[string]string{"path": "audit.url", "prefix": "audit.prefix"}

var engines = map[string]func(context.Context, *config.Config) (audit.Store, error){
	"memory": func(context.Context, *config.Config) (audit.Store, error) { return memory.New(memory.Options{}), nil },
	"sqlite": func(ctx context.Context, cfg *config.Config) (audit.Store, error) {
		return sqlite.Open(ctx, sqlite.Options{Path: cfg.Audit.URL, Prefix: cfg.Audit.Prefix, NoFullText: !cfg.Audit.FullText})
	},
}

// Describe names the engine and where it is, without secrets, for the log.
func Describe(cfg *config.Config) string {
	if cfg.Audit.Backend == "memory" {
		return "memory (gone when the program ends)"
	}
	return cfg.Audit.Backend + " " + cfg.Audit.URL
}
