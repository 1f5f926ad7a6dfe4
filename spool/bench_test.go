package spool

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// sink is one side of a comparison: append returns when the entry is on disk.
type sink interface {
	Append(entry []byte) error
	Close() error
}

type spoolSink struct{ s *Spool }

func (s spoolSink) Append(entry []byte) error { return s.s.Append(context.Background(), entry) }
func (s spoolSink) Close() error              { return s.s.Close(context.Background()) }

func openSpoolSink(b *testing.B, dir string) sink {
	s, err := Open(dir, Options{MaxBytes: 64 << 30, SegmentBytes: DefaultSegmentBytes, Logger: quietLogger()})
	if err != nil {
		b.Fatal(err)
	}
	return spoolSink{s}
}

func quietLogger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(f string, a ...any) {
	panic(fmt.Sprintf(f, a...))
}

func openPebble(b *testing.B, dir string) *pebble.DB {
	db, err := pebble.Open(dir, &pebble.Options{Logger: silent{}, MemTableSize: 64 << 20})
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// pebblePipeline uses pebble's own group commit.
type pebblePipeline struct {
	db *pebble.DB
	mu sync.Mutex
	n  uint64
}

func (p *pebblePipeline) Append(entry []byte) error {
	var key [8]byte
	p.mu.Lock()
	p.n++
	binary.BigEndian.PutUint64(key[:], p.n)
	p.mu.Unlock()
	return p.db.Set(key[:], entry, pebble.Sync)
}

func (p *pebblePipeline) Close() error { return p.db.Close() }

// pebbleBatched puts one goroutine before pebble that commits everything that waits in one batch.
type pebbleBatched struct {
	db   *pebble.DB
	in   chan *pebbleCall
	over chan error
}

type pebbleCall struct {
	entry []byte
	done  chan error
}

var pebbleCalls = sync.Pool{New: func() any { return &pebbleCall{done: make(chan error, 1)} }}

func openPebbleBatched(b *testing.B, dir string) sink {
	p := &pebbleBatched{db: openPebble(b, dir), in: make(chan *pebbleCall, 1024), over: make(chan error, 1)}
	go p.run()
	return p
}

func (p *pebbleBatched) run() {
	var n uint64
	var calls []*pebbleCall
	for c := range p.in {
		calls = append(calls[:0], c)
		batch := p.db.NewBatch()
		for {
			var key [8]byte
			n++
			binary.BigEndian.PutUint64(key[:], n)
			_ = batch.Set(key[:], c.entry, nil)
			select {
			case c = <-p.in:
				if c != nil {
					calls = append(calls, c)
					continue
				}
			default:
			}
			break
		}
		err := batch.Commit(pebble.Sync)
		_ = batch.Close()
		for _, c := range calls {
			c.done <- err
		}
	}
	p.over <- p.db.Close()
}

func (p *pebbleBatched) Append(entry []byte) error {
	c := pebbleCalls.Get().(*pebbleCall)
	c.entry = entry
	p.in <- c
	err := <-c.done
	pebbleCalls.Put(c)
	return err
}

func (p *pebbleBatched) Close() error {
	close(p.in)
	return <-p.over
}

// load lets producers append entries of a size for a while, and gives the
// acknowledged entries a second.
func load(b *testing.B, s sink, producers, size int, d time.Duration) float64 {
	entry := make([]byte, size)
	for i := range entry {
		entry[i] = byte(i*131 + i>>3)
	}
	var wg sync.WaitGroup
	counts := make([]int64, producers)
	start := time.Now()
	for p := range producers {
		wg.Go(func() {
			e := slices.Clone(entry)
			for time.Since(start) < d {
				binary.LittleEndian.PutUint64(e, uint64(counts[p]))
				if err := s.Append(e); err != nil {
					b.Error(err)
					return
				}
				counts[p]++
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	var n int64
	for _, c := range counts {
		n += c
	}
	return float64(n) / took.Seconds()
}

// BenchmarkAgainstPebble runs the spool and pebble in turn, 0.1 s each, and
// gives the medians of the acknowledged, synced entries of 600 bytes a second
// and of the ratios within a round. Run it with -benchtime=40x for 40 rounds.
func BenchmarkAgainstPebble(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			dir := b.TempDir()
			compare(b, producers, 600, []string{"spool", "batched", "pipeline"}, []sink{
				openSpoolSink(b, dir+"/spool"), openPebbleBatched(b, dir+"/batched"), &pebblePipeline{db: openPebble(b, dir+"/pipeline")},
			})
		})
	}
}

// compare loads the sides in turn, closes them, and reports the median rate of
// each and the median ratio, within a round, of the first to each other one.
func compare(b *testing.B, producers, size int, names []string, sides []sink) {
	rates := make([][]float64, len(sides))
	for round := range b.N {
		for i := range sides {
			i = (i + round) % len(sides)
			rates[i] = append(rates[i], load(b, sides[i], producers, size, 100*time.Millisecond))
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, s := range sides {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
		b.ReportMetric(median(rates[i]), names[i]+"/s")
		if i == 0 {
			continue
		}
		var ratios []float64
		for round, rate := range rates[i] {
			ratios = append(ratios, rates[0][round]/rate)
		}
		b.ReportMetric(median(ratios), "×"+names[i])
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// BenchmarkAppend is the cost of an acknowledged entry.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			s := openSpoolSink(b, b.TempDir())
			b.ReportAllocs()
			b.SetBytes(600)
			each := b.N/producers + 1
			entry := make([]byte, 600)
			b.ResetTimer()
			var wg sync.WaitGroup
			for range producers {
				wg.Go(func() {
					for range each {
						if err := s.Append(entry); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(each*producers)/b.Elapsed().Seconds(), "acks/s")
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// BenchmarkRead is the way out: read and commit in batches of 500.
func BenchmarkRead(b *testing.B) {
	s, err := Open(b.TempDir(), Options{MaxBytes: 64 << 30, SegmentBytes: DefaultSegmentBytes, Logger: quietLogger()})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	entry := make([]byte, 600)
	for left := b.N; left > 0; left -= 500 {
		batch := make([][]byte, min(500, left))
		for i := range batch {
			batch[i] = entry
		}
		if _, err := s.AppendBatch(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(600)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		batch, err := s.Read(ctx, 500, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		n += len(batch.Entries)
		if err := s.Commit(batch.Token); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	if err := s.Close(ctx); err != nil {
		b.Error(err)
	}
}

// unfilledDisk leaves spares as they were reserved.
type unfilledDisk struct{ osDisk }

type unfilledFile struct {
	file
	spare bool
}

func (d unfilledDisk) create(path string, size int64) (file, error) {
	f, err := d.osDisk.create(path, size)
	return &unfilledFile{f, filepath.Base(path) == spareName}, err
}

func (f *unfilledFile) WriteAt(b []byte, off int64) (int, error) {
	if f.spare && &b[0] == &zeroBlock[0] {
		return len(b), nil
	}
	return f.file.WriteAt(b, off)
}

// BenchmarkZeroFill runs spools with and without filling the next segment with
// zeros in turn, in the way of BenchmarkAgainstPebble.
func BenchmarkZeroFill(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			filled := openSpoolSink(b, b.TempDir())
			s, err := Open(b.TempDir(), Options{MaxBytes: 64 << 30, SegmentBytes: DefaultSegmentBytes, Logger: quietLogger(), disk: unfilledDisk{}})
			if err != nil {
				b.Fatal(err)
			}
			compare(b, producers, 600, []string{"filled", "unfilled"}, []sink{filled, spoolSink{s}})
		})
	}
}
