package cloudtrail

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
)

// One hour of a real account. The files are kept beside the repository, never in it.
func TestRealFiles(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/cloudtrail/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("no ../shared/data/cloudtrail beside the repository: nothing real to read")
	}
	ids := map[audit.ID]bool{}
	counts := map[string]int{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		err = Read(f, Options{}, func(n int, ev *audit.Event, err error) error {
			if err != nil {
				t.Errorf("%s, record %d: %v", filepath.Base(name), n, err)
				return nil
			}
			before := bytes.Clone(ev.Payload)
			rec := &audit.Record{Event: *ev}
			if err := audit.Normalize(rec, time.Now()); err != nil {
				t.Errorf("%s, record %d: %v", filepath.Base(name), n, err)
			}
			if !bytes.Equal(before, rec.Payload) {
				t.Errorf("%s, record %d: the door changes the payload", filepath.Base(name), n)
			}
			ids[ev.ID] = true
			for _, word := range []string{
				string(ev.Operation), string(ev.Outcome), "actor " + ev.Actor.Type, "tenant " + ev.Tenant, "of " + ev.Source.Provider,
			} {
				counts[word]++
			}
			for what, value := range map[string]string{
				"id": ev.ID.String(), "actor.id": ev.Actor.ID, "actor.name": ev.Actor.Name, "actor.ip": ev.Actor.IP, "actor.user_agent": ev.Actor.UserAgent,
				"request.id": ev.Request.ID, "resource": ev.Resource.ID,
			} {
				if value != "" {
					counts["with "+what]++
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
		_ = f.Close() // only read from
	}
	if len(ids) != 2900 {
		t.Errorf("%d different ids, want 2,900", len(ids))
	}
	for word, want := range map[string]int{
		"of aws": 2900, "with id": 2900, "with actor.id": 2900, "with actor.name": 2900, "with actor.ip": 2900, "with request.id": 2895,
		"success": 2600, "denied": 60, "failure": 240, "actor user": 2748, "actor role": 76, "actor service": 76,
	} {
		if counts[word] != want {
			t.Errorf("%s: %d, want %d", word, counts[word], want)
		}
	}
	t.Log(counts)
}
