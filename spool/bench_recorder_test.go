package spool_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/spool"
)

// recorderSink records a whole event for each entry, whose bytes it leaves alone.
type recorderSink struct {
	r *recorder.Recorder
	s *spool.Spool
}

func (s recorderSink) Append([]byte) error {
	_, err := s.r.Record(context.Background(), typicalEvent())
	return err
}

func (s recorderSink) Close() error {
	ctx := context.Background()
	a, err := s.r.Close(ctx)
	if err == nil && a.Stored != a.Offered {
		err = fmt.Errorf("%+v", a)
	}
	return errors.Join(err, s.s.Close(ctx))
}

// typicalEvent has fifteen short texts, 200 bytes of payload and a little metadata.
func typicalEvent() *audit.Event {
	return &audit.Event{
		Namespace: "prod", Tenant: "acme", Action: "tool.create", ActionID: "act-7f3a",
		Actor:    audit.Actor{Type: "user", ID: "u-4711", Email: "ada@example.com", IP: "10.1.2.3", SessionID: "s-99"},
		Resource: audit.Resource{Type: "tool", ID: "t-815", Name: "search"},
		Source:   audit.Source{Service: "gateway", Host: "gw-1"},
		Request:  audit.Request{ID: "r-1", CorrelationID: "c-1", Method: "POST", Path: "/v1/tools"},
		Payload: []byte(`{"name":"search","kind":"trino","enabled":true,"limits":{"rows":1000,"seconds":30},` +
			`"description":"looks up orders by customer and day","tags":["orders","customers"],"owner":"data-platform-team"}`),
		Metadata: []byte(`{"env":"prod","region":"eu-1"}`),
	}
}

// BenchmarkRecorderAgainstPebble runs a recorder under durability spool, with
// all that it does (policy, normalisation, encoding, the spool, the way out of
// it to a store that takes everything), the bare spool and pebble behind one
// batching goroutine in turn, in the way of BenchmarkAgainstPebble. The other
// two get entries of as many bytes as an event takes.
func BenchmarkRecorderAgainstPebble(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			open := func() *spool.Spool {
				s, err := spool.Open(b.TempDir(), spool.Options{MaxBytes: 64 << 30, SegmentBytes: spool.DefaultSegmentBytes, Logger: spool.QuietLogger()})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			s := open()
			size := make(chan int, 1)
			store := func(_ context.Context, recs []*audit.Record) ([]audit.Result, error) {
				select {
				case size <- sizeOf(recs[0]):
				default:
				}
				return make([]audit.Result, len(recs)), nil
			}
			p, err := policy.New(policy.Config{Level: policy.All})
			if err != nil {
				b.Fatal(err)
			}
			r, err := recorder.New(store, recorder.Options{
				Policy: p, Durability: recorder.Spool, Spool: s, Logger: spool.QuietLogger(), FlushInterval: time.Second,
			})
			if err != nil {
				b.Fatal(err)
			}
			first := recorderSink{r, s}
			if err := errors.Join(first.Append(nil), r.Flush(context.Background())); err != nil {
				b.Fatal(err)
			}
			bytes := <-size
			spool.CompareSinks(b, producers, bytes, []string{"recorder", "batched", "bare"},
				[]spool.Sink{first, spool.OpenPebbleBatched(b, b.TempDir()), spool.NewSpoolSink(open())})
			b.ReportMetric(float64(bytes), "B/entry")
		})
	}
}

// sizeOf gives the bytes that a record takes in the spool.
func sizeOf(rec *audit.Record) int { return 1 + len(chain.AppendEncoding(nil, rec)) }
