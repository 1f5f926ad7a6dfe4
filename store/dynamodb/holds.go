package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// holdsRefresh is how long a writer may go on with the holds that it has read.
const holdsRefresh = 5 * time.Second

// holds is what this process knows of the legal holds.
type holds struct {
	mu   sync.Mutex
	read time.Time // when it began to read them
	list []*audit.Query
}

// keptHolds is the document of the holds.
type keptHolds struct {
	// Params are the holds in force, as URL parameters.
	Params []string `json:"params"`
	// Ended are holds that were in force and are not any more, and whose records
	// may still lack the time at which they are to be deleted.
	Ended []string `json:"ended,omitempty"`
	// Applied is set when every record in the table agrees with Params.
	Applied bool `json:"applied"`
}

// holdsInForce gives the holds that a write has to heed. They are at most
// [holdsRefresh] old.
func (s *Store) holdsInForce(ctx context.Context) ([]*audit.Query, error) {
	if s.opt.Sweep {
		return nil, nil
	}
	s.holds.mu.Lock()
	defer s.holds.mu.Unlock()
	if !s.holds.read.IsZero() && time.Since(s.holds.read) < s.opt.refresh {
		return s.holds.list, nil
	}
	began := time.Now()
	kept, _, err := s.loadHolds(ctx)
	if err != nil {
		return nil, err
	}
	list, err := questions(kept.Params)
	if err != nil {
		return nil, err
	}
	s.holds.read, s.holds.list = began, list
	return list, nil
}

func (s *Store) loadHolds(ctx context.Context) (keptHolds, int64, error) {
	var kept keptHolds
	doc, version, err := s.load(ctx, ownKey(kindHolds, ""))
	if errors.Is(err, audit.ErrNotFound) {
		return keptHolds{Applied: true}, 0, nil
	}
	if err != nil {
		return keptHolds{}, 0, err
	}
	if err := json.Unmarshal(doc, &kept); err != nil {
		return keptHolds{}, 0, &audit.Error{Code: audit.CodeInternal, Message: s.name() + ": its legal holds cannot be read", Cause: err}
	}
	return kept, version, nil
}

// questions reads holds that were written as URL parameters.
func questions(params []string) ([]*audit.Query, error) {
	out := make([]*audit.Query, 0, len(params))
	for _, p := range params {
		q, err := audit.ParseHold(p)
		if err != nil {
			return nil, &audit.Error{Code: audit.CodeInternal, Message: "a legal hold cannot be read", Cause: err}
		}
		out = append(out, q)
	}
	return out, nil
}
