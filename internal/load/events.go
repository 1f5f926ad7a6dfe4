package load

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"

	"github.com/annals-dev/annals/audit"
)

// outgoing is an event on its way: its id, and where it lies in the buffer.
type outgoing struct {
	id       audit.ID
	from, to int
}

// script decides what one user does. Everything but the time comes from the seed.
type script struct {
	opt    *Options
	user   int
	name   string
	tenant string
	rng    *rand.Rand
	number int // of the next event

	record audit.Record // used again for each event
}

func newScript(opt *Options, user int) *script {
	return &script{
		opt: opt, user: user, name: "user-" + strconv.Itoa(user), tenant: "tenant-" + strconv.Itoa(user%opt.Tenants),
		rng: rand.New(rand.NewPCG(opt.Seed, uint64(user))),
	}
}

// think gives the next pause.
func (s *script) think() time.Duration {
	return s.opt.ThinkMin + time.Duration(s.rng.Int64N(int64(s.opt.ThinkMax-s.opt.ThinkMin)+1))
}

// first gives the pause before the first request: anything up to the longest,
// so that users who come together do not ask together.
func (s *script) first() time.Duration { return time.Duration(s.rng.Int64N(int64(s.opt.ThinkMax) + 1)) }

// asks reports whether the next request is a question.
func (s *script) asks() bool { return s.opt.Questions > 0 && s.rng.Float64() < s.opt.Questions }

// question gives the path of the next question.
func (s *script) question() string {
	path := "/v1/events?limit=50&namespace=" + url.QueryEscape(s.opt.Namespace) + "&tenant=" + s.tenant
	switch s.rng.IntN(4) {
	case 0:
		return path
	case 1:
		return path + "&actor=" + s.name
	case 2:
		return path + "&outcome=failure"
	}
	return path + "&resource=" + s.document()
}

func (s *script) document() string { return "doc-" + strconv.Itoa(s.rng.IntN(5000)) }

// event appends the JSON of the next event to b. What it holds is what an
// application would send, some 700 bytes of it.
func (s *script) event(b []byte, now time.Time) ([]byte, audit.ID) {
	id := makeID(now, s.opt.Run, s.user, s.number)
	n := strconv.Itoa(s.number)
	s.number++
	doc := s.document()
	s.record = audit.Record{Event: audit.Event{
		ID: id, Namespace: s.opt.Namespace, Tenant: s.tenant, OccurredAt: now,
		Duration: time.Duration(s.rng.IntN(900_000)) * time.Microsecond,
		Actor: audit.Actor{
			Type: "user", ID: s.name, Email: s.name + "@example.com", Team: "team-" + strconv.Itoa(s.user%40),
			IP: "192.0.2." + strconv.Itoa(s.user%256), SessionID: "s-" + strconv.Itoa(s.user) + "-" + strconv.Itoa(s.number/50), AuthMethod: "oidc",
		},
		Resource: audit.Resource{Type: "document", ID: doc, Name: "Quarterly report " + doc},
		Source:   audit.Source{Service: "documents", Transport: "https", Host: "app-" + strconv.Itoa(s.user%6)},
		Request: audit.Request{
			ID: "req-" + s.name + "-" + n, CorrelationID: "corr-" + s.name + "-" + strconv.Itoa(s.number/4), Path: "/documents/" + doc,
		},
		Metadata: json.RawMessage(`{"region":"eu-1","release":"2026.11"}`),
	}}
	s.act()
	if s.rng.IntN(50) == 0 {
		s.record.Outcome, s.record.Error, s.record.ErrorCode = audit.Failure, "the document is locked by another user", "locked"
	}
	return s.record.AppendJSON(b), id
}

// act chooses what was done.
func (s *script) act() {
	ev := &s.record.Event
	if s.rng.Float64() < s.opt.Reads {
		ev.Action, ev.Operation, ev.Request.Method = "document.read", audit.Read, "GET"
		ev.Response = audit.Response{Bytes: int64(s.rng.IntN(1 << 16))}
		return
	}
	version := strconv.Itoa(s.rng.IntN(1000))
	switch s.rng.IntN(5) {
	case 0, 1:
		ev.Action, ev.Operation, ev.Request.Method = "document.create", audit.Create, "POST"
	case 2, 3:
		ev.Action, ev.Operation, ev.Request.Method = "document.update", audit.Update, "PUT"
		ev.Changes = audit.Changes{
			Before: json.RawMessage(`{"title":"Quarterly report","status":"draft","version":` + version + `}`),
			After:  json.RawMessage(`{"title":"Quarterly report","status":"final","version":1` + version + `}`),
		}
	default:
		ev.Action, ev.Operation, ev.Request.Method = "document.delete", audit.Delete, "DELETE"
	}
	ev.Payload = json.RawMessage(`{"version":` + version + `,"summary":"Figures of the third quarter, reviewed by the finance team before they are published"}`)
}
