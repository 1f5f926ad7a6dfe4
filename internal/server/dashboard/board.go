package dashboard

import (
	"context"
	"errors"
	"net/http"

	"github.com/annals-dev/annals/audit"
)

// boardWidth is how many questions of one page the store is asked at a time.
const boardWidth = 4

// board asks the questions of one page side by side, each under the time limit
// of the whole. One that fails says so in its own place.
type board struct {
	d      *dash
	r      *http.Request
	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
}

func (d *dash) board(r *http.Request) *board {
	ctx, cancel := context.WithTimeout(r.Context(), d.opt.StatTimeout)
	return &board{d: d, r: r, ctx: ctx, cancel: cancel, slots: make(chan struct{}, boardWidth)}
}

func (b *board) close() { b.cancel() }

// answer is what a page shows of one question: a value, or why there is none.
type answer[T any] struct {
	Value  T
	Failed string // "" when there is a value
}

// asked is a question under way.
type asked[T any] struct {
	b    *board
	name string
	got  chan found[T]
}

type found[T any] struct {
	value T
	err   error
}

// fetch begins a question that any store answers at once, such as a page of
// records; it does not queue behind statistics. name tells it apart in the log.
func fetch[T any](b *board, name string, fn func(context.Context) (T, error)) asked[T] {
	a := asked[T]{b: b, name: name, got: make(chan found[T], 1)}
	go func() {
		value, err := fn(b.ctx)
		a.got <- found[T]{value, err}
	}()
	return a
}

// ask begins a question that may take a while; name tells it apart in the log.
func ask[T any](b *board, name string, fn func(context.Context) (T, error)) asked[T] {
	a := asked[T]{b: b, name: name, got: make(chan found[T], 1)}
	go func() {
		select {
		case b.slots <- struct{}{}:
			defer func() { <-b.slots }()
		case <-b.ctx.Done():
			a.got <- found[T]{err: b.ctx.Err()}
			return
		}
		value, err := fn(b.ctx)
		a.got <- found[T]{value, err}
	}()
	return a
}

// wait gives the answer, at the latest when the board's time is up: a store that
// does not notice that holds nobody up.
func (a asked[T]) wait() answer[T] {
	var f found[T]
	select {
	case f = <-a.got:
	case <-a.b.ctx.Done():
		select {
		case f = <-a.got: // it was there in time
		default:
			f.err = a.b.ctx.Err()
		}
	}
	if f.err == nil {
		return answer[T]{Value: f.value}
	}
	return answer[T]{Value: f.value, Failed: a.b.d.excuse(a.b, a.name, f.err)}
}

// excuse says why a part of a page is missing, and logs what that does not say.
func (d *dash) excuse(b *board, name string, err error) string {
	if errors.Is(b.ctx.Err(), context.DeadlineExceeded) && audit.Retryable(err) {
		err = context.DeadlineExceeded // whatever the driver calls it
	}
	code, field, message := public(err)
	if audit.Retryable(err) && b.r.Context().Err() == nil {
		d.log.WarnContext(b.r.Context(), "part of a page failed", "part", name, "path", b.r.URL.Path, "code", code, "error", err)
	}
	if field != "" {
		message = field + ": " + message
	}
	return message
}
