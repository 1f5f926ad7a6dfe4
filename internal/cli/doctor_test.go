package cli

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/spool"
)

// deadLetters puts letters into the spool of the working folder.
func deadLetters(t *testing.T, letters map[string]string) {
	t.Helper()
	box, err := spool.OpenDeadLetters("annals-data/spool", nil)
	if err != nil {
		t.Fatal(err)
	}
	for id, entry := range letters {
		if err := box.Put(id, []byte(entry), "payload: has a number that the engine cannot hold", 3); err != nil {
			t.Fatal(err)
		}
	}
}

// letterOf is an entry of the spool: a byte for its version and an id of our
// making, then the canonical encoding.
func letterOf(id, action string) string {
	rec, err := audit.DecodeRecord([]byte(`{"id":"` + id + `","tenant":"acme","occurred_at":"2026-01-02T03:04:05Z","action":"` + action +
		`","operation":"read","actor":{"id":"alice"},"outcome":"success","kind":"event","recorded_at":"2026-01-02T03:04:06.000007Z","level":"all"}`))
	if err != nil {
		panic(err)
	}
	return string(chain.AppendEncoding([]byte{0x21}, rec))
}

const (
	firstID  = "0196f1d4-5c7e-7000-8000-000000000001"
	secondID = "0196f1d4-5c7e-7000-8000-000000000002"
)

func TestDoctorOnNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	out, errs, code := call(t, "", "doctor", "-o", "table")
	if code != exitOK || !strings.Contains(out, "not there yet") || !strings.Contains(out, "none yet") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	for _, args := range [][]string{{"list"}, {"replay", "--all"}} {
		if out, errs, code := call(t, "", append([]string{"doctor", "dead"}, args...)...); code != exitOK || out != "" {
			t.Errorf("%v: %d\n%s%s", args, code, out, errs)
		}
	}
	if _, err := os.Stat("annals-data"); err == nil {
		t.Error("whoever only looks has made something")
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, errs, code := call(t, "", "doctor", "--set", "audit.level=everything"); code != exitFailed || !strings.Contains(errs, "something is broken") {
		t.Errorf("settings: %d %s", code, errs)
	}
	if out, _, code := call(t, `{"action":"a.delete"}`, "record"); code != exitOK {
		t.Fatal(out)
	}
	deadLetters(t, map[string]string{firstID: letterOf(firstID, "user.get")})
	s, err := spool.Open("annals-data/spool", spool.Options{Logger: slog.New(slog.DiscardHandler), Store: "sqlite 1234"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), []byte(letterOf(secondID, "user.get"))); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitOK || !strings.Contains(out, `"spool","verdict":"ok","detail":"annals-data/spool: 1 events are being delivered by a running process"`) {
		t.Errorf("what a running process holds: %d %s", code, out)
	}
	if st := s.Stats(); st.Depth != 1 {
		t.Errorf("looking has changed it: %+v", st)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 { // looking changes nothing
		out, errs, code := call(t, "", "doctor")
		for _, want := range []string{
			`{"check":"settings","verdict":"ok"}`, `"store","verdict":"ok","detail":"sqlite annals-data/annals.db: answers in `,
			`"spool","verdict":"look"`, "1 events wait for 'annals serve'", "the spool is for sqlite 1234", `"dead letters","verdict":"look","detail":"1 (`,
		} {
			if code != exitOK || !strings.Contains(out, want) {
				t.Errorf("%d: %q is not in\n%s%s", code, want, out, errs)
			}
		}
	}
	segments, err := filepath.Glob("annals-data/spool/q-*/*.seg")
	if err != nil || len(segments) == 0 {
		t.Fatal(segments, err)
	}
	data, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	at := strings.Index(string(data), "user.get")
	data[at] ^= 1
	if err := os.WriteFile(segments[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, _, code := call(t, "", "doctor"); code != exitFailed || !strings.Contains(out, `"spool damage","verdict":"broken"`) || strings.Contains(out, "damaged bytes") {
			t.Errorf("damage: %d %s", code, out)
		}
	}
	// A start sets it aside, delivers the rest, and then it is only to be known.
	if s, err = spool.Open("annals-data/spool", spool.Options{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitOK || strings.Contains(out, `"spool damage"`) || !strings.Contains(out, `"damaged bytes","verdict":"look","detail":"1 files (`) {
		t.Errorf("damage set aside: %d %s", code, out)
	}
	if err := os.WriteFile("annals-data/annals.db", []byte("no database at all, and long enough to be seen as none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitFailed || !strings.Contains(out, `"store","verdict":"broken"`) {
		t.Errorf("store: %d %s", code, out)
	}
	if out, _, code := call(t, "", "doctor", "--set", "audit.enabled=false"); code != exitOK || !strings.Contains(out, "nothing is recorded") {
		t.Errorf("switched off: %d %s", code, out)
	}
}

func TestDoctorBesideAServerThatIsSlow(t *testing.T) {
	t.Chdir(t.TempDir())
	long := func() time.Time { return time.Now().Add(-time.Hour) }
	s, err := spool.Open("annals-data/spool", spool.Options{Logger: slog.New(slog.DiscardHandler), Now: long})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), []byte(letterOf(firstID, "user.get"))); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitOK || !strings.Contains(out, `"spool","verdict":"look"`) || !strings.Contains(out, "the oldest has waited for 1h0m") {
		t.Errorf("%d %s", code, out)
	}
	batch, err := s.Read(t.Context(), 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(batch.Token); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitOK || !strings.Contains(out, `"detail":"annals-data/spool: a running process has it"`) {
		t.Errorf("%d %s", code, out)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitOK || !strings.Contains(out, "annals-data/spool: nothing waits") {
		t.Errorf("%d %s", code, out)
	}
}

func TestDoctorSaysThatTheDeadLettersAreFull(t *testing.T) {
	t.Chdir(t.TempDir())
	deadLetters(t, map[string]string{"unreadable-eeee": "\x99\xff"})
	if out, _, code := call(t, "", "doctor", "dead", "show", "unreadable"); code != exitOK || !strings.Contains(out, `"entry":"hex 99ff"`) {
		t.Errorf("%d %s", code, out)
	}
	large, err := os.Create("annals-data/spool/dead/large.dead")
	if err == nil {
		err = errors.Join(large.Truncate(spool.DefaultMaxLetterBytes), large.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, _, code := call(t, "", "doctor"); code != exitFailed || !strings.Contains(out, `"dead letters","verdict":"broken"`) || !strings.Contains(out, "no room for more") {
		t.Errorf("%d %s", code, out)
	}
}

func TestDeadLettersAreListedShownReplayedAndDropped(t *testing.T) {
	t.Chdir(t.TempDir())
	deadLetters(t, map[string]string{
		firstID + "-aaaa":  letterOf(firstID, "user.get"),
		secondID + "-bbbb": letterOf(secondID, "user.list"),
		secondID + "-cccc": letterOf(secondID, "user.find"), // the same id with other content
		"unreadable-dddd":  "\x20 of another version \x1b[31m",
	})
	out, _, code := call(t, "", "doctor", "dead", "list", "-o", "table")
	if code != exitOK || strings.Count(out, "\n") != 5 || !strings.Contains(out, firstID+"-aaaa") || !strings.Contains(out, "user.list") || !strings.Contains(out, "has a number") {
		t.Errorf("%d\n%s", code, out)
	}
	out, _, code = call(t, "", "doctor", "dead", "show", firstID)
	var shown struct {
		ID       string
		Attempts int
		Record   struct{ Action string }
	}
	if err := json.Unmarshal([]byte(out), &shown); err != nil || code != exitOK || shown.ID != firstID+"-aaaa" || shown.Attempts != 3 || shown.Record.Action != "user.get" {
		t.Errorf("%d %v %+v", code, err, shown)
	}
	if out, _, code = call(t, "", "doctor", "dead", "show", "unreadable", "-o", "table"); code != exitOK || strings.Contains(out, "\x1b") || !strings.Contains(out, "of another version") {
		t.Errorf("%d %q", code, out)
	}
	for args, want := range map[string]int{
		"show " + secondID: exitUsage, "show nothing": exitFailed, "drop nothing": exitFailed, "drop": exitUsage,
		"replay": exitUsage, "replay x --all": exitUsage, "replay nothing": exitFailed, "list --server http://127.0.0.1:1": exitUsage,
	} {
		if out, errs, code := call(t, "", append([]string{"doctor", "dead"}, strings.Fields(args)...)...); code != want || out != "" || errs == "" {
			t.Errorf("%s: %d, want %d: %s%s", args, code, want, out, errs)
		}
	}
	// The policy has had its say: a read is restored although reads are not recorded.
	if out, errs, code := call(t, "", "doctor", "dead", "replay", firstID); code != exitOK || out != `{"id":"`+firstID+`-aaaa","status":"recorded"}`+"\n" {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if out, _, code := call(t, "", "get", firstID); code != exitOK || !strings.Contains(out, `"recorded_at":"2026-01-02T03:04:06.000007Z"`) {
		t.Errorf("%d %s", code, out)
	}
	// Put back, it is a duplicate, which is as good; of two contents one stays.
	deadLetters(t, map[string]string{firstID + "-aaaa": letterOf(firstID, "user.get")})
	out, errs, code := call(t, "", "doctor", "dead", "replay", "--all")
	if code != exitFailed || strings.Count(out, `"status":"duplicate"`) != 1 || strings.Count(out, `"status":"recorded"`) != 1 ||
		strings.Count(out, `"status":"rejected"`) != 2 || !strings.Contains(errs, "2 of 4 dead letters stay") {
		t.Errorf("%d %s%s", code, out, errs)
	}
	if _, errs, code := call(t, "", "doctor", "dead", "drop", secondID); code != exitOK || !strings.Contains(errs, "dropped "+secondID) {
		t.Errorf("%d %s", code, errs)
	}
	if out, _, code := call(t, "", "doctor", "dead", "list"); code != exitOK || strings.Count(out, "\n") != 1 || !strings.Contains(out, "unreadable-dddd") {
		t.Errorf("%d %s", code, out)
	}
	if out, _, code := call(t, "", "verify", "--tenant", "acme"); code != exitOK {
		t.Errorf("%d %s", code, out)
	}
}
