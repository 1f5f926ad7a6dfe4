package load

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/annals-dev/annals/audit"
)

const (
	firstPause = 100 * time.Millisecond // before the first repetition; doubled for each further one
	maxPause   = 5 * time.Second
	maxAnswer  = 64 << 20 // bytes of an answer
)

// user is one user with its connection.
type user struct {
	opt    *Options
	count  *tally
	script *script
	http   http.Client
	close  func()
	posts  string // address

	pending  []outgoing // events of the request under way that have no answer
	events   []byte     // their JSON
	body     []byte
	answer   []byte
	accepted []audit.ID
}

func newUser(opt *Options, count *tally, number int) *user {
	dialer := net.Dialer{Timeout: opt.Timeout, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		MaxConnsPerHost: 1, MaxIdleConns: 1, DisableCompression: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, addr)
			if err == nil {
				count.connections.Add(1)
			}
			return c, err
		},
	}
	u := &user{
		opt: opt, count: count, script: newScript(opt, number), http: http.Client{Transport: t}, close: t.CloseIdleConnections,
		posts: opt.URL + "/v1/events",
	}
	if opt.Sync {
		u.posts += "?durability=sync"
	}
	return u
}

// run is the user's life: it begins requests until over ends, and gives up the
// one under way when ctx does.
func (u *user) run(ctx, over context.Context, delay time.Duration) {
	defer u.close()
	pause := delay + u.script.first()
	for n := 0; u.opt.Requests == 0 || n < u.opt.Requests; n++ {
		if !wait(over, pause) || u.script.number > maxEvents-u.opt.Batch {
			return
		}
		if u.script.asks() {
			u.ask(ctx, u.opt.URL+u.script.question())
		} else {
			u.post(ctx)
		}
		pause = u.script.think()
	}
}

// wait waits; false says that ctx has ended.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post reports a batch of events, and again those that a passing fault has left
// without an answer.
func (u *user) post(ctx context.Context) {
	u.pending, u.events = u.pending[:0], u.events[:0]
	now := time.Now().Truncate(time.Microsecond)
	for range u.opt.Batch {
		var id audit.ID
		from := len(u.events)
		u.events, id = u.script.event(u.events, now)
		u.pending = append(u.pending, outgoing{id, from, len(u.events)})
	}
	u.count.sent.Add(int64(len(u.pending)))
	maybe := false // the server may have accepted what is pending
	u.repeat(ctx, func() *fault {
		f := u.deliver(ctx)
		maybe = f != nil && (maybe || f.open)
		return f
	})
	if len(u.pending) > 0 && maybe {
		u.count.open.Add(int64(len(u.pending)))
	}
}

// repeat makes attempts until one succeeds or fails for good.
func (u *user) repeat(ctx context.Context, attempt func() *fault) {
	pause := firstPause
	for n := 1; ; n++ {
		f := attempt()
		if f == nil {
			u.count.requests.Add(1)
			return
		}
		if ctx.Err() != nil {
			return // the whole load was called off
		}
		u.count.fault(f)
		if !f.again || n >= u.opt.Attempts || !wait(ctx, max(pause, f.pause)) {
			u.count.gaveUp.Add(1)
			return
		}
		pause = min(2*pause, maxPause)
	}
}

// ask puts a question and reads its answer.
func (u *user) ask(ctx context.Context, address string) {
	u.repeat(ctx, func() *fault {
		from := time.Now()
		f := u.call(ctx, http.MethodGet, address, nil)
		if f == nil {
			u.count.questions.add(time.Since(from))
		}
		return f
	})
}

// deliver makes one attempt on the pending events; what has an answer is not
// pending any more.
func (u *user) deliver(ctx context.Context) *fault {
	u.body = append(u.body[:0], '[')
	for i, ev := range u.pending {
		if i > 0 {
			u.body = append(u.body, ',')
		}
		u.body = append(u.body, u.events[ev.from:ev.to]...)
	}
	u.body = append(u.body, ']')
	from := time.Now()
	if f := u.call(ctx, http.MethodPost, u.posts, u.body); f != nil {
		return f
	}
	took := time.Since(from)
	f := u.account()
	if f == nil {
		u.count.posts.add(took)
	}
	return f
}

// result is the server's word on one event.
type result struct {
	ID     audit.ID     `json:"id"`
	Status audit.Status `json:"status"`
	Reason string       `json:"reason"`
	Error  *struct {
		Code    audit.Code `json:"code"`
		Message string     `json:"message"`
	} `json:"error"`
}

// account notes what became of the pending events.
func (u *user) account() *fault {
	var answer struct {
		Results []result `json:"results"`
	}
	if err := json.Unmarshal(u.answer, &answer); err != nil {
		return unreadable(err.Error())
	}
	if len(answer.Results) != len(u.pending) {
		return unreadable("it has another number of results than the request has events")
	}
	for i, r := range answer.Results {
		if !r.ID.IsZero() && r.ID != u.pending[i].id {
			return unreadable("the result of " + u.pending[i].id.String() + " names " + r.ID.String())
		}
		switch r.Status {
		case audit.StatusRecorded, audit.StatusQueued, audit.StatusDuplicate, audit.StatusFiltered, audit.StatusRejected:
		default:
			return unreadable("a result has the status " + clip(string(r.Status)))
		}
	}
	statuses, rejected := map[audit.Status]int64{}, map[string]int64{}
	left := u.pending[:0]
	var again *fault
	u.accepted = u.accepted[:0]
	for i, r := range answer.Results {
		ev := u.pending[i]
		switch {
		case r.Error != nil && (r.Error.Code == audit.CodeBacklog || r.Error.Code == audit.CodeUnavailable):
			f := fault{kind: string(r.Error.Code), text: clip(r.Error.Message), again: true, open: r.Status != audit.StatusRejected}
			f.open = f.open || again != nil && again.open
			again = &f
			left = append(left, ev)
		case r.Error != nil:
			rejected[string(r.Error.Code)]++
		case r.Status == audit.StatusRejected:
			rejected[r.Reason]++
		default:
			statuses[r.Status]++
			if r.Status != audit.StatusFiltered {
				u.accepted = append(u.accepted, ev.id)
			}
		}
	}
	u.pending = left
	u.count.ids.add(u.accepted...)
	u.count.acknowledged.Add(int64(len(u.accepted)))
	u.count.answer(statuses, rejected)
	return again
}

// call makes one attempt at a request and reads the answer.
func (u *user) call(ctx context.Context, method, address string, body []byte) *fault {
	ctx, cancel := context.WithTimeout(ctx, u.opt.Timeout)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, reader)
	if err != nil {
		return &fault{kind: "other", text: err.Error()}
	}
	req.Header.Set("User-Agent", "annals-bench")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := u.http.Do(req)
	if err != nil {
		return broken(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	buf := bytes.NewBuffer(u.answer[:0])
	_, err = buf.ReadFrom(io.LimitReader(resp.Body, maxAnswer))
	u.answer = buf.Bytes()
	if err != nil {
		return broken(err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(resp, u.answer)
	}
	return nil
}
