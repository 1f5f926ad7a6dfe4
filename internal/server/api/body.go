package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	maxBody      = 10 << 20         // bytes of a request with events
	maxSmallBody = 1 << 20          // bytes of any other request
	bodyTime     = 30 * time.Second // for the bodies that huma reads
	keepBuffer   = 256 << 10        // larger buffers are not kept for the next request
)

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 4096)
	return &b
}}

func release(b *[]byte) {
	if cap(*b) <= keepBuffer {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// readBody reads a body of at most limit bytes into buf, with a share in h that
// the caller releases. The server's read timeout bounds how long a slow sender
// may take.
func readBody(w http.ResponseWriter, r *http.Request, buf []byte, limit int64, h *hold) ([]byte, error) {
	if r.ContentLength > limit {
		return buf, tooLarge(w, limit)
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return buf, withStatus(http.StatusUnsupportedMediaType, audit.CodeInvalid, "Content-Encoding", "must be left out: bodies are not compressed")
	}
	if r.ContentLength == 0 {
		return buf, nil
	}
	if err := h.admit(w, r, limit); err != nil {
		return buf, err
	}
	if n := r.ContentLength; n > 0 && int64(cap(buf)) < n {
		buf = make([]byte, 0, n+1) // one more, so that the end is seen without growing
	}
	for {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(max(2*cap(buf), 4096), int(limit)+1))
			copy(grown, buf)
			buf = grown
		}
		n, err := r.Body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if int64(len(buf)) > limit {
			return buf, tooLarge(w, limit)
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			if p, ok := errors.AsType[*Problem](err); ok { // no room
				return buf, p
			}
			return buf, withStatus(http.StatusBadRequest, audit.CodeInvalid, "", "the body ended too early or came too slowly")
		}
	}
}

// tooLarge refuses a body; what is left of it is not worth reading.
func tooLarge(w http.ResponseWriter, limit int64) error {
	w.Header().Set("Connection", "close")
	if limit == maxBody {
		return &audit.Error{Code: audit.CodeTooLarge, Message: "the body is larger than 10 MiB"}
	}
	return &audit.Error{Code: audit.CodeTooLarge, Message: "the body is larger than 1 MiB"}
}

const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
)

// mediaType gives the type of the body, JSON where nothing is said.
func mediaType(r *http.Request) (string, error) {
	given := r.Header.Get("Content-Type")
	switch given {
	case "", typeJSON:
		return typeJSON, nil
	case typeNDJSON:
		return typeNDJSON, nil
	}
	kind, params, err := mime.ParseMediaType(given)
	if charset := params["charset"]; err == nil && (charset == "" || strings.EqualFold(charset, "utf-8")) {
		switch kind {
		case typeJSON, typeNDJSON:
			return kind, nil
		}
	}
	return "", withStatus(http.StatusUnsupportedMediaType, audit.CodeInvalid, "Content-Type", clip(given)+" is not accepted: want "+typeJSON+" or "+typeNDJSON+", in UTF-8")
}
