package recorder

import (
	"math/rand/v2"
	"time"
)

const (
	backoffBase = 100 * time.Millisecond
	backoffCap  = 30 * time.Second
	// backoffWaited is the cap while somebody waits for the store: they would
	// rather find it back a second late than half a minute.
	backoffWaited = time.Second
)

// backoff gives the pause after the n-th failure in a row, n from 1:
// exponential, with full jitter so that many recorders do not return at once.
func backoff(n int, limit time.Duration) time.Duration {
	d := limit
	if n < 20 {
		d = min(limit, backoffBase<<(n-1))
	}
	return rand.N(d) + 1
}
