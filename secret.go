package annals

import (
	"context"
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// secretKey names the document that holds the secret of the cursors.
const secretKey = "cursor.secret"

// secretTime is how long the store may take to give the secret.
const secretTime = 10 * time.Second

// secret is the key that seals cursors: one for every process that opens the
// same data, so that cursors survive a restart and a change of replica. An
// engine that keeps no documents, or that may not be written, has one a process.
type secret struct {
	store audit.Store
	mu    sync.Mutex
	key   []byte // nil until it was needed; an error is not remembered
}

func (s *secret) get() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key != nil {
		return s.key, nil
	}
	key, err := loadSecret(s.store)
	if err == nil {
		s.key = key
	}
	return key, err
}

// loadSecret gives the secret in the store, which it makes where there is none.
// Of several processes that start together one makes it.
func loadSecret(store audit.Store) ([]byte, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	keeper, ok := audit.As[audit.Keeper](store)
	if !ok {
		return fresh, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), secretTime)
	defer cancel()
	for attempt := 0; ; attempt++ {
		key, _, err := keeper.Load(ctx, secretKey)
		switch {
		case err == nil && len(key) != len(fresh):
			return nil, &audit.Error{Code: audit.CodeInternal, Message: "the secret in the store was changed"}
		case err == nil || !errors.Is(err, audit.ErrNotFound):
			return key, err
		}
		switch err := keeper.Save(ctx, secretKey, fresh, 0); {
		case err == nil || errors.Is(err, audit.ErrUnsupported):
			return fresh, nil
		case attempt > 0 || !errors.Is(err, audit.ErrConflict):
			return nil, err
		}
	}
}
