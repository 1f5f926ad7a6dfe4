package api

import (
	"io"
	"net/http"
	"sync/atomic"

	"github.com/annals-dev/annals/audit"
)

// DefaultBodyBytes is how many bytes of request bodies may be under way at once
// when nothing else is said. With what is made of them, each takes up to ten
// bytes of memory.
const DefaultBodyBytes = 64 << 20

// MinBodyBytes is the least bound: one body of the largest size fits.
const MinBodyBytes = 12 << 20

const (
	smallBody = 64 << 10  // bodies up to this may use the part that large ones must leave free
	leftShare = 16        // large bodies leave one part in so many to small ones
	firstStep = 4 << 10   // of a body of unknown length, doubled with each step
	largeStep = 256 << 10 // no step is larger
	eventCost = 256       // bytes that an event counts for at least: the smallest takes 2 KiB of memory
)

// errBodies refuses a request for which there is no room.
var errBodies error = &audit.Error{Code: audit.CodeBacklog, Message: "the request bodies under way leave no room for this one; nothing of it was accepted"}

// bodies bounds the bytes of the request bodies that are being read, decoded
// and recorded. Nobody waits: what does not fit is refused.
type bodies struct {
	most    int64
	used    atomic.Int64
	refused atomic.Int64 // requests
}

// hold is the share of one request. It belongs to the request's goroutine,
// which releases it when it ends, however it ends.
type hold struct {
	of *bodies
	n  int64
}

// upTo raises the share to n bytes. An error leaves it as it was.
func (h *hold) upTo(n int64) error {
	more := n - h.n
	if more <= 0 {
		return nil
	}
	most := h.of.most
	if n > smallBody {
		most -= most / leftShare
	}
	for {
		used := h.of.used.Load()
		if used+more > most {
			h.of.refused.Add(1)
			return errBodies
		}
		if h.of.used.CompareAndSwap(used, used+more) {
			h.n = n
			return nil
		}
	}
}

// release gives the share back.
func (h *hold) release() {
	h.of.used.Add(-h.n)
	h.n = 0
}

// admit takes the share of a body of at most limit bytes: at once where its
// length is given, else in steps as it is read.
func (h *hold) admit(w http.ResponseWriter, r *http.Request, limit int64) error {
	switch n := r.ContentLength; {
	case n < 0:
		r.Body = &steppedBody{ReadCloser: r.Body, header: w.Header(), hold: h, limit: limit}
	case n > 0:
		if err := h.upTo(min(n, limit)); err != nil {
			if r.Header.Get("Expect") == "" { // a sender that waits for a word has sent nothing yet
				drain(r.Body, limit)
			}
			return err
		}
	}
	return nil
}

// drain reads what is left of a refused body and keeps nothing of it. A sender
// that is cut off while it writes may never see the answer.
func drain(body io.Reader, limit int64) {
	_, _ = io.CopyN(io.Discard, body, limit) // a sender that has gone needs no answer
}

// steppedBody is a body of unknown length.
type steppedBody struct {
	io.ReadCloser
	header http.Header // of the answer
	hold   *hold
	limit  int64
	read   int64
}

// Read implements io.Reader. Where there is no room it returns a Problem, which
// huma passes on.
func (b *steppedBody) Read(p []byte) (int, error) {
	if b.read >= b.hold.n {
		if err := b.hold.upTo(b.hold.n + min(max(b.hold.n, firstStep), largeStep)); err != nil {
			drain(b.ReadCloser, max(b.limit-b.read, 0))
			p := problemOf(err)
			p.setHeaders(b.header) // which huma does for an operation's own errors only
			return 0, p
		}
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.hold.n-b.read)])
	b.read += int64(n)
	return n, err
}

// Bodies tells how many bytes of request bodies are under way, how many may be,
// and how many requests were refused because there was no room.
func (a *API) Bodies() (used, most, refused int64) {
	return a.bodies.used.Load(), a.bodies.most, a.bodies.refused.Load()
}
