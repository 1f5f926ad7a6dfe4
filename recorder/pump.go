package recorder

import (
	"context"
	"errors"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/spool"
)

const (
	// pumpLook is how soon the pump looks again while the disk owes an answer to
	// callers who have gone: nobody will tell it when the entry is there.
	pumpLook = 50 * time.Millisecond
	// pumpRead is how long one read waits at most. It waits at all only where
	// everything that was there has turned out to be damaged.
	pumpRead = 100 * time.Millisecond
)

// pump brings what is in the spool to the queue, until the recorder is closed
// and the spool empty, or Close gives up.
func (s *spooler) pump() {
	defer close(s.loads)
	defer s.trouble.write()
	defer s.lost.write()
	fails := 0
	for s.await() {
		if !s.q.awaitAppetite(s.r.ctx, s.limit, s.bytes*3/2) {
			return
		}
		batch, err := s.read()
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			continue
		case errors.Is(err, audit.ErrClosed):
			// Its owner has closed it too early; what is in it is safe.
			s.trouble.note(1, err)
			s.emptied = true
			return
		case err != nil:
			fails++
			s.trouble.note(1, err)
			if !s.sleep(backoff(fails, backoffWaited)) {
				return
			}
			continue
		}
		fails = 0
		if !s.deliver(batch) {
			return
		}
	}
}

func (s *spooler) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.r.ctx.Done():
		return false
	}
}

// await waits until entries are due: as many as make a batch, or those that
// have waited for the interval, or all where somebody waits for them. false is
// the end. The interval is for company, so only durability spool has it: what
// spilled over, or an earlier process left, has waited long enough.
func (s *spooler) await() bool {
	var due time.Time
	var alarm *time.Timer
	for {
		if s.r.ctx.Err() != nil {
			return false
		}
		acked := s.acked.Load()
		over := s.q.appendsOver() // before the look at the disk: no entry comes after it
		unread, st := s.unread()
		owing := s.q.reconcile(&st)
		now := time.Now()
		s.lost.tick(now)
		switch {
		case unread > 0:
			if due.IsZero() {
				due = now.Add(s.r.opt.FlushInterval)
			}
			if s.urgent(over, unread, &st) || !now.Before(due) {
				return true
			}
			s.trigger.Store(acked + int64(s.r.opt.FlushSize) - unread)
		case over:
			s.emptied = true
			return false
		default:
			due = time.Time{}
			s.pressed.Store(false)
			s.trigger.Store(acked + 1)
		}
		if s.acked.Load() >= s.trigger.Load() {
			continue // it passed the trigger before that was set
		}
		at := due
		if owing {
			at = earliest(at, now.Add(pumpLook))
		}
		var ring <-chan time.Time
		if !at.IsZero() {
			if alarm == nil {
				alarm = time.NewTimer(at.Sub(now))
				defer alarm.Stop()
			} else {
				alarm.Reset(at.Sub(now))
			}
			ring = alarm.C
		}
		select {
		case <-s.kick:
		case <-ring:
		case <-s.r.ctx.Done():
		}
	}
}

// urgent reports whether what waits in the spool is not to wait for company.
func (s *spooler) urgent(over bool, unread int64, st *spool.Stats) bool {
	if s.r.opt.Durability != Spool || s.r.opt.Unbuffered || over || s.q.isClosed() ||
		unread >= int64(s.r.opt.FlushSize) || st.Bytes > st.MaxBytes/4 || s.pressed.Load() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed < s.q.spooled.base.Depth || s.flushing()
}

// unread counts the entries that are on the disk and were not read.
func (s *spooler) unread() (int64, spool.Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.disk.Stats()
	unread := st.Depth - int64(s.unsettled)
	if unread == 0 {
		// What was damaged at the end is passed without a load that says so.
		s.pass(&st, 0)
		if s.unsettled == 0 {
			s.reach(s.passed)
		}
	}
	return unread, st
}

// pass notes how far the pump has read. The lock is held.
func (s *spooler) pass(st *spool.Stats, n int) {
	s.taken += int64(n)
	s.passed = s.taken + st.Lost - s.q.spooled.base.Lost
}

func (s *spooler) read() (spool.Batch, error) {
	ctx, cancel := context.WithTimeout(s.r.ctx, pumpRead)
	defer cancel()
	return s.disk.Read(ctx, s.limit, s.bytes)
}

// deliver hands a batch to the queue; false means that Close has given up.
func (s *spooler) deliver(batch spool.Batch) bool {
	l := &load{token: batch.Token, n: len(batch.Entries), done: make(chan struct{})}
	c := &call{load: l}
	items := make([]item, 0, len(batch.Entries))
	if batch.First > 0 {
		s.recent.pass(batch.First + uint64(len(batch.Entries)) - 1)
	}
	for i, entry := range batch.Entries {
		number := batch.First
		if number > 0 {
			number += uint64(i)
		}
		if rec := s.recent.take(number); rec != nil {
			items = append(items, item{rec: rec, call: c, size: sizeOf(rec), own: entry[0] == entryOwn})
			continue
		}
		rec := records.Get().(*audit.Record)
		own, err := decodeEntry(entry, rec)
		if err != nil {
			records.Put(rec)
			if !s.bury(entry, err) {
				return false
			}
			continue
		}
		items = append(items, item{rec: rec, call: c, size: sizeOf(rec), own: own})
	}
	batch.Release()
	l.left.Store(int64(len(items)))
	if len(items) == 0 {
		close(l.done)
	}
	st := s.disk.Stats()
	s.mu.Lock()
	s.pass(&st, l.n)
	l.upTo = s.passed
	s.unsettled += l.n
	s.mu.Unlock()
	select {
	case s.loads <- l:
	case <-s.r.ctx.Done():
		return false
	}
	return s.q.offerLoad(s.r.ctx, items)
}

// bury sets aside an entry that is whole and yet no record: nobody but another
// version of this program writes one. It must not hold up the others, nor be lost.
func (s *spooler) bury(entry []byte, why error) bool {
	f, id := lossRefused, "unreadable-"+fingerprint(entry)
	for fails := 0; s.r.opt.DeadLetters != nil; {
		err := s.r.opt.DeadLetters.Put(id, entry, why.Error(), 1)
		if err == nil {
			f = lossSetAside
			break
		}
		if isFull(err) {
			f = lossNoRoom
			s.lost.note(id, why)
			break
		}
		fails++
		s.trouble.note(1, err)
		if !s.sleep(backoff(fails, backoffWaited)) {
			return false
		}
	}
	s.trouble.note(1, why)
	s.q.buried(f)
	return true
}
