package cli

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/config"
)

// side is one of the two stores of a copy.
type side struct {
	flag string // by which it was named; "" is the store of the settings
	cfg  *config.Config
}

// copySides reads what the flags name.
func (g *globals) copySides(from, to string) (source, target side, err error) {
	switch {
	case from == "" && to == "":
		return source, target, misuse("--from or --to is required: what is to be copied, and where")
	case from != "" && to != "" && (len(g.set) > 0 || g.configFile != ""):
		return source, target, misuse("--set and --config are for the store of the settings, and --from and --to name both stores")
	}
	if source, err = g.side("--from", from); err != nil {
		return source, target, err
	}
	if target, err = g.side("--to", to); err != nil {
		return source, target, err
	}
	for _, s := range []side{source, target} {
		if s.cfg.Audit.Backend == "memory" {
			return source, target, s.wrong(errors.New("the memory engine is gone when a program ends: there is nothing to copy"))
		}
	}
	if a, b := backends.Describe(source.cfg), backends.Describe(target.cfg); a == b && source.cfg.Audit.Prefix == target.cfg.Audit.Prefix && source.cfg.Audit.Postgres.Schema == target.cfg.Audit.Postgres.Schema {
		return source, target, misuse("--from and --to are the same store: %s", a)
	}
	return source, target, nil
}

// side reads one of them.
func (g *globals) side(flag, store string) (side, error) {
	if store == "" {
		cfg, err := g.settings(nil)
		return side{cfg: cfg}, err
	}
	s := side{flag: flag}
	in := config.Input{}
	if filepath.Ext(store) == ".toml" {
		in.File = store
	} else {
		var err error
		if in.Flags, err = storeSettings(store); err != nil {
			return s, s.wrong(err)
		}
	}
	cfg, err := config.Load(in)
	if err != nil {
		return s, s.wrong(err)
	}
	s.cfg = cfg
	return s, nil
}

// storeSettings are the settings that the place of a store stands for.
func storeSettings(store string) (map[string]string, error) {
	kind, rest, _ := strings.Cut(store, ":")
	switch kind {
	case "postgres", "postgresql":
		return map[string]string{"audit.backend": "postgres", "audit.url": store}, nil
	case "clickhouse":
		return map[string]string{"audit.backend": "clickhouse", "audit.url": store}, nil
	case "sqlite", "elasticsearch", "opensearch":
		if kind == "opensearch" {
			kind = "elasticsearch"
		}
		if rest != "" {
			return map[string]string{"audit.backend": kind, "audit.url": rest}, nil
		}
	case "dynamodb":
		table, endpoint, some := strings.Cut(rest, "@")
		settings := map[string]string{"audit.backend": kind, "audit.table_name": table}
		if some {
			settings["audit.url"] = endpoint
		}
		if table != "" {
			return settings, nil
		}
	}
	return nil, errors.New("want FILE.toml, sqlite:PATH, postgres://…, clickhouse://…, elasticsearch:URL or dynamodb:TABLE, not " + config.WithoutPassword(store))
}

// wrong gives an error the flag that the store was named by, and makes it one of
// the command line.
func (s side) wrong(err error) error {
	if s.flag == "" {
		return err
	}
	return misuse("%s: %w", s.flag, err)
}

// exists wants the store to be there.
func (s side) exists() error {
	if err := backends.MustExist(s.cfg); err != nil {
		return s.wrong(err)
	}
	return nil
}

// open opens the store.
func (s side) open(cmd *cobra.Command, use backends.Use) (audit.Store, error) {
	store, err := backends.Open(cmd.Context(), s.cfg, use)
	switch {
	case err == nil:
		return store, nil
	case audit.CodeOf(err) == audit.CodeInvalid:
		return nil, s.wrong(err)
	case s.flag != "":
		return nil, fmt.Errorf("%s: %w", s.flag, err)
	}
	return nil, err
}
