package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/config"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/store/sqlite"
)

// BenchmarkServer runs the server with its default settings on SQLite, and an
// empty handler beside it: 64 connections that are kept alive, one event a
// request, a second each in turn. It gives the medians of the acknowledged
// events a second and of the empty answers, and at the end counts what is
// stored, which must be all that was acknowledged. Run it with -benchtime=7x.
func BenchmarkServer(b *testing.B) {
	dir := b.TempDir()
	cfg, err := config.Load(config.Input{Flags: map[string]string{"audit.url": filepath.Join(dir, "annals.db")}})
	if err != nil {
		b.Fatal(err)
	}
	store, err := sqlite.Open(b.Context(), sqlite.Options{Path: cfg.Audit.URL})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	metrics := server.NewMetrics("bench")
	opt := cfg.ServerOptions()
	opt.Logger, opt.Observer = log, metrics
	trail, err := annals.New(store, opt)
	if err != nil {
		b.Fatal(err)
	}
	srv, err := server.New(trail, server.Options{Logger: log, Metrics: metrics})
	if err != nil {
		b.Fatal(err)
	}
	empty := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write([]byte(`{"results":[]}`))
	})
	var rates [2][]float64
	acknowledged := int64(0)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for round := range b.N {
		for i, h := range [2]http.Handler{empty, srv.Handler()} {
			n, took := posts(b, h, 64, time.Second)
			rates[i] = append(rates[i], float64(n)/took.Seconds())
			if i == 1 {
				acknowledged += n
			}
		}
		if round%2 == 1 {
			if err := trail.Flush(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := trail.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	stored, err := trail.Count(ctx, &audit.Query{})
	if err != nil || stored != acknowledged {
		b.Errorf("%d events were acknowledged, %d are stored, %v", acknowledged, stored, err)
	}
	if account, err := trail.Close(ctx); err != nil || account.Stored != acknowledged {
		b.Errorf("%+v %v", account, err)
	}
	for i := range rates {
		slices.Sort(rates[i])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(rates[0][len(rates[0])/2], "empty/s")
	b.ReportMetric(rates[1][len(rates[1])/2], "acknowledged/s")
	b.ReportMetric(float64(stored), "stored")
}

// posts posts events over so many connections for a while, and counts the answers.
func posts(b *testing.B, h http.Handler, connections int, d time.Duration) (int64, time.Duration) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, WriteTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	request := fmt.Appendf(nil, "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(benchEvent), benchEvent)
	counts := make([]int64, connections)
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range counts {
		wg.Go(func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			for r := bufio.NewReader(conn); time.Since(begin) < d; counts[i]++ {
				if _, err := conn.Write(request); err != nil {
					b.Error(err)
					return
				}
				if err := readAnswer(r); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	n := int64(0)
	for _, c := range counts {
		n += c
	}
	return n, took
}
