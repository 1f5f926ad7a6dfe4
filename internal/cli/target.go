package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/client"
	"github.com/annals-dev/annals/internal/backends"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/retention"
)

// trail is what the commands need of a trail, be it here or behind a server.
type trail interface {
	RecordSync(ctx context.Context, evs []*audit.Event) []audit.Receipt
	Query(ctx context.Context, q *audit.Query, cursor string) (*annals.Page, error)
	Find(ctx context.Context, id string, scope *audit.Scope) (*audit.Record, error)
	GetAction(ctx context.Context, actionID string, scope *audit.Scope) (*audit.Record, error)
	Export(ctx context.Context, q *audit.Query, fn func(*audit.Record) error) error
	Tail(ctx context.Context, q *audit.Query, after audit.Position, fn func(*audit.Record) error) error
	Count(ctx context.Context, q *audit.Query) (int64, error)
	Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error)
	Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error)
	Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error)
	Performance(ctx context.Context, q *audit.Query) (*analytics.Performance, error)
	Discovery(ctx context.Context, q *audit.Query) (*analytics.Discovery, error)
	Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error)
	Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error)
	DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error)
	Chains(ctx context.Context, scope *audit.Scope) ([]chain.Head, error)
	Verify(ctx context.Context, scope audit.Scope, opt chain.VerifyOptions) ([]*chain.Report, error)
	Retention(ctx context.Context) (*retention.Status, error)
	RetentionPlan(ctx context.Context) (*retention.Plan, error)
	RetentionRun(ctx context.Context) (*retention.Run, error)
	AddHold(ctx context.Context, h retention.Hold) (retention.Hold, error)
	RemoveHold(ctx context.Context, id string) (retention.Hold, error)
}

var (
	_ trail = (*annals.Trail)(nil)
	_ trail = (*client.Client)(nil)
)

// settings loads the settings with the command line's own on top.
func (g *globals) settings(extra map[string]string) (*config.Config, error) {
	flags := map[string]string{}
	for _, pair := range g.set {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, misuse("--set %s: want KEY=VALUE", pair)
		}
		flags[strings.TrimSpace(key)] = value
	}
	maps.Copy(flags, extra)
	file := g.configFile
	if file == "" {
		if _, err := os.Stat("annals.toml"); err == nil {
			file = "annals.toml"
		}
	}
	return config.Load(config.Input{File: file, Env: os.Environ(), Flags: flags})
}

// levelFlag adds --level, which is the setting of that name for one command.
func levelFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("level", "", "recording level instead of the one in the settings: all, writes_only, mutations_only, deletes_only or failures_only")
}

func levelSetting(level string) map[string]string {
	if level == "" {
		return nil
	}
	return map[string]string{"audit.level": level}
}

func logger(cfg *config.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.Log.Level)) // validated by config
	opt := &slog.HandlerOptions{Level: level}
	if cfg.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opt))
	}
	return slog.New(slog.NewTextHandler(w, opt))
}

// remote gives the client of the server that the command line names.
func (g *globals) remote() (*client.Client, error) {
	c, err := client.New(g.server, client.Options{UserAgent: "annals/" + programVersion()})
	if err != nil {
		return nil, usageError{fmt.Errorf("--%w", err)}
	}
	return c, nil
}

// ask runs fn with the trail that the command line names, for questions.
func (g *globals) ask(cmd *cobra.Command, fn func(t trail) error) error {
	if g.server != "" {
		c, err := g.remote()
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(c)
	}
	cfg, err := g.settings(nil)
	if err != nil {
		return err
	}
	if !cfg.Audit.Enabled {
		return cfg.Blame(audit.Invalid("", "is false: nothing is recorded, and nothing opened to ask"), "audit.enabled")
	}
	if err := backends.MustExist(cfg); err != nil {
		return err
	}
	return g.local(cmd, cfg, nil, func(t *annals.Trail) error { return fn(t) })
}

// write runs fn with the trail that the command line names, for recording.
// Where recording is switched off, fn has a trail that filters everything: the
// switch must not break those who record.
func (g *globals) write(cmd *cobra.Command, level string, fn func(t trail) error) error {
	if g.server != "" {
		c, err := g.remote()
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(c)
	}
	cfg, err := g.settings(levelSetting(level))
	if err != nil {
		return err
	}
	// A command line has nobody who waits for it in vain: let a slow disk have its time.
	patient := func(opt *annals.Options) { opt.Timeout = max(opt.Timeout, time.Minute) }
	return g.local(cmd, cfg, patient, func(t *annals.Trail) error { return fn(t) })
}

// local runs fn with the trail of the settings and closes it afterwards; an
// error of closing is told where fn had none.
func (g *globals) local(cmd *cobra.Command, cfg *config.Config, adjust func(*annals.Options), fn func(t *annals.Trail) error) error {
	return g.localAs(cmd, cfg, backends.Command, adjust, fn)
}

func (g *globals) localAs(cmd *cobra.Command, cfg *config.Config, use backends.Use, adjust func(*annals.Options), fn func(t *annals.Trail) error) error {
	if !cfg.Audit.Enabled {
		off := *cfg
		off.Audit.Backend, off.Audit.Chain = "memory", false // nothing is opened
		cfg = &off
	}
	store, err := backends.Open(cmd.Context(), cfg, use)
	if err != nil {
		return err
	}
	opt := cfg.TrailOptions()
	opt.Logger = logger(cfg, cmd.ErrOrStderr())
	if adjust != nil {
		adjust(&opt)
	}
	t, err := annals.New(store, opt)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	err = fn(t)
	if e := closeTrail(t, cfg.Server.ShutdownTimeoutSeconds.Duration()); err == nil {
		err = e
	}
	return err
}

func closeTrail(t *annals.Trail, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	account, err := t.Close(ctx)
	if account.Unwritten > 0 {
		return audit.Unavailable(fmt.Sprintf("%d events were not written", account.Unwritten), err)
	}
	if account.Spooled > 0 && errors.Is(err, context.DeadlineExceeded) {
		return nil // they are safe, and the trail has said so
	}
	return err
}
