package overload

import (
	"testing"

	"github.com/annals-dev/annals/internal/load"
	"github.com/annals-dev/annals/recorder"
)

// checkLibrary compares what the producers were told with what is in the store.
func checkLibrary(t *testing.T, c Case, r *Report) {
	t.Logf("sent %d, accepted %d, refused %d, dropped %d, open %d, stored %d", r.Sent, r.Accepted, r.Refused, r.Dropped, r.Open, r.Stored)
	open := r.Sent - r.Accepted - r.Refused - r.Dropped
	if open != r.Open || r.Stored < r.Accepted || r.Stored > r.Accepted+open {
		t.Errorf("sent %d: accepted %d, refused %d, dropped %d, open %d; stored %d", r.Sent, r.Accepted, r.Refused, r.Dropped, r.Open, r.Stored)
	}
	want := recorder.Account{Offered: r.Sent, Stored: r.Stored, Rejected: r.Sent - r.Stored - r.Dropped, Dropped: r.Dropped}
	if r.Account != want {
		t.Errorf("the account is %+v, want %+v", r.Account, want)
	}
	if r.InGaps != r.Dropped {
		t.Errorf("%d events were dropped, the gap records count %d", r.Dropped, r.InGaps)
	}
	if c.OnFull == recorder.Drop && r.Refused > 0 || c.OnFull != recorder.Drop && r.Dropped > 0 {
		t.Errorf("under on_full %s %d were refused and %d dropped", c.OnFull, r.Refused, r.Dropped)
	}
	if r.Refused+r.Dropped == 0 {
		t.Error("the bounds were not reached: this measures nothing")
	}
}

// checkServer does so for the clients of a server. An answer that was too late
// leaves open what became of its events, which is not wrong as long as they are
// in the account.
func checkServer(t *testing.T, r *Report, l *load.Result) {
	if l.Check.Missing+l.Check.Twice > 0 || l.Check.Unacknowledged > l.Open {
		t.Errorf("of %d acknowledged events %d are missing, %d twice; %d others are stored, %d open", l.Check.Acknowledged, l.Check.Missing, l.Check.Twice, l.Check.Unacknowledged, l.Open)
	}
	stored := l.Acknowledged + l.Check.Unacknowledged
	if want := (recorder.Account{Offered: l.Sent, Stored: stored, Rejected: l.Sent - stored}); r.Account != want || r.Stored != stored {
		t.Errorf("the account is %+v and %d are stored, want %+v", r.Account, r.Stored, want)
	}
	t.Logf("sent %d, acknowledged %d, open %d, answers %v, p99 %.0f ms, connections %d", l.Sent, l.Acknowledged, l.Open, l.Errors, l.Posts.P99, l.Connections)
	if len(l.Errors) == 0 {
		t.Error("the bounds were not reached: this measures nothing")
	}
}

// checkProcess checks what the process was like meanwhile.
func checkProcess(t *testing.T, e Engine, p plan, r *Report) {
	runtime, resident := Cap(p.Bytes, e)
	if underRace {
		t.Log("the race detector needs several times the memory: it is not checked")
	} else {
		if r.Runtime > runtime {
			t.Errorf("Go's runtime held %d MiB, at most %d MiB are allowed", r.Runtime>>20, runtime>>20)
		}
		if r.HighWater == 0 {
			t.Log("this system does not tell the resident memory in /proc: it is not checked")
		}
		if max(r.Resident, r.HighWater) > resident {
			t.Errorf("%d MiB were resident, at most %d MiB are allowed", max(r.Resident, r.HighWater)>>20, resident>>20)
		}
	}
	const own = 32 // of the trail, its engine and the test
	bound := producers + own
	if p.Server {
		bound = 3*clients + own
	}
	if r.Goroutines > bound {
		t.Errorf("%d goroutines, at most %d are expected", r.Goroutines, bound)
	}
	lines := int(r.Seconds/logInterval.Seconds()) + 2 // the first comes at once, the last at the end
	for message, n := range r.Lines {
		if n > lines {
			t.Errorf("%q was logged %d times in %.0f s, want one line in %s", message, n, r.Seconds, logInterval)
		}
	}
}
