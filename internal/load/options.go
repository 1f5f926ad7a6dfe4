// Package load drives a server the way an application with many users does:
// each user has one connection that is kept alive, thinks, and posts what it
// did. It counts what comes back, keeps the id of every event that was
// acknowledged, and at the end reads the store and says which of them are not
// there, or there more than once.
//
// The load is a closed one: a user asks again only when it has its answer. So
// a server that falls behind slows its users down, and the latencies are those
// of the requests that were made, not of those that would have been.
package load

import (
	"context"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Limits of a load; the ids hold the number of the user and of its event.
const (
	MaxUsers = 1 << userBits
	MaxBatch = 5_000 // events of a request; a server takes 10,000 and 10 MiB
)

// Options describe a load. [Defaults] gives those of 2,000 users of an application.
type Options struct {
	URL   string // of the server, e.g. http://127.0.0.1:8480
	Users int    // each has one connection

	ThinkMin, ThinkMax time.Duration // the pause of a user between an answer and its next request, uniform; both 0 is none
	Duration           time.Duration // how long users begin requests, after RampUp
	RampUp             time.Duration // over which the users come, one after the other
	Requests           int           // a user leaves after so many requests, even before Duration has passed; 0 is never

	Reads     float64 // share of events whose operation is read, 0 to 1; the others create, update and delete
	Questions float64 // share of requests that ask for records instead of posting events, 0 to 1
	Batch     int     // events of a request
	Sync      bool    // every post waits for the store (durability=sync)
	Namespace string  // of the events
	Tenants   int     // among which the users are spread

	Timeout  time.Duration // of one attempt
	Attempts int           // for a request that a reset, a timeout or a busy server spoilt; ids make the repetition harmless

	// Stop ends the load before Duration when it is closed: users begin no further
	// request, and the store is read. nil is never.
	Stop <-chan struct{}

	// Seed decides what every user does: 0 chooses one. Run tells the ids of one
	// run from those of another with the same seed: 0 chooses one.
	Seed uint64
	Run  uint32

	NoCheck bool          // leaves out reading the store at the end
	Drain   time.Duration // how long the server may take to store what it has acknowledged

	// Scan gives the ids of all events in the namespace that happened at or after
	// from; nil reads them from the server's export.
	Scan func(ctx context.Context, from time.Time, fn func(audit.ID)) error
	// Probe gives numbers that only grow, such as a database's count of commits.
	// It is called before the load and once the server has stored everything;
	// the result has the differences. May be nil.
	Probe func(ctx context.Context) (map[string]float64, error)
	// Progress is called now and then during the load, from one goroutine. May be nil.
	Progress func(Progress)
}

// Progress is how far a load is.
type Progress struct {
	Elapsed      time.Duration
	Requests     int64 // that were answered
	Acknowledged int64 // events
	Errors       int64
}

// Defaults are the options of 2,000 users of an application that reads nine
// times as often as it writes; the URL is missing.
func Defaults() Options {
	return Options{
		Users: 2000, ThinkMin: 500 * time.Millisecond, ThinkMax: 2 * time.Second,
		Duration: time.Minute, RampUp: 5 * time.Second,
		Reads: 0.9, Batch: 1, Namespace: "bench", Tenants: 8,
		Timeout: 30 * time.Second, Attempts: 4, Drain: 2 * time.Minute,
	}
}

// check refuses what makes no load; the errors name the option.
func (o *Options) check() error {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return audit.Invalid("server", "%q is not an address such as http://127.0.0.1:8480", o.URL)
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	for _, n := range []struct {
		name             string
		value, min, most int
	}{
		{"users", o.Users, 1, MaxUsers}, {"batch", o.Batch, 1, MaxBatch}, {"tenants", o.Tenants, 1, 1 << 16},
		{"requests", o.Requests, 0, maxEvents / max(1, o.Batch)}, {"attempts", o.Attempts, 1, 100},
	} {
		if n.value < n.min || n.value > n.most {
			return audit.Invalid(n.name, "is %d, want %d to %d", n.value, n.min, n.most)
		}
	}
	for _, share := range []struct {
		name  string
		value float64
	}{{"reads", o.Reads}, {"questions", o.Questions}} {
		if !(share.value >= 0 && share.value <= 1) {
			return audit.Invalid(share.name, "is %v, want a share from 0 to 1", share.value)
		}
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		min   time.Duration
	}{{"think", o.ThinkMin, 0}, {"duration", o.Duration, 1}, {"ramp-up", o.RampUp, 0}, {"timeout", o.Timeout, 1}, {"drain", o.Drain, 0}} {
		if d.value < d.min {
			return audit.Invalid(d.name, "is %s, which is too short", d.value)
		}
	}
	if o.ThinkMax < o.ThinkMin {
		return audit.Invalid("think", "is %s to %s: the longest is shorter than the shortest", o.ThinkMin, o.ThinkMax)
	}
	if o.Seed == 0 {
		o.Seed = uint64(rand.Uint32()) | 1 // whole in every reader of JSON
	}
	o.Run &= 1<<runBits - 1
	if o.Run == 0 {
		o.Run = rand.Uint32()>>(32-runBits) | 1
	}
	return nil
}
