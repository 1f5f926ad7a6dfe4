package copying

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/annals-dev/annals/audit"
)

// copyHolds adds the source's legal holds to those of the target, before any
// record is there that they protect: an engine that deletes by itself would
// otherwise mark it for that.
func (c *copier) copyHolds(ctx context.Context) error {
	from, ok := audit.As[audit.Keeper](c.src)
	if !ok {
		return nil
	}
	doc, _, err := from.Load(ctx, audit.HoldsKey)
	if errors.Is(err, audit.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	holds, err := readHolds(doc)
	if err != nil || len(holds) == 0 {
		return err
	}
	c.step(StepHolds, int64(len(holds)))
	to, ok := audit.As[audit.Keeper](c.dst)
	if !ok {
		return audit.Unsupported("the source has legal holds, and the target's engine cannot keep any")
	}
	for {
		added, err := addHolds(ctx, to, holds)
		if errors.Is(err, audit.ErrConflict) {
			continue // somebody else changed them meanwhile
		}
		if err != nil {
			return err
		}
		c.report.Holds = added
		break
	}
	c.tell(int64(len(holds)))
	if holder, ok := audit.As[audit.Holder](c.dst); ok {
		return holder.ApplyHolds(ctx)
	}
	return nil
}

// addHolds saves the target's holds with those that it lacks.
func addHolds(ctx context.Context, to audit.Keeper, holds []json.RawMessage) (added int, err error) {
	doc, version, err := to.Load(ctx, audit.HoldsKey)
	var have []json.RawMessage
	switch {
	case err == nil:
		if have, err = readHolds(doc); err != nil {
			return 0, err
		}
	case !errors.Is(err, audit.ErrNotFound):
		return 0, err
	}
	known := map[string]bool{}
	for _, h := range have {
		known[idOf(h)] = true
	}
	for _, h := range holds {
		if !known[idOf(h)] {
			have = append(have, h)
			added++
		}
	}
	if added == 0 {
		return 0, nil
	}
	if doc, err = json.Marshal(have); err != nil {
		return 0, &audit.Error{Code: audit.CodeInternal, Message: "the legal holds cannot be written", Cause: err}
	}
	return added, to.Save(ctx, audit.HoldsKey, doc, version)
}

// readHolds gives the holds of a document as they stand in it, so that nothing
// of them is lost that only retention knows.
func readHolds(doc []byte) (holds []json.RawMessage, err error) {
	if _, err := audit.ParseHolds(doc); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(doc, &holds); err != nil {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the legal holds cannot be read", Cause: err}
	}
	return holds, nil
}

func idOf(hold json.RawMessage) string {
	var h struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(hold, &h) // it was read before
	return h.ID
}
