package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"

	"github.com/annals-dev/annals/audit"
)

// holdsKey names the document in which package retention keeps the legal holds.
const holdsKey = "retention.holds"

// legalHolds gives the legal holds in force, for those deletions that nobody
// gives them to. Holds that cannot be read are an error: nothing is deleted then.
func (s *Store) legalHolds(ctx context.Context) ([]*audit.Query, error) {
	doc, _, err := s.Load(ctx, holdsKey)
	if errors.Is(err, audit.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []struct {
		ID     string `json:"id"`
		Params string `json:"params"`
	}
	unreadable := func(what string, cause error) error {
		return &audit.Error{Code: audit.CodeInternal, Message: what + " cannot be read: nothing is deleted", Cause: cause}
	}
	if err := json.Unmarshal(doc, &list); err != nil {
		return nil, unreadable("the legal holds in the store", err)
	}
	out := make([]*audit.Query, len(list))
	for i, h := range list {
		v, err := url.ParseQuery(h.Params)
		if err == nil && len(v) == 0 {
			err = audit.Invalid("params", "is empty")
		}
		if err == nil {
			out[i], _, err = audit.ParseParams(v)
		}
		if err == nil {
			out[i], err = out[i].Validate()
		}
		if err != nil {
			return nil, unreadable("the legal hold "+h.ID, err)
		}
	}
	return out, nil
}
