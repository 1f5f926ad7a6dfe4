package recorder

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

// diskSpool is what the recorder needs of a spool.
type diskSpool interface {
	AppendBatch(ctx context.Context, entries [][]byte) (first uint64, err error)
	Read(ctx context.Context, maxEntries int, maxBytes int64) (spool.Batch, error)
	Commit(t spool.Token) error
	Stats() spool.Stats
}

// spooler is the way through the spool. At one end the door appends, and has
// its answer when the entry is on the disk. At the other the pump reads what is
// there and offers it to the queue, load after load, and commits a load when
// all of it has met its fate. What is on the disk is the spool's to know: the
// pump asks it how much waits, and nobody keeps a count that could drift.
type spooler struct {
	r    *Recorder
	q    *queue
	disk diskSpool

	acked   atomic.Int64  // events that the door knows to be on the disk
	trigger atomic.Int64  // the count of acked at which the pump wants to be woken
	kick    chan struct{} // wakes the pump; one token is enough
	recent  *recent       // nil: nothing is kept
	limits  limits
	pressed atomic.Bool  // somebody wants the spool emptied now
	blocked atomic.Int64 // calls that wait for room in the spool

	mu        sync.Mutex
	waits     *spoolRoom    // who waits for room; nil is nobody
	unsettled int           // entries that were read and are not committed
	taken     int64         // entries that were read since the beginning
	passed    int64         // how far that is, with those that were damaged
	settled   int64         // how far everything is committed
	flushes   []*spoolFlush // who waits for that
	loads     chan *load    // in order, from the pump to the committer
	ended     chan struct{} // closed when the committer has ended
	emptied   bool          // the pump has ended because nothing is left; set before loads is closed

	limit   int      // entries of a load
	bytes   int64    // bytes of a load
	trouble faultLog // of the pump
	lost    lostLog  // of the pump
	stuck   faultLog // of the committer
}

// spoolRoom is closed when the spool has given back space.
type spoolRoom struct{ freed chan struct{} }

// spoolFlush is a caller that waits until the first upTo events of the spool are settled.
type spoolFlush struct {
	upTo int64
	done chan struct{}
}

// load is what one read of the spool brought.
type load struct {
	token spool.Token
	n     int   // entries
	upTo  int64 // how far the pump had read after it
	left  atomic.Int64
	done  chan struct{} // closed when every event of it has met its fate
}

func (l *load) settle() {
	if l.left.Add(-1) == 0 {
		close(l.done)
	}
}

const (
	// maxLoad and maxLoadBytes bound one load; two wait in the queue while one is being read.
	maxLoad      = maxBatch / 2
	maxLoadBytes = 4 << 20
	// maxRecentBytes bounds the records that are kept for the pump.
	maxRecentBytes = 16 << 20
	// maxOpenLoads bounds the loads of which something is unsettled, such as a
	// record that is tried again: a crash makes all of them come again.
	maxOpenLoads = 64
)

func newSpooler(r *Recorder) *spooler {
	s := &spooler{
		r: r, q: &r.queue, disk: r.opt.disk,
		kick: make(chan struct{}, 1), loads: make(chan *load, maxOpenLoads), ended: make(chan struct{}),
		limit:   max(1, min(maxLoad, r.opt.Capacity/2)),
		bytes:   max(1, min(maxLoadBytes, r.opt.CapacityBytes/4)),
		trouble: faultLog{log: r.opt.Logger, message: "the spool cannot be read; what is in it waits", unit: "attempts"},
		lost:    newLostLog(r.opt.Logger),
		stuck:   faultLog{log: r.opt.Logger, message: "the spool cannot note what was delivered; it may come again", unit: "attempts"},
	}
	if r.spools {
		s.recent = newRecent(4*s.limit, min(maxRecentBytes, r.opt.CapacityBytes/4))
		s.q.capacityBytes -= s.recent.maxBytes
	}
	s.q.spooled.base = s.disk.Stats()
	s.q.spooled.held.Store(s.q.spooled.base.Depth)
	s.q.spooled.feeding = true
	return s
}

// wanted reports whether somebody waits for the spool to be emptied; s may be nil.
func (s *spooler) wanted() bool {
	if s == nil || s.blocked.Load() > 0 {
		return s != nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.flushes) > 0
}

func (s *spooler) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// press makes the pump go on without waiting for company.
func (s *spooler) press() {
	s.pressed.Store(true)
	s.wake()
}

// flush waits until everything that is in the spool now is settled.
func (s *spooler) flush(ctx context.Context) error {
	st := s.disk.Stats()
	f := &spoolFlush{upTo: s.q.spooled.base.Depth + st.Appended - s.q.spooled.base.Appended, done: make(chan struct{})}
	s.mu.Lock()
	if s.settled >= f.upTo {
		s.mu.Unlock()
		return nil
	}
	s.flushes = append(s.flushes, f)
	s.mu.Unlock()
	s.q.mu.Lock()
	s.q.hurry = true
	s.q.mu.Unlock()
	s.q.signal()
	s.press()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range s.flushes {
			if s.flushes[i] == f {
				s.flushes = append(s.flushes[:i], s.flushes[i+1:]...)
				break
			}
		}
		return ctx.Err()
	case <-s.ended:
		select {
		case <-f.done:
			return nil
		default:
			return audit.ErrClosed
		}
	}
}

// flushing reports whether somebody waits for events that the pump has not read. The lock is held.
func (s *spooler) flushing() bool {
	for _, f := range s.flushes {
		if f.upTo > s.passed {
			return true
		}
	}
	return false
}

// reach notes how far everything is settled, and tells those who wait for it. The lock is held.
func (s *spooler) reach(upTo int64) {
	s.settled = max(s.settled, upTo)
	waiting := s.flushes[:0]
	for _, f := range s.flushes {
		if f.upTo <= s.settled {
			close(f.done)
		} else {
			waiting = append(waiting, f)
		}
	}
	clear(s.flushes[len(waiting):])
	s.flushes = waiting
}

// commitLoads commits the loads in their order.
func (s *spooler) commitLoads() {
	defer close(s.ended)
	defer s.stuck.write()
	for l := range s.loads {
		select {
		case <-l.done:
		case <-s.r.ctx.Done():
			<-s.r.drained // what is settled by then is committed all the same
			select {
			case <-l.done:
			default:
				return
			}
		}
		s.commit(l)
	}
	if s.emptied {
		s.q.fed()
	}
}

func (s *spooler) commit(l *load) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// On an error the mark in memory has moved all the same, and the next commit writes it.
	if err := s.disk.Commit(l.token); err != nil {
		s.stuck.note(1, err)
	} else {
		s.stuck.tick(time.Now())
	}
	s.unsettled -= l.n
	s.reach(l.upTo)
	if s.waits != nil {
		close(s.waits.freed)
		s.waits = nil
	}
}

// room gives what is closed when the spool has given back space.
func (s *spooler) room() *spoolRoom {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits == nil {
		s.waits = &spoolRoom{freed: make(chan struct{})}
	}
	return s.waits
}
