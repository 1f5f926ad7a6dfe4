package retention

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/annals-dev/annals/audit"
)

// Limits of legal holds. Together they have at most audit.MaxKeptValue bytes,
// about 250 each where there are as many as may be.
const (
	MaxHolds      = 1000
	MaxHoldParams = 2048 // bytes
	MaxHoldReason = 512  // bytes; CreatedBy too
)

// Hold is a legal hold: no record that it selects is deleted, neither because
// it has expired nor because of the ceiling, until the hold is removed.
type Hold struct {
	// ID is a UUID; an empty one lets AddHold choose. Adding a hold again under
	// its id, with the same content, changes nothing.
	ID        string    `json:"id" doc:"id of the hold, a UUID"`
	Reason    string    `json:"reason" doc:"why, for people"`
	CreatedAt time.Time `json:"created_at" doc:"when it was added"`
	CreatedBy string    `json:"created_by,omitempty" doc:"who added it"`
	// Params are filters and a window as in a question to the API, e.g.
	// tenant=acme&from=2026-01-01: no full text, open, order, limit or cursor.
	Params string `json:"params" doc:"what is held: filters and a window as URL parameters, e.g. tenant=acme&from=2026-01-01"`
}

// Query gives the records that are held. An error names the parameter.
func (h *Hold) Query() (*audit.Query, error) { return audit.ParseHold(h.Params) }

// saveAttempts is how often a change is tried against others at the same time.
const saveAttempts = 100

// Holds gives the legal holds in force, oldest first.
func (l *Loop) Holds(ctx context.Context) ([]Hold, error) {
	holds, _, err := l.loadHolds(ctx)
	return holds, err
}

// AddHold adds a legal hold and gives it with its id and time. When it returns,
// every deletion heeds the hold: it waits for a batch under way, also that of
// another process, and until an engine that deletes by itself has left the
// records alone ([audit.Holder]; on DynamoDB that takes half a minute and more).
// ErrTooLarge: there is no room for another. Where the wait ends in an error the
// hold is in force all the same, but for that batch, and for the engine's own
// deletion from the next run on.
func (l *Loop) AddHold(ctx context.Context, h Hold) (Hold, error) {
	h, err := l.prepare(h)
	if err != nil {
		return Hold{}, err
	}
	err = l.changeHolds(ctx, func(holds []Hold) ([]Hold, error) {
		if i := slices.IndexFunc(holds, func(o Hold) bool { return o.ID == h.ID }); i >= 0 {
			if o := holds[i]; o.Reason != h.Reason || o.CreatedBy != h.CreatedBy || o.Params != h.Params {
				return nil, &audit.Error{Code: audit.CodeConflict, Field: "id", Message: "is taken by another hold"}
			}
			h = holds[i]
			return nil, nil
		}
		if len(holds) >= MaxHolds {
			return nil, &audit.Error{Code: audit.CodeTooLarge, Message: "there are 1000 holds already: join some of them, or remove those that are over"}
		}
		return append(holds, h), nil
	})
	if err != nil {
		return Hold{}, err
	}
	if err := l.applyHolds(ctx); err != nil {
		return h, err
	}
	return h, settle(ctx, l.keeper, l.opt.Now)
}

// applyHolds tells an engine that deletes by itself what is held.
func (l *Loop) applyHolds(ctx context.Context) error {
	if l.opt.Holder == nil {
		return nil
	}
	return l.opt.Holder.ApplyHolds(ctx)
}

// RemoveHold ends a legal hold and gives it back, or ErrNotFound. An engine that
// deletes by itself learns of it with the next run.
func (l *Loop) RemoveHold(ctx context.Context, id string) (removed Hold, err error) {
	err = l.changeHolds(ctx, func(holds []Hold) ([]Hold, error) {
		i := slices.IndexFunc(holds, func(o Hold) bool { return o.ID == id })
		if i < 0 {
			return nil, &audit.Error{Code: audit.CodeNotFound, Field: "id", Message: "there is no hold with this id"}
		}
		removed = holds[i]
		return slices.Delete(holds, i, i+1), nil
	})
	return removed, err
}

// prepare checks a hold and brings it into the one form in which it is kept.
func (l *Loop) prepare(h Hold) (Hold, error) {
	h.Reason, h.CreatedBy = strings.TrimSpace(h.Reason), strings.TrimSpace(h.CreatedBy)
	if h.Reason == "" {
		return h, audit.Invalid("reason", "is empty")
	}
	for _, t := range [...]struct{ field, text string }{{"reason", h.Reason}, {"created_by", h.CreatedBy}} {
		if len(t.text) > MaxHoldReason || !utf8.ValidString(t.text) || strings.ContainsRune(t.text, 0) {
			return h, audit.Invalid(t.field, "is longer than %d bytes, has a NUL or is not valid UTF-8", MaxHoldReason)
		}
	}
	q, err := h.Query()
	if err != nil {
		return h, err
	}
	if h.Params = q.Params().Encode(); len(h.Params) > MaxHoldParams {
		return h, audit.Invalid("params", "has %d bytes, at most %d", len(h.Params), MaxHoldParams)
	}
	id := audit.NewID()
	if h.ID != "" {
		if id, err = audit.ParseID(h.ID); err != nil {
			return h, audit.Invalid("id", "is not a UUID")
		}
	}
	h.ID, h.CreatedAt = id.String(), audit.FromMicros(l.opt.Now().UnixMicro())
	return h, nil
}

// changeHolds replaces the list by what change makes of it; nil leaves it.
func (l *Loop) changeHolds(ctx context.Context, change func([]Hold) ([]Hold, error)) error {
	if l.keeper == nil {
		return audit.Unsupported("the engine keeps no documents beside the records, and so no legal holds")
	}
	for range saveAttempts {
		holds, version, err := l.loadHolds(ctx)
		if err != nil {
			return err
		}
		if holds, err = change(holds); err != nil || holds == nil {
			return err
		}
		doc, err := json.Marshal(holds)
		if err != nil {
			return &audit.Error{Code: audit.CodeInternal, Message: "the holds cannot be written", Cause: err}
		}
		if len(doc) > audit.MaxKeptValue {
			return &audit.Error{Code: audit.CodeTooLarge, Message: "the holds have more than 256 KiB together: join some of them, or remove those that are over"}
		}
		if err = l.keeper.Save(ctx, audit.HoldsKey, doc, version); !errors.Is(err, audit.ErrConflict) {
			return err
		}
	}
	return audit.Unavailable("the holds are being changed by many others", audit.ErrMoved)
}

// loadHolds gives the holds in force. A list that cannot be read is an error:
// nothing may be deleted then.
func (l *Loop) loadHolds(ctx context.Context) ([]Hold, int64, error) {
	holds := []Hold{}
	if l.keeper == nil {
		return holds, 0, nil
	}
	doc, version, err := l.keeper.Load(ctx, audit.HoldsKey)
	switch {
	case errors.Is(err, audit.ErrNotFound):
		return holds, 0, nil
	case err != nil:
		return nil, 0, err
	}
	if err := json.Unmarshal(doc, &holds); err != nil {
		return nil, 0, &audit.Error{Code: audit.CodeInternal, Message: "the legal holds in the store cannot be read: nothing is deleted", Cause: err}
	}
	return holds, version, nil
}

// held gives the questions of the holds in force. A list that cannot be read is
// an error: nothing may be deleted then.
func (l *Loop) held(ctx context.Context) ([]*audit.Query, error) {
	if l.keeper == nil {
		return nil, nil
	}
	doc, _, err := l.keeper.Load(ctx, audit.HoldsKey)
	if errors.Is(err, audit.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return audit.ParseHolds(doc)
}
