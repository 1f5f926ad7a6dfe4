package recorder

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// fullLetters opens dead letters that hold two.
func fullLetters(t *testing.T, dir string) *spool.DeadLetters {
	t.Helper()
	d, err := spool.OpenBoundedDeadLetters(dir, spool.DeadLetterOptions{MaxLetters: 2})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// What finds no room among the dead letters is counted as dropped, and named;
// the account stays exact, and nothing waits for room that nobody makes.
func TestFullDeadLettersLoseNothingSilently(t *testing.T) {
	for _, durability := range []Durability{Memory, Spool} {
		t.Run(string(durability), func(t *testing.T) {
			dir := t.TempDir()
			withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
				var log bytes.Buffer
				s := store{each: refuseOdd}
				letters := fullLetters(t, dir)
				r := start(t, s.Append, Options{
					Durability: durability, Spool: sp, DeadLetters: letters, Chained: true, Logger: slog.New(slog.NewTextHandler(&log, nil)),
				})
				refused := map[string]bool{}
				for i := range 10 {
					receipt := mustRecord(t, r, event(i), audit.StatusQueued)
					if i%2 == 1 {
						refused[receipt.ID.String()] = true
					}
				}
				if err := r.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if st := r.Stats(); st.Queued != 0 || st.Lost != 3 || sp.Stats().Depth != 0 {
					t.Errorf("%+v, %d in the spool", st, sp.Stats().Depth)
				}
				if diff := cmp.Diff(Account{Offered: 10, Stored: 5, Failed: 2, SetAside: 2, Dropped: 3, Lost: 3}, mustClose(t, r)); diff != "" {
					t.Error(diff)
				}
				if gaps := gapsIn(t, &s); gaps["acme/dropped"] != 3 || gaps["acme/failed"] != 2 {
					t.Errorf("the gap records say %v", gaps)
				}
				list, err := letters.List()
				if err != nil || len(list) != 2 {
					t.Fatalf("%+v, %v", list, err)
				}
				for _, l := range list {
					id := l.ID[:36]
					if !refused[id] {
						t.Errorf("%s is a dead letter", id)
					}
					delete(refused, id)
				}
				var lines []string
				for line := range strings.Lines(log.String()) {
					if strings.Contains(line, "are lost") {
						lines = append(lines, line)
					}
				}
				said := strings.Join(lines, "")
				for id := range refused {
					if strings.Count(said, id) != 1 || !strings.Contains(said, "has a number") {
						t.Errorf("%s is not named once with its reason: %s", id, said)
					}
				}
			})
		})
	}
}

func TestFullDeadLettersAndUnreadableEntries(t *testing.T) {
	dir := t.TempDir()
	withSpool(t, spool.Options{}, func(t *testing.T, sp *spool.Spool) {
		var log bytes.Buffer
		for i := range 5 {
			if err := sp.Append(t.Context(), fmt.Appendf(nil, "no entry %d", i)); err != nil {
				t.Fatal(err)
			}
		}
		var s store
		r := start(t, s.Append, Options{Spool: sp, DeadLetters: fullLetters(t, dir), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if diff := cmp.Diff(Account{Recovered: 5, Failed: 2, SetAside: 2, Dropped: 3, Lost: 3}, mustClose(t, r)); diff != "" {
			t.Error(diff)
		}
		if n := strings.Count(log.String(), "unreadable-"); n != 3 || sp.Stats().Depth != 0 {
			t.Errorf("%d are named, %d in the spool: %s", n, sp.Stats().Depth, log.String())
		}
	})
}

// However many are lost, there is a line an interval, and it does not grow without end.
func TestLostLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLostLog(slog.New(slog.NewTextHandler(&log, nil)))
		l.note("first", audit.Invalid("payload", "is wrong"))
		for i := range 2 * maxLostIDs {
			l.note(fmt.Sprintf("id-%d-", i), audit.Invalid("payload", "is wrong"))
		}
		if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "first") {
			t.Errorf("%d lines: %s", lines, log.String())
		}
		time.Sleep(logInterval)
		log.Reset()
		l.tick(time.Now())
		if out := log.String(); strings.Count(out, "\n") != 1 || strings.Count(out, "id-") != maxLostIDs || !strings.Contains(out, fmt.Sprintf("records=%d", 2*maxLostIDs)) {
			t.Error(out)
		}
		log.Reset()
		l.write()
		if log.Len() != 0 {
			t.Errorf("said twice: %s", log.String())
		}
	})
}
