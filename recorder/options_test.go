package recorder

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

func TestNewRefuses(t *testing.T) {
	ok := (&store{}).Append
	for _, c := range []struct {
		name  string
		sink  Sink
		opt   Options
		code  error
		field string
		says  string
	}{
		{"no sink", nil, Options{}, audit.ErrInvalid, "sink", ""},
		{"spool", ok, Options{Durability: Spool}, audit.ErrUnsupported, "durability", "needs a spool"},
		{"spill", ok, Options{OnFull: Spill}, audit.ErrUnsupported, "on_full", "needs a spool"},
		{"durability", ok, Options{Durability: "disk"}, audit.ErrInvalid, "durability", `"disk"`},
		{"on_full", ok, Options{OnFull: "panic"}, audit.ErrInvalid, "on_full", `"panic"`},
		{"sync spills", ok, Options{Durability: Sync, OnFull: Spill}, audit.ErrInvalid, "on_full", "contradicts"},
		{"sync drops", ok, Options{Durability: Sync, OnFull: Drop}, audit.ErrInvalid, "on_full", "contradicts"},
		{"interval", ok, Options{FlushInterval: -1}, audit.ErrInvalid, "flush_interval", ""},
		{"size", ok, Options{FlushSize: -1}, audit.ErrInvalid, "flush_size", ""},
		{"size over capacity", ok, Options{FlushSize: 11, Capacity: 10}, audit.ErrInvalid, "flush_size", "capacity"},
		{"capacity", ok, Options{Capacity: -1}, audit.ErrInvalid, "capacity", ""},
		{"bytes", ok, Options{CapacityBytes: -1}, audit.ErrInvalid, "capacity_bytes", ""},
		{"timeout", ok, Options{Timeout: -time.Second}, audit.ErrInvalid, "timeout", ""},
		{"write timeout", ok, Options{WriteTimeout: -time.Second}, audit.ErrInvalid, "write_timeout", ""},
		{"ttl", ok, Options{TTL: -time.Second}, audit.ErrInvalid, "ttl", ""},
		{"record", ok, Options{MaxRecord: -1}, audit.ErrInvalid, "max_record", ""},
		{"huge record", ok, Options{MaxRecord: 1 << 30}, audit.ErrInvalid, "max_record", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.sink, c.opt)
			var e *audit.Error
			if !errors.Is(err, c.code) || !errors.As(err, &e) || e.Field != c.field || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %v, want a fault of %s that says %q", err, c.field, c.says)
			}
		})
	}
}

func TestSpoolContradictsSpill(t *testing.T) {
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		_, err := New((&store{}).Append, Options{Durability: Spool, OnFull: Spill, Spool: sp})
		var e *audit.Error
		if !errors.Is(err, audit.ErrInvalid) || !errors.As(err, &e) || e.Field != "on_full" {
			t.Error(err)
		}
		r := start(t, (&store{}).Append, Options{})
		defer mustClose(t, r)
		if got := r.RecordBatch(t.Context(), []*audit.Event{event(1)}, Spool)[0]; !errors.Is(got.Err, audit.ErrUnsupported) {
			t.Errorf("without a spool: %+v", got)
		}
	})
}

func TestDefaults(t *testing.T) {
	r := start(t, (&store{}).Append, Options{Capacity: 100})
	defer r.Close(context.Background())
	o := r.opt
	if o.Durability != Memory || o.OnFull != Block || o.FlushInterval != 30*time.Second || o.FlushSize != 100 ||
		o.CapacityBytes != 256<<20 || o.Timeout != 5*time.Second || o.WriteTimeout != 30*time.Second || r.level != "writes_only" {
		t.Errorf("defaults are %+v", o)
	}
}
