package cli

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/internal/server/dashboard"
)

func serveCommand(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server and the dashboard",
		Long: `Runs the HTTP server with the dashboard at / until interrupted, then drains.
On an empty folder it keeps its records in a SQLite file in ./annals-data. The
log, on standard error, says at which URL it listens.`,
		Example: "  annals serve\n  annals serve --addr 127.0.0.1:9000 --level all",
		Args:    cobra.NoArgs,
	}
	addr := cmd.Flags().String("addr", "", "address to listen on instead of the one in the settings; port 0 is any free one")
	level := levelFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		extra := map[string]string{}
		if *level != "" {
			extra["audit.level"] = *level
		}
		if *addr != "" {
			extra["server.addr"] = *addr
		}
		cfg, err := g.settings(extra)
		if err != nil {
			return err
		}
		return g.serve(cmd, cfg)
	}
	return annotate(cmd, localOnly)
}

func (g *globals) serve(cmd *cobra.Command, cfg *config.Config) error {
	ctx, log := cmd.Context(), logger(cfg, cmd.ErrOrStderr())
	metrics := server.NewMetrics(programVersion())
	observed := func(opt *annals.Options) {
		*opt = cfg.ServerOptions()
		opt.Logger, opt.Observer = log, metrics
	}
	return g.localAs(cmd, cfg, backends.Server, observed, func(t *annals.Trail) error {
		pages, err := dashboard.New(t, dashboard.Options{Version: programVersion(), Logger: log, Stopping: ctx.Done()})
		if err != nil {
			return err
		}
		s, err := server.New(t, server.Options{
			Addr: cfg.Server.Addr, Version: programVersion(), Logger: log, Metrics: metrics, Dashboard: pages,
			ShutdownTimeout: cfg.Server.ShutdownTimeoutSeconds.Duration(),
		})
		if err == nil {
			err = s.Listen()
		}
		if err != nil {
			return cfg.Blame(err, "server.addr")
		}
		if cfg.Audit.Enabled {
			log.InfoContext(ctx, "recording", "level", t.Policy().Level, "store", backends.Describe(cfg), "chain", t.Chained())
		} else {
			log.WarnContext(ctx, "recording is switched off (audit.enabled): events are answered as filtered, and no store is opened")
		}
		if cfg.Audit.Enabled && cfg.Audit.CleanupEnabled {
			if err := t.StartRetention(); err != nil {
				return err
			}
		}
		err = s.Run(ctx)
		return errors.Join(err, account(t, log, cfg.Server.ShutdownTimeoutSeconds.Duration()))
	})
}

// account closes the trail and tells what became of everything it was given.
func account(t *annals.Trail, log *slog.Logger, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	a, err := t.Close(ctx)
	log.Info("closed", "offered", a.Offered, "recovered", a.Recovered, "stored", a.Stored, "duplicates", a.Duplicates,
		"filtered", a.Filtered, "rejected", a.Rejected, "dropped", a.Dropped, "failed", a.Failed,
		"left_in_spool", a.Spooled, "not_written", a.Unwritten)
	if a.Unwritten == 0 && a.Spooled > 0 {
		return nil // what is in the spool is written at the next start
	}
	return err
}
