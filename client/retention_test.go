package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/retention"
)

func TestRetention(t *testing.T) {
	c, trail, _ := rig(t, nil)
	fill(t, trail, 20)
	ctx := context.Background()
	if _, err := trail.Cleanup(ctx, audit.Cut{ExpiredAt: time.Now()}, 0); err != nil { // nothing has expired
		t.Fatal(err)
	}
	h, err := c.AddHold(ctx, retention.Hold{Reason: "case 7", CreatedBy: "legal", Params: "tenant=acme"})
	if err != nil || h.ID == "" || h.CreatedAt.IsZero() {
		t.Fatalf("%+v, %v", h, err)
	}
	if again, err := c.AddHold(ctx, h); err != nil || again != h {
		t.Errorf("the same hold again: %+v, %v", again, err)
	}
	want, err := trail.Retention(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Retention(ctx)
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(got.Holds) != 1 {
		t.Errorf("%v\n%s", err, diff)
	}
	if plan, err := c.RetentionPlan(ctx); err != nil || plan.Holds != 1 || plan.Deleted != 0 {
		t.Errorf("%+v, %v", plan, err)
	}
	run, err := c.RetentionRun(ctx)
	if err != nil || run.Deleted != 0 || run.Ended.IsZero() {
		t.Errorf("%+v, %v", run, err)
	}
	if s := trail.RetentionState(); s.Runs != 1 {
		t.Errorf("%+v", s)
	}
	if removed, err := c.RemoveHold(ctx, h.ID); err != nil || removed != h {
		t.Errorf("%+v, %v", removed, err)
	}
	for name, c := range map[string]struct {
		call  func() error
		code  audit.Code
		field string
	}{
		"a hold that is gone": {func() error { _, err := c.RemoveHold(ctx, h.ID); return err }, audit.CodeNotFound, "id"},
		"an id of dots":       {func() error { _, err := c.RemoveHold(ctx, ".."); return err }, audit.CodeNotFound, ""},
		"no id":               {func() error { _, err := c.RemoveHold(ctx, ""); return err }, audit.CodeInvalid, "id"},
		"a bad hold":          {func() error { _, err := c.AddHold(ctx, retention.Hold{Reason: "x", Params: "q=x"}); return err }, audit.CodeInvalid, "params"},
	} {
		var e *audit.Error
		if err := c.call(); !errors.As(err, &e) || e.Code != c.code || c.field != "" && e.Field != c.field {
			t.Errorf("%s: %v", name, err)
		}
	}
}
