package crashtest

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/server"
)

var quiet = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))

// child records until it is killed. It writes one line for each id that was
// acknowledged, or the address of the server; a line is one write, so the
// parent has every line whole or not at all.
func child(e Engine, mode Mode, dir string, round int) error {
	ctx := context.Background()
	trail, err := open(ctx, e, mode, dir)
	if err != nil {
		return err
	}
	if mode == Server {
		s, err := server.New(trail, server.Options{Addr: "127.0.0.1:0", Logger: quiet})
		if err == nil {
			err = s.Listen()
		}
		if err != nil {
			return err
		}
		fmt.Printf("http://%s\n", s.Addr())
		return s.Run(ctx)
	}
	// Nobody can be left behind when the parent is gone: its end closes the pipe.
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadByte()
		os.Exit(2)
	}()
	failed := make(chan error)
	for i := range producers {
		go func() { failed <- produce(ctx, trail, mode, producer{round: round, number: i}) }()
	}
	return <-failed
}

func produce(ctx context.Context, trail *annals.Trail, mode Mode, p producer) error {
	want := audit.StatusQueued
	if mode == Sync {
		want = audit.StatusRecorded
	}
	for {
		evs := p.call()
		var receipts []audit.Receipt
		if len(evs) == 1 {
			receipt, _ := trail.Record(ctx, evs[0])
			receipts = []audit.Receipt{receipt}
		} else {
			receipts = trail.RecordBatch(ctx, evs)
		}
		for i, r := range receipts {
			if r.Err != nil || r.Status != want {
				return fmt.Errorf("%s: %+v", evs[i].ExternalID, r)
			}
			if _, err := os.Stdout.WriteString(evs[i].ExternalID + "\n"); err != nil {
				return err
			}
		}
	}
}
