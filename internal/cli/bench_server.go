package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/load"
	"github.com/annals-dev/annals/internal/server"
)

// benchServer runs a server of its own while measure does: that of annals serve
// with the settings in force, but over an empty SQLite store.
func (g *globals) benchServer(cmd *cobra.Command, dir, level string, users int, measure func(url string) error) error {
	if err := load.ReserveFiles(2 * users); err != nil { // both ends of each connection
		return flagError(err)
	}
	tmp, err := os.MkdirTemp(dir, "annals-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	extra := map[string]string{
		"audit.enabled": "true", "audit.backend": "sqlite", "audit.url": filepath.Join(tmp, "bench.db"),
		"audit.spool_dir": filepath.Join(tmp, "spool"), "log.level": "error",
	}
	if level != "" {
		extra["audit.level"] = level
	}
	cfg, err := g.settings(extra)
	if err != nil {
		return err
	}
	log, metrics := logger(cfg, cmd.ErrOrStderr()), server.NewMetrics(programVersion())
	observed := func(opt *annals.Options) {
		*opt = cfg.ServerOptions()
		opt.Logger, opt.Observer = log, metrics
	}
	return g.localAs(cmd, cfg, backends.Server, observed, func(t *annals.Trail) error {
		s, err := server.New(t, server.Options{
			Addr: "127.0.0.1:0", Version: programVersion(), Logger: log, Metrics: metrics,
			ShutdownTimeout: cfg.Server.ShutdownTimeoutSeconds.Duration(),
		})
		if err == nil {
			err = s.Listen()
		}
		if err != nil {
			return err
		}
		serving, stop := context.WithCancel(context.WithoutCancel(cmd.Context())) // it outlives an interrupt of the load
		served := make(chan error, 1)
		go func() { served <- s.Run(serving) }()
		err = measure("http://" + s.Addr().String())
		stop()
		return errors.Join(err, <-served)
	})
}
