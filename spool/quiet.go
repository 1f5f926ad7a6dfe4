package spool

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quietFor is how long after a line of a kind the next one is held back.
const quietFor = 10 * time.Second

// quiet lets one line of a kind through in an interval, with the number of
// those that it held back since.
type quiet struct {
	logger *slog.Logger
	now    func() time.Time

	mu    sync.Mutex
	kinds map[string]*heldBack
}

type heldBack struct {
	since time.Time
	n     int
}

func (q *quiet) log(level slog.Level, message string, args ...any) {
	now := q.now()
	q.mu.Lock()
	k := q.kinds[message]
	if k == nil {
		if q.kinds == nil {
			q.kinds = map[string]*heldBack{}
		}
		k = &heldBack{}
		q.kinds[message] = k
	} else if d := now.Sub(k.since); d >= 0 && d < quietFor {
		k.n++
		q.mu.Unlock()
		return
	}
	held := k.n
	*k = heldBack{since: now}
	q.mu.Unlock()
	if held > 0 {
		args = append(args, "held_back", held)
	}
	q.logger.Log(context.Background(), level, message, args...)
}
