package spool

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Spool is a durable queue. Append and Stats are safe for any number of
// goroutines; Read, Commit and Rewind are for one consumer, and may run beside
// everything else. It must be closed, or its goroutines and its lock stay.
type Spool struct {
	opt      Options
	base     string
	own      *home
	homes    []*home // adopted, and not yet read to their end; guarded by reader.mu
	recovery Recovery

	kick     chan struct{} // to the committing goroutine: something waits
	quit     chan struct{} // closed by Close
	done     chan struct{} // closed when everything is given back
	readable chan struct{} // to the consumer: look again

	closing  sync.Once
	closeErr error // of the last sync; valid once done is closed

	mu         sync.Mutex
	closed     bool
	pending    *group      // what the next commit takes
	committing *group      // what the last commit took
	slow       *time.Timer // of noteSlow
	nextSeq    uint64
	waiting    int64    // bytes that are in pending or in the commit under way
	bytes      int64    // frames that are durable and not committed
	depth      uint64   // their number
	tail       *segment // the last of the list
	writing    *segment // the one that grows; nil where the next commit begins a new one
	committed  place    // how far the consumer has come
	counts     counts

	writer writer // of the committing goroutine
	reader reader // of the consumer
	faults quiet
}

// Open opens the spool below dir, which it creates with mode 0700 where needed.
// It adopts the directories of dead processes: their entries are read before
// any new one, and [Spool.Recovery] tells what was found. It fails with code
// unsupported when a file is of another version, unavailable when the disk
// cannot be read or written, conflict when entries of another store wait there
// ([Options.Store]), invalid when an option is wrong.
func Open(dir string, opt Options) (*Spool, error) {
	if dir == "" {
		return nil, audit.Invalid("spool.dir", "is empty")
	}
	if err := opt.complete(); err != nil {
		return nil, err
	}
	s := &Spool{
		opt: opt, base: dir,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), readable: make(chan struct{}, 1),
		own: newHome(dir, opt.Store, opt.Now()), nextSeq: 1, faults: quiet{logger: opt.Logger, now: opt.Now},
	}
	homes, err := s.claim()
	if err == nil {
		err = s.adopt(homes)
	}
	if err != nil {
		for _, h := range homes {
			h.close()
		}
		var known *audit.Error
		if errors.As(err, &known) {
			return nil, err
		}
		return nil, &audit.Error{Code: audit.CodeUnavailable, Field: "spool.dir", Message: "the spool cannot be opened", Cause: err}
	}
	s.slow = time.AfterFunc(time.Hour, s.noteSlow)
	s.slow.Stop()
	s.writer.init(s)
	go s.commitLoop()
	return s, nil
}

// claim takes the directories of dead processes. The base lock makes that one
// step for other processes that start now.
func (s *Spool) claim() ([]*home, error) {
	if err := mkdirDurably(s.base, s.opt.disk); err != nil {
		return nil, err
	}
	guard, err := lock(filepath.Join(s.base, baseLock), true)
	if err != nil {
		return nil, err
	}
	defer guard.Close()
	return adoptHomes(s.base, s.opt.Store)
}

// adopt reads the homes of dead processes and puts their segments in the list.
func (s *Spool) adopt(homes []*home) error {
	// The list begins with a segment that holds nothing, so that there always is a place.
	s.tail = &segment{home: s.own, removed: true}
	s.reader.head, s.committed = s.tail, place{seg: s.tail}
	s.reader.at = s.committed
	s.homes = homes
	var recs []*recovered
	for _, h := range homes {
		if other := h.mustFeed(s.opt.Store, "the entries"); other != nil {
			rec, err := recoverHome(h, saveNothing)
			if err != nil {
				return err
			}
			if n, _ := rec.waiting(); n > 0 {
				return other
			}
		}
		rec, err := recoverHome(h, saveBelow(s.base, s.opt.Logger))
		if err != nil {
			return err
		}
		if err := h.openCursor(); err != nil {
			return err
		}
		recs = append(recs, rec)
		s.recovery.Adopted = append(s.recovery.Adopted, h.dir)
	}
	for i, rec := range recs {
		s.recovery.Damaged = append(s.recovery.Damaged, rec.damage...)
		for _, seg := range rec.segments {
			s.link(seg)
		}
		entries, bytes := rec.waiting()
		s.depth += entries
		s.bytes += bytes
		if len(rec.segments) == 0 {
			s.retire(homes[i])
		}
	}
	for _, d := range s.recovery.Damaged {
		if d.log(s.opt.Logger); d.Torn {
			s.recovery.TornBytes += d.Bytes
			continue
		}
		s.counts.damaged++
	}
	s.recovery.Entries, s.recovery.Bytes = int64(s.depth), s.bytes
	s.counts.tornBytes = s.recovery.TornBytes
	if len(homes) > 0 {
		s.opt.Logger.Info("the spool of an earlier process was adopted", "directories", len(homes),
			"entries", s.recovery.Entries, "bytes", s.recovery.Bytes, "torn_bytes", s.recovery.TornBytes, "damaged", s.counts.damaged)
	}
	s.noteLevel()
	// What was consumed before its process died needs no consumer to go.
	s.sweep()
	return nil
}

// link puts a segment at the end of the list. Under mu, or before anybody else knows the spool.
func (s *Spool) link(seg *segment) {
	seg.order = s.tail.order + 1
	s.tail.next = seg
	s.tail = seg
}

// Recovery tells what Open found. It never changes.
func (s *Spool) Recovery() Recovery { return s.recovery }

// Close refuses new entries, commits those that wait, syncs the cursor and gives
// up the lock; the directory of a spool that has been read to its end is
// removed, that of any other is adopted by the next Open. When ctx ends first,
// the error is of code unavailable: the disk hangs, nothing is known of the
// entries that wait, and the rest happens when it answers. Close may be called
// again, and then waits again.
func (s *Spool) Close(ctx context.Context) error {
	s.closing.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.quit)
	})
	select {
	case <-s.done:
		return s.closeErr
	case <-ctx.Done():
		return audit.Unavailable("the spool could not be closed in time", context.Cause(ctx))
	}
}

// shutdown is the end of the committing goroutine, after its last commit.
func (s *Spool) shutdown() {
	defer close(s.done)
	s.slow.Stop()
	err := s.writer.finish()
	s.reader.mu.Lock()
	defer s.reader.mu.Unlock()
	s.reader.close()
	s.sweep()
	for _, h := range s.homes {
		err = errors.Join(err, h.cursor.sync())
		h.close()
	}
	err = errors.Join(err, s.own.cursor.sync())
	if s.own.lock != nil && !s.own.keep && !s.reader.holds(s.own) {
		if e := s.own.remove(); e != nil {
			s.opt.Logger.Warn("the directory of the spool stays", "error", e)
		}
	}
	s.own.close()
	if err != nil {
		s.closeErr = audit.Unavailable("the spool could not sync its last state", err)
	}
}
