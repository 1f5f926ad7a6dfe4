package annals_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/internal/faultstore"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/spool"
	"github.com/annals-dev/annals/store/memory"
)

func closeSoon(t *testing.T, trail *annals.Trail, after time.Duration) (recorder.Account, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	return trail.Close(ctx)
}

func TestSpoolNeedsADirectory(t *testing.T) {
	for name, opt := range map[string]annals.Options{
		"spool": {Durability: recorder.Spool}, "spill": {OnFull: recorder.Spill},
	} {
		store := memory.New(memory.Options{})
		_, err := annals.New(store, opt)
		var e *audit.Error
		if !errors.As(err, &e) || e.Field != "spool_dir" || e.Code != audit.CodeInvalid || !strings.Contains(e.Message, name) {
			t.Errorf("%s: %v", name, err)
		}
		opt.SpoolDir, opt.SpoolBytes = t.TempDir(), -1
		if _, err = annals.New(store, opt); !errors.As(err, &e) || e.Field != "spool_bytes" {
			t.Errorf("%s: %v", name, err)
		}
		// Whoever is refused leaves no lock behind.
		opt.SpoolBytes, opt.FlushSize = 0, -1
		if _, err = annals.New(store, opt); !errors.As(err, &e) || e.Field != "flush_size" {
			t.Errorf("%s: %v", name, err)
		}
		opt.FlushSize = 0
		trail, err := annals.New(store, opt)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := closeSoon(t, trail, time.Minute); err != nil {
			t.Error(err)
		}
	}
}

func TestSwitchedOffOpensNoSpool(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	trail, err := annals.New(memory.New(memory.Options{}), annals.Options{
		Policy: policy.Config{Disabled: true}, Durability: recorder.Spool, SpoolDir: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := trail.Record(t.Context(), &audit.Event{Action: "user.delete"}); err != nil || r.Status != audit.StatusFiltered {
		t.Error(r, err)
	}
	if _, err := closeSoon(t, trail, time.Minute); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory was made")
	}
}

// The store is down: events are taken and the trail is ready, until the spool is
// full. The next start says what it found, and delivers it.
func TestSpoolOutlivesTheStore(t *testing.T) {
	dir := t.TempDir()
	inner := memory.New(memory.Options{})
	f := faultstore.Wrap(outliving{inner})
	f.On(faultstore.Append, faultstore.Ever, faultstore.FailCode(audit.CodeUnavailable))
	f.On(faultstore.Ping, faultstore.Ever, faultstore.FailCode(audit.CodeUnavailable))
	var log bytes.Buffer
	opt := annals.Options{
		Durability: recorder.Spool, OnFull: recorder.Fail, SpoolDir: dir, SpoolBytes: 64 << 10, FlushInterval: time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	trail, err := annals.New(f.Store, opt)
	if err != nil {
		t.Fatal(err)
	}
	if err := trail.Ready(t.Context()); err != nil {
		t.Error("room in the spool:", err)
	}
	var taken int64
	for ; ; taken++ {
		r, err := trail.Record(t.Context(), &audit.Event{Action: "user.delete", Tenant: "acme"})
		if err != nil {
			if !errors.Is(err, audit.ErrBacklog) {
				t.Error(err)
			}
			break
		}
		if r.Status != audit.StatusQueued {
			t.Errorf("%+v", r)
		}
	}
	if err := trail.Ready(t.Context()); !errors.Is(err, audit.ErrBacklog) {
		t.Error("a full spool:", err)
	}
	a, err := closeSoon(t, trail, 10*time.Millisecond)
	if diff := cmp.Diff(recorder.Account{Offered: taken + 1, Rejected: 1, Spooled: taken}, a); diff != "" || err == nil {
		t.Errorf("%v: %s", err, diff)
	}

	log.Reset()
	opt.Durability = recorder.Memory // what is there is delivered all the same
	trail, err = annals.New(outliving{inner}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `msg="the spool is open"`) || !strings.Contains(log.String(), "adopted=1") {
		t.Error(log.String())
	}
	if a, err := closeSoon(t, trail, time.Minute); err != nil || a.Recovered != taken || a.Stored != taken {
		t.Errorf("%+v, %v", a, err)
	}
}

// outliving is a store that outlives its trail.
type outliving struct{ audit.Store }

func (outliving) Close() error          { return nil }
func (k outliving) Unwrap() audit.Store { return k.Store }

func TestDeadLettersAreRestored(t *testing.T) {
	dir := t.TempDir()
	inner := memory.New(memory.Options{})
	f := faultstore.Wrap(outliving{inner})
	f.On(faultstore.Append, faultstore.Ever, faultstore.Partial(func(r *audit.Record) error {
		if r.Kind == audit.KindEvent {
			return audit.Invalid("payload", "is refused")
		}
		return nil
	}))
	trail, err := annals.New(f.Store, annals.Options{SpoolDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := trail.Record(t.Context(), &audit.Event{Action: "user.delete", Tenant: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := closeSoon(t, trail, time.Minute); err != nil || a.Failed != 1 || a.SetAside != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	letters, err := spool.OpenDeadLetters(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	list, err := letters.List()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	_, entry, err := letters.Get(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := recorder.DecodeEntry(entry)
	if err != nil {
		t.Fatal(err)
	}
	trail, err = annals.New(outliving{inner}, annals.Options{Policy: policy.Config{Level: policy.FailuresOnly}})
	if err != nil {
		t.Fatal(err)
	}
	if got := trail.Restore(t.Context(), []*audit.Record{rec})[0]; got.Err != nil || got.Status != audit.StatusRecorded || got.ID != receipt.ID {
		t.Errorf("%+v", got)
	}
	if _, err := closeSoon(t, trail, time.Minute); err != nil {
		t.Error(err)
	}
	if kept, err := inner.Get(t.Context(), rec.Ref()); err != nil || !kept.RecordedAt.Equal(rec.RecordedAt) || kept.Level != "writes_only" {
		t.Errorf("%+v, %v", kept, err)
	}
}
