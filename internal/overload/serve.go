package overload

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/internal/server"
)

// serve runs the server with its default settings but for the bounds that are
// to be reached. It writes its address, and another line when the time is over
// and the store is healed; the end of standard input ends the server.
func serve(e Engine, p plan) error {
	w := watch()
	faults, err := broken(e, p)
	if err != nil {
		return err
	}
	bytes := strconv.FormatInt(p.Bytes, 10)
	cfg, err := config.Load(config.Input{Flags: map[string]string{
		"audit.level": "all", "audit.url": filepath.Join(p.Dir, "unused"), "audit.spool_dir": filepath.Join(p.Dir, "spool"),
		"audit.buffer_capacity_bytes": bytes, "audit.spool_max_bytes": bytes, "audit.timeout_seconds": seconds(holdTime), "audit.write_timeout_seconds": seconds(p.writeTimeout()),
	}})
	if err != nil {
		return err
	}
	log := slog.New(w.lines)
	metrics := server.NewMetrics("overload")
	opt := cfg.ServerOptions()
	opt.Logger, opt.Observer = log, metrics
	trail, err := annals.New(faults.Store, opt)
	if err != nil {
		return err
	}
	s, err := server.New(trail, server.Options{Addr: "127.0.0.1:0", Logger: log, Metrics: metrics})
	if err == nil {
		err = s.Listen()
	}
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", s.Addr())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var lasted time.Duration
	healed := make(chan struct{})
	go func() {
		defer close(healed)
		start := time.Now()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			if st := trail.Stats(); p.over(start, st.Rejected+st.Dropped) {
				break
			}
		}
		lasted = time.Since(start)
		faults.Heal()
		fmt.Println("healed")
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // it ends with the parent, or when the parent has seen enough
		stop()
	}()
	err = s.Run(ctx)
	<-healed
	if err != nil {
		return err
	}
	return w.finish(trail, lasted.Seconds())
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) }
