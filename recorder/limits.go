package recorder

import (
	"context"
	"sync/atomic"
	"time"
)

// limits gives contexts that end after a timeout. Calls that begin at about the
// same time share one, as a context and its timer cost as much as some of the
// steps that they would bound: a call has up to a twentieth more than its timeout.
type limits struct{ now atomic.Pointer[limit] }

type limit struct {
	ctx  context.Context
	from time.Time
	end  context.CancelFunc
}

func (l *limits) get(timeout time.Duration) context.Context {
	slack := timeout / 20
	at := time.Now()
	if c := l.now.Load(); c != nil && at.Sub(c.from) < slack {
		return c.ctx
	}
	fresh := &limit{from: at}
	fresh.ctx, fresh.end = context.WithTimeout(context.Background(), timeout+slack)
	l.now.Store(fresh)
	return fresh.ctx
}
