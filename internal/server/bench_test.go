package server_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/internal/server"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/store/memory"
)

const benchEvent = `{"action":"tool.create","tenant":"acme","actor":{"type":"user","id":"alice","email":"alice@example.com","ip":"10.1.2.3","session_id":"s-123"},` +
	`"resource":{"type":"table","id":"sales.orders"},"tool":{"name":"query","kind":"trino"},"duration_ms":12.5,"request":{"correlation_id":"c-456","method":"POST","path":"/mcp"},"metadata":{"env":"prod"},"payload":{"sql":"select 1","rows":1}}`

// BenchmarkPost posts single events over 64 connections that are kept alive, to
// the server over a memory store, and beside it to a handler that reads the
// body and does nothing: the ratio is what the server costs.
func BenchmarkPost(b *testing.B) {
	log := slog.New(slog.DiscardHandler)
	metrics := server.NewMetrics("bench")
	trail, err := annals.New(memory.New(memory.Options{}), annals.Options{Policy: policy.Config{Level: policy.All}, Logger: log, Observer: metrics})
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
	b.Run("empty", func(b *testing.B) { load(b, empty) })
	b.Run("annals", func(b *testing.B) { load(b, srv.Handler()) })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if account, err := trail.Close(ctx); err != nil || account.Stored != account.Offered {
		b.Errorf("%+v %v", account, err)
	}
}

func load(b *testing.B, h http.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, WriteTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	request := fmt.Appendf(nil, "POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(benchEvent), benchEvent)
	b.ReportAllocs()
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		r := bufio.NewReader(conn)
		for pb.Next() {
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
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// readAnswer reads one answer with as little work as there can be, as the
// sender shares the processors with the server.
func readAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("answered %s", line)
	}
	length := 0
	for {
		if line, err = r.ReadSlice('\n'); err != nil {
			return err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(v)); err != nil {
				return err
			}
		}
	}
	_, err = r.Discard(length)
	return err
}
