package recorder

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/policy"
	"github.com/annals-dev/annals/redact"
)

func TestRecordIsStamped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s store
		now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
		r := start(t, s.Append, Options{TTL: time.Hour, DropPayload: true, Now: func() time.Time { return now }})
		ev := event(1)
		ev.Payload = []byte(`not json, and dropped before anybody looks`)
		own := event(2)
		own.ExpiresAt = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		own.ExternalID = "order-1"
		receipt := mustRecord(t, r, ev, audit.StatusQueued)
		receipt2 := mustRecord(t, r, own, audit.StatusQueued)
		mustClose(t, r)

		at := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC)
		got := s.order[0]
		if !got.RecordedAt.Equal(at) || !got.OccurredAt.Equal(at) || !got.ExpiresAt.Equal(at.Add(time.Hour)) ||
			got.Level != "writes_only" || got.Payload != nil || got.Kind != audit.KindEvent || got.ID != receipt.ID {
			t.Errorf("stored %+v", got)
		}
		if ev.ID != (audit.ID{}) || ev.Payload == nil || !ev.OccurredAt.IsZero() {
			t.Error("the caller's event was changed")
		}
		want, _, _ := audit.IDFrom("order-1")
		if got := s.order[1]; !got.ExpiresAt.Equal(own.ExpiresAt) || got.ID != want || receipt2.ID != want {
			t.Errorf("stored %+v", got)
		}
	})
}

func TestRedactionComesBeforeTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		red, err := redact.New(redact.Config{Enabled: true, Fields: []string{"password"}})
		if err != nil {
			t.Fatal(err)
		}
		var s store
		r := start(t, s.Append, Options{Redactor: red})
		ev := event(1)
		ev.Payload = []byte(`{"password":"hunter2"}`)
		mustRecord(t, r, ev, audit.StatusQueued)
		r.queue.mu.Lock()
		waiting := string(r.queue.waiting.front().rec.Payload)
		r.queue.mu.Unlock()
		mustClose(t, r)
		if strings.Contains(waiting, "hunter2") || waiting != string(s.order[0].Payload) {
			t.Errorf("the queue held %s", waiting)
		}
	})
}

func TestBadEventsAreRefusedByField(t *testing.T) {
	var s store
	r := start(t, s.Append, Options{MaxRecord: 1000})
	for _, c := range []struct {
		ev    *audit.Event
		code  error
		field string
	}{
		{nil, audit.ErrInvalid, "event"},
		{&audit.Event{Operation: audit.Create}, audit.ErrInvalid, "action"},
		{&audit.Event{Action: "a.create", Payload: []byte(`{`)}, audit.ErrInvalid, "payload"},
		{&audit.Event{Action: "a.create", Tenant: strings.Repeat("t", 200)}, audit.ErrInvalid, "tenant"},
		{&audit.Event{Action: "a.create", Error: strings.Repeat("e", 2000)}, audit.ErrTooLarge, ""},
	} {
		receipt, err := r.Record(t.Context(), c.ev)
		var e *audit.Error
		if !errors.As(err, &e) || !errors.Is(err, c.code) || e.Field != c.field || receipt.Status != audit.StatusRejected || receipt.Reason != string(e.Code) {
			t.Errorf("%+v: %+v, %v", c.ev, receipt, err)
		}
	}
	batch := r.RecordBatch(t.Context(), []*audit.Event{event(1), nil, {Action: "x.create", Metadata: []byte(`[]`)}, read(2), event(3)}, "")
	var statuses []audit.Status
	for _, receipt := range batch {
		statuses = append(statuses, receipt.Status)
	}
	if diff := cmp.Diff([]audit.Status{"queued", "rejected", "rejected", "filtered", "queued"}, statuses); diff != "" {
		t.Error(diff)
	}
	a := mustClose(t, r)
	if diff := cmp.Diff(Account{Offered: 10, Rejected: 7, Filtered: 1, Stored: 2}, a); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"1", "3"}, s.actions()); diff != "" {
		t.Error(diff)
	}
}

func TestFilteredEventsAreCountedByReason(t *testing.T) {
	var s store
	none := 0.0
	r := start(t, s.Append, Options{Policy: mustPolicy(t, policy.Config{ExcludeActions: []string{"tool.create"}, SampleRate: &none})})
	mustRecord(t, r, read(1), audit.StatusFiltered)
	if got := mustRecord(t, r, event(2), audit.StatusFiltered).Reason; got != "excluded_action" {
		t.Errorf("reason is %q", got)
	}
	sampled := event(3)
	sampled.Action = "tool.update"
	mustRecord(t, r, sampled, audit.StatusFiltered)
	sampled.ExternalID = "x-1"
	mustRecord(t, r, sampled, audit.StatusFiltered)
	want := [policy.NumReasons]int64{policy.ByLevel: 1, policy.ByAction: 1, policy.BySampling: 2}
	if got := r.Stats().FilteredBy; got != want {
		t.Errorf("filtered by %v, want %v", got, want)
	}
	if a := mustClose(t, r); a.Filtered != 4 || a.Offered != 4 {
		t.Errorf("account %+v", a)
	}
}

// The id that sampling decided on must be the id of the record, or nobody could
// predict what is kept.
func TestSampledIDIsTheRecordsID(t *testing.T) {
	var s store
	half := 0.5
	pol := mustPolicy(t, policy.Config{SampleRate: &half})
	r := start(t, s.Append, Options{Policy: pol})
	kept := 0
	for i := range 200 {
		ev := event(i)
		if i%2 == 0 {
			ev.ExternalID = fmt.Sprintf("ext-%d", i)
		}
		if receipt, _ := r.Record(t.Context(), ev); receipt.Status == audit.StatusQueued {
			kept++
		}
	}
	mustClose(t, r)
	if kept == 0 || kept == 200 {
		t.Fatalf("kept %d", kept)
	}
	for _, rec := range s.order {
		if pol.Decide(&rec.Event) != policy.Recorded {
			t.Errorf("the stored record %s would not be sampled", rec.ID)
		}
	}
}

func TestDurabilityOfABatch(t *testing.T) {
	var s store
	r := start(t, s.Append, Options{})
	for durability, code := range map[Durability]error{Spool: audit.ErrUnsupported, "disk": audit.ErrInvalid} {
		got := r.RecordBatch(t.Context(), []*audit.Event{event(1), read(2)}, durability)
		for _, receipt := range got {
			if receipt.Status != audit.StatusRejected || !errors.Is(receipt.Err, code) {
				t.Errorf("%s: %+v", durability, receipt)
			}
		}
	}
	if got := r.RecordBatch(t.Context(), nil, Sync); len(got) != 0 {
		t.Error(got)
	}
	if a := mustClose(t, r); a.Rejected != 4 || a.Offered != 4 {
		t.Errorf("account %+v", a)
	}
}

func TestSizeCountsEveryText(t *testing.T) {
	var empty, full audit.Record
	want := 0
	for _, f := range audit.Fields() {
		switch f.Kind {
		case audit.Text:
			f.SetText(&full, "0123456")
			want += 7
		case audit.Document:
			f.SetBytes(&full, []byte(`"0123456789"`))
			want += 12
		}
	}
	if got := int(sizeOf(&full) - sizeOf(&empty)); got != want {
		t.Errorf("the size of %s grows by %d, want %d", reflect.TypeOf(full), got, want)
	}
}

func TestAsyncCostsFewAllocations(t *testing.T) {
	r := start(t, discard, Options{Chained: true})
	defer r.Close(context.Background())
	ctx := context.Background()
	ev, filtered := typicalEvent(), readEvent()
	if n := testing.AllocsPerRun(2000, func() { r.Record(ctx, ev) }); n > 3 {
		t.Errorf("an asynchronous record costs %v allocations", n)
	}
	if n := testing.AllocsPerRun(2000, func() { r.Record(ctx, filtered) }); n > 0 {
		t.Errorf("a filtered event costs %v allocations", n)
	}
}
