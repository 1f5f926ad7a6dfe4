package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Limits of one request, below those of the server.
const (
	batchEvents = 1000
	batchBytes  = 8 << 20
)

// result is the server's word on one event.
type result struct {
	ID       audit.ID     `json:"id"`
	Status   audit.Status `json:"status"`
	Reason   string       `json:"reason"`
	Sequence int64        `json:"sequence"`
	Hash     audit.Digest `json:"hash"`
	Error    *struct {
		Code    audit.Code `json:"code"`
		Field   string     `json:"field"`
		Message string     `json:"message"`
	} `json:"error"`
}

func (r *result) receipt(id audit.ID) audit.Receipt {
	out := audit.Receipt{ID: r.ID, Status: r.Status, Reason: r.Reason, Sequence: r.Sequence, Hash: r.Hash}
	if out.ID.IsZero() {
		out.ID = id
	}
	if r.Error != nil {
		out.Err = &audit.Error{Code: r.Error.Code, Field: r.Error.Field, Message: r.Error.Message}
	}
	return out
}

// Record reports one event and gives what became of it, under the durability of
// the server. The event is not changed; one without an id or a time is sent
// with one of the client's, so that repeated attempts are one event.
func (c *Client) Record(ctx context.Context, ev *audit.Event) (audit.Receipt, error) {
	r := c.RecordBatch(ctx, []*audit.Event{ev})[0]
	err := r.Err
	r.Err = nil
	return r, err
}

// RecordBatch reports several events. Each has its own receipt, with Err where
// it was rejected; the good ones are accepted all the same.
func (c *Client) RecordBatch(ctx context.Context, evs []*audit.Event) []audit.Receipt {
	return c.record(ctx, evs, nil)
}

// RecordSync is RecordBatch that waits for the store whatever the server's
// durability; the receipts then carry the chain position.
func (c *Client) RecordSync(ctx context.Context, evs []*audit.Event) []audit.Receipt {
	return c.record(ctx, evs, url.Values{"durability": {"sync"}})
}

// outgoing is an event on its way.
type outgoing struct {
	at   int // its place in the caller's batch
	id   audit.ID
	json []byte
}

func (c *Client) record(ctx context.Context, evs []*audit.Event, query url.Values) []audit.Receipt {
	receipts := make([]audit.Receipt, len(evs))
	waiting := make([]outgoing, 0, len(evs))
	now := time.Now()
	for i, ev := range evs {
		out, err := prepare(ev, now)
		if err != nil {
			receipts[i] = audit.Receipt{Status: audit.StatusRejected, Err: err}
			continue
		}
		out.at = i
		waiting = append(waiting, out)
	}
	for len(waiting) > 0 {
		n, size := 0, 0
		for n < len(waiting) && n < batchEvents && (n == 0 || size+len(waiting[n].json) < batchBytes) {
			size += len(waiting[n].json) + 1
			n++
		}
		c.recordRequest(ctx, waiting[:n], query, receipts)
		waiting = waiting[n:]
	}
	return receipts
}

// prepare gives the event its id and writes it. The event goes through the same
// door as at the server, so that a document that is no JSON is an error that
// names its field and not a broken request.
func prepare(ev *audit.Event, now time.Time) (outgoing, error) {
	rec := audit.Record{Event: *ev}
	if rec.ID.IsZero() && rec.ExternalID == "" {
		rec.ID = audit.NewID()
	}
	if err := audit.Normalize(&rec, now); err != nil {
		return outgoing{}, err
	}
	out := outgoing{id: rec.ID}
	if rec.ExternalID != "" {
		rec.ID = audit.ID{} // derived from the other by the server too
	}
	b, err := rec.Event.MarshalJSON()
	out.json = b
	return out, err
}

// recordRequest sends what fits one request, and again those events that were
// rejected and may pass later. The last attempt's word on each event counts.
func (c *Client) recordRequest(ctx context.Context, events []outgoing, query url.Values, receipts []audit.Receipt) {
	_ = c.retry(ctx, func() error { // every receipt has its own error
		results, err := c.sendEvents(ctx, events, query)
		if results == nil {
			for _, out := range events {
				receipts[out.at] = audit.Receipt{ID: out.id, Status: audit.StatusRejected, Err: plain(err)}
			}
			return err
		}
		var again []outgoing
		last := err // with the pause that the server asked for, where it did
		for i, out := range events {
			r := results[i].receipt(out.id)
			receipts[out.at] = r
			if r.Err != nil && passing(r.Err) {
				again = append(again, out)
				if err == nil {
					last = r.Err
				}
			}
		}
		if events = again; len(events) == 0 {
			return nil
		}
		return last
	})
}

// plain takes an error out of the wrapping that serves retries.
func plain(err error) error {
	var ours *audit.Error
	if errors.As(err, &ours) {
		return ours
	}
	return err
}

// sendEvents makes one attempt. Results are there whenever the server said what
// became of each event, also beside an error.
func (c *Client) sendEvents(ctx context.Context, events []outgoing, query url.Values) ([]result, error) {
	body := []byte{'['}
	for i := range events {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, events[i].json...)
	}
	body = append(body, ']')
	resp, err := c.send(ctx, request{method: "POST", path: "/v1/events", query: query, kind: "application/json", body: body})
	var answer struct {
		Results []result `json:"results"`
	}
	if err != nil {
		var rejected *rejection
		if errors.As(err, &rejected) && len(rejected.results) == len(events) {
			return rejected.results, err
		}
		return nil, err
	}
	defer drain(resp.Body)
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, cut(ctx, err)
	}
	if len(answer.Results) != len(events) {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: "the server did not answer for every event"}
	}
	return answer.Results, nil
}
