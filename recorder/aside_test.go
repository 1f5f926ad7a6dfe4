package recorder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/spool"
)

// refuseOdd makes the events with an odd number impossible to store.
func refuseOdd(rec *audit.Record) error {
	if n, err := strconv.Atoi(rec.ActionID); err == nil && n%2 == 1 {
		return audit.Invalid("payload", "has a number that the engine cannot hold")
	}
	return nil
}

func TestRefusedRecordsAreSetAsideInEveryMode(t *testing.T) {
	for _, durability := range []Durability{Memory, Spool, Sync} {
		t.Run(string(durability), func(t *testing.T) {
			dir := t.TempDir()
			withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
				s := store{each: refuseOdd}
				letters := openLetters(t, dir)
				r := start(t, s.Append, Options{Durability: durability, Spool: sp, DeadLetters: letters, Chained: true})
				sent := map[string]*audit.Event{}
				for i := range 10 {
					ev := event(i)
					receipt, err := r.Record(t.Context(), ev)
					if (err != nil) != (durability == Sync && i%2 == 1) {
						t.Error(receipt, err)
					}
					sent[receipt.ID.String()] = ev
				}
				a := mustClose(t, r)
				if durability == Sync {
					// The caller has the error: there is nothing to set aside.
					if list, err := letters.List(); err != nil || len(list) > 0 || a.Failed != 5 || a.SetAside != 0 {
						t.Errorf("%+v, %v, %+v", list, err, a)
					}
					return
				}
				if diff := cmp.Diff(Account{Offered: 10, Stored: 5, Failed: 5, SetAside: 5}, a); diff != "" {
					t.Error(diff)
				}
				if gaps := gapsIn(t, &s); gaps["acme/failed"] != 5 {
					t.Errorf("the gap records say %v", gaps)
				}
				list, err := letters.List()
				if err != nil || len(list) != 5 {
					t.Fatalf("%+v, %v", list, err)
				}
				var recs []*audit.Record
				for _, l := range list {
					_, entry, err := letters.Get(l.ID)
					if err != nil {
						t.Fatal(err)
					}
					rec, err := DecodeEntry(entry)
					if err != nil {
						t.Fatal(err)
					}
					if ev := sent[rec.ID.String()]; ev == nil || rec.ActionID != ev.ActionID || !strings.HasPrefix(l.ID, rec.ID.String()) ||
						!strings.Contains(l.Reason, "payload: has a number") || l.Attempts < 1 || rec.Sequence != 0 {
						t.Errorf("%+v: %s", l, entry)
					}
					recs = append(recs, rec)
				}
				// Mended, they are stored as what they were.
				s.each = nil
				r = start(t, s.Append, Options{Durability: Sync})
				for round, want := range []audit.Status{audit.StatusRecorded, audit.StatusDuplicate} {
					for i, receipt := range r.Restore(t.Context(), recs) {
						if receipt.Status != want || receipt.ID != recs[i].ID || receipt.Sequence == 0 {
							t.Errorf("round %d: %+v", round, receipt)
						}
					}
				}
				for _, rec := range recs {
					if kept := s.recs[rec.Ref()]; kept == nil || !kept.RecordedAt.Equal(rec.RecordedAt) || kept.Level != rec.Level {
						t.Errorf("restored as %+v", kept)
					}
				}
				if got := r.Restore(t.Context(), []*audit.Record{nil, {}}); !errors.Is(got[0].Err, audit.ErrInvalid) || !errors.Is(got[1].Err, audit.ErrInvalid) {
					t.Errorf("%+v", got)
				}
				if diff := cmp.Diff(Account{Offered: 12, Stored: 5, Duplicates: 5, Rejected: 2}, mustClose(t, r)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// Two contents under one id are two letters.
func TestConflictsAreSetAsideApart(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var s store
		letters := openLetters(t, dir)
		r := start(t, s.Append, Options{DeadLetters: letters})
		for i := range 3 {
			ev := event(i)
			ev.ExternalID = "same"
			mustRecord(t, r, ev, audit.StatusQueued)
		}
		if diff := cmp.Diff(Account{Offered: 3, Stored: 1, Failed: 2, SetAside: 2}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if list, err := letters.List(); err != nil || len(list) != 2 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// A flood of refused records does not hold up those that the store takes.
func TestLettersAreWrittenBesideTheBatcher(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := store{each: refuseOdd}
		r := start(t, s.Append, Options{DeadLetters: openLetters(t, dir), FlushSize: 200})
		for i := range 400 {
			mustRecord(t, r, event(i), audit.StatusQueued)
		}
		if err := r.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := r.Stats(); st.Failed != 200 || st.SetAside != 200 || st.Queued != 0 {
			t.Errorf("%+v", st)
		}
		mustClose(t, r)
	})
}

// Without a disk for it, a record out of the spool stays in the spool; one that
// was in memory alone is given up, and counted.
func TestLettersThatCannotBeWritten(t *testing.T) {
	for _, durability := range []Durability{Memory, Spool} {
		t.Run(string(durability), func(t *testing.T) {
			dir := t.TempDir()
			withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
				s := store{each: refuseOdd}
				letters := openLetters(t, dir)
				home := filepath.Join(dir, "dead")
				if err := os.RemoveAll(home); err != nil {
					t.Fatal(err)
				}
				r := start(t, s.Append, Options{Durability: durability, Spool: sp, DeadLetters: letters, FlushSize: 4})
				for i := range 4 {
					mustRecord(t, r, event(i), audit.StatusQueued)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if durability == Memory {
					if diff := cmp.Diff(Account{Offered: 4, Stored: 2, Failed: 2}, mustClose(t, r)); diff != "" {
						t.Error(diff)
					}
					return
				}
				if st := r.Stats(); st.Queued != 2 || st.Failed != 0 || sp.Stats().Depth != 4 {
					t.Errorf("%+v, %d in the spool", st, sp.Stats().Depth)
				}
				if err := os.Mkdir(home, 0o700); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(Account{Offered: 4, Stored: 2, Failed: 2, SetAside: 2}, mustClose(t, r)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestDecodeEntryRefuses(t *testing.T) {
	id, at := audit.NewID(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	entry := func(first byte, change func(*audit.Record)) []byte {
		rec := &audit.Record{Event: audit.Event{ID: id, Action: "a"}, RecordedAt: at}
		change(rec)
		return chain.AppendEncoding([]byte{first}, rec)
	}
	whole := func(*audit.Record) {}
	for name, bad := range map[string][]byte{
		"empty": nil, "of another version": []byte("x"), "is missing": {entryOwn},
		"begins with 0x11": append([]byte{0x11}, `{"id":"0196f1d4-5c7e-7000-8000-000000000001","action":"a","recorded_at":"2026-01-01T00:00:00Z"}`...),
		"begins with 0x22": entry(0x22, whole), "followed by": append(entry(entryOwn, whole), 0),
		"without id":        entry(entryForeign, func(r *audit.Record) { r.ID = audit.ID{} }),
		"id or recorded_at": entry(entryForeign, func(r *audit.Record) { r.RecordedAt = time.Time{} }),
		"a place":           entry(entryForeign, func(r *audit.Record) { r.Sequence = 1 }),
		"place in":          entry(entryForeign, func(r *audit.Record) { r.Segment = "s" }),
		"in a chain":        entry(entryForeign, func(r *audit.Record) { r.PrevHash = audit.Digest{1} }),
	} {
		if rec, err := DecodeEntry(bad); !errors.Is(err, audit.ErrInvalid) || rec != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %+v, %v", name, rec, err)
		}
	}
	rec, err := DecodeEntry(entry(entryOwn, whole))
	if err != nil || rec.ID != id || rec.Action != "a" || !rec.RecordedAt.Equal(at) {
		t.Errorf("%+v, %v", rec, err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(appendEntry(nil, &audit.Record{Event: audit.Event{ID: audit.NewID(), Action: "a"}, RecordedAt: time.Now().UTC()}, true))
	f.Fuzz(func(t *testing.T, entry []byte) {
		rec := new(audit.Record)
		own, err := decodeEntry(entry, rec)
		if err != nil {
			if diff := cmp.Diff(new(audit.Record), rec); diff != "" {
				t.Error(diff)
			}
			return
		}
		if again := appendEntry(nil, rec, own); !bytes.Equal(again, entry) {
			t.Errorf("%x is read, and written as %x", entry, again)
		}
	})
}
