package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals/audit"
)

func (a *API) registerIngest() {
	a.plain(huma.Operation{
		OperationID: "record-events", Method: http.MethodPost, Path: "/v1/events", Tags: []string{"events"},
		Summary: "Record events",
		Description: "Takes one event, an array of events, or one event a line (application/x-ndjson): at most 10 MiB and 10,000 events. " +
			"Each event has its own result, in the order of the request; the good ones are accepted even where others are bad. " +
			"The status is 200 when at least one event was accepted, filtered, known already or dropped by a server that is set to drop. Where each has an error it is that of the error " +
			"(400 invalid, 409 conflict, 413 too_large, 429 backlog, 503 unavailable, both with Retry-After; one that may pass later wins), and results holds each event's own. " +
			"Where the bodies of the requests under way are together too large, the answer is 429 without results, and nothing was accepted. " +
			"Events that carry an id may be sent again without harm; one without may be sent again with the id of its result.",
		Parameters: []*huma.Param{queryParam(paramDurability, "sync waits for the store, and the results carry sequence and hash; left out, the server's own durability decides", false, "sync")},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			typeJSON:   {Schema: &huma.Schema{OneOf: []*huma.Schema{ref("Event"), listOf(ref("Event"))}}},
			typeNDJSON: {Schema: &huma.Schema{Type: huma.TypeString, Description: "one event a line"}},
		}},
		Responses: jsonResponse("What became of each event.", ref("Results")),
	}, a.recordEvents)
}

func (a *API) recordEvents(w http.ResponseWriter, r *http.Request) error {
	params, err := only(r, paramDurability)
	if err != nil {
		return err
	}
	record := a.trail.RecordBatch
	if params.Has(paramDurability) {
		if params.Get(paramDurability) != "sync" {
			return audit.Invalid(paramDurability, "is %q, want sync or nothing", clip(params.Get(paramDurability)))
		}
		record = a.trail.RecordSync
	}
	kind, err := mediaType(r)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	h := hold{of: &a.bodies}
	defer h.release()
	body, err := readBody(w, r, (*buf)[:0], maxBody, &h)
	*buf = body
	if err != nil {
		return err
	}
	split := splitJSON
	if kind == typeNDJSON {
		split = splitLines
	}
	parts, err := split(body)
	if err != nil {
		return err
	}
	if err := h.upTo(int64(len(parts)) * eventCost); err != nil {
		return err
	}
	receipts := recordParts(r.Context(), parts, record)

	out := buffers.Get().(*[]byte)
	defer release(out)
	if err := acceptedNone(receipts); err != nil {
		p := a.report(w, r, err)
		p.Results = json.RawMessage(appendResults(nil, receipts))
		writeProblem(w, p)
		return nil
	}
	b := append((*out)[:0], `{"results":`...)
	b = appendResults(b, receipts)
	*out = append(b, '}')
	writeJSON(w, *out)
	return nil
}

// recordParts reads and records the events; an event that cannot be read has a
// rejected receipt in its place.
func recordParts(ctx context.Context, parts [][]byte, record func(context.Context, []*audit.Event) []audit.Receipt) []audit.Receipt {
	events := make([]*audit.Event, 0, len(parts))
	var bad map[int]error
	for i, part := range parts {
		ev, err := audit.DecodeEvent(part)
		if err != nil {
			if bad == nil {
				bad = map[int]error{}
			}
			bad[i] = err
			continue
		}
		events = append(events, ev)
	}
	var good []audit.Receipt
	if len(events) > 0 {
		good = record(ctx, events)
	}
	if len(bad) == 0 {
		return good
	}
	receipts := make([]audit.Receipt, 0, len(parts))
	for i := range parts {
		if err, ok := bad[i]; ok {
			receipts = append(receipts, audit.Receipt{Status: audit.StatusRejected, Err: err})
			continue
		}
		receipts = append(receipts, good[0])
		good = good[1:]
	}
	return receipts
}

// acceptedNone gives the error that stands for a request of which nothing was
// accepted: one that may pass later where there is one, so that senders retry.
// An event that the store has not answered for in time has an error too. One
// that was dropped, because the queue is full and the server is set to drop,
// has none: its sender is not to be held up.
func acceptedNone(receipts []audit.Receipt) error {
	var first error
	for i := range receipts {
		err := receipts[i].Err
		if err == nil {
			return nil
		}
		if first == nil || audit.Retryable(err) && !audit.Retryable(first) {
			first = err
		}
	}
	return first
}

func appendResults(b []byte, receipts []audit.Receipt) []byte {
	b = append(b, '[')
	for i := range receipts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendResult(b, i, &receipts[i])
	}
	return append(b, ']')
}

func appendResult(b []byte, index int, r *audit.Receipt) []byte {
	b = append(b, '{')
	if !r.ID.IsZero() {
		b = append(append(append(b, `"id":"`...), r.ID.String()...), '"', ',')
	}
	b = append(append(append(b, `"status":"`...), r.Status...), '"')
	if r.Reason != "" {
		b = appendText(append(b, `,"reason":`...), r.Reason)
	}
	if r.Sequence != 0 {
		b = strconv.AppendInt(append(b, `,"sequence":`...), r.Sequence, 10)
	}
	if !r.Hash.IsZero() {
		b = hex.AppendEncode(append(b, `,"hash":"`...), r.Hash[:])
		b = append(b, '"')
	}
	if r.Err != nil {
		code, field, message := public(r.Err)
		b = strconv.AppendInt(append(b, `,"error":{"index":`...), int64(index), 10)
		b = append(append(append(b, `,"code":"`...), code...), '"')
		if field != "" {
			b = appendText(append(b, `,"field":`...), field)
		}
		b = append(appendText(append(b, `,"message":`...), message), '}')
	}
	return append(b, '}')
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	q, err := json.Marshal(strings.ToValidUTF8(s, "\ufffd"))
	if err != nil { // a string can always be written
		return append(b, '"', '"')
	}
	return append(b, q...)
}
