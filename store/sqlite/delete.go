package sqlite

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// DeleteExpired implements audit.Store. A file has one writer, whom 10,000
// deletions in one transaction would hold up for a quarter of a second. So the
// records are chosen in a snapshot, which holds nobody up. Then their anchors are
// stored, and then they are removed in the order of arrival, in transactions
// between which others get their turn. What a chain is verified to be is right
// after each of them (see chain.Anchor). If the process dies in between, what
// the anchors name and is still there is deleted by the next call, which leaves
// an anchor of its own. Where an error ends a call, the number is what it had
// deleted until then.
func (s *Store) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (deleted int, err error) {
	sel, err := s.expired(&cut)
	if err != nil || sel == nil {
		return 0, err
	}
	for deleted < limit {
		want := limit - deleted
		var list []doomed
		var blocks []int64
		err := s.read(ctx, func(v *view) (err error) {
			list, blocks, err = sel.find(v, want)
			return err
		})
		if err != nil {
			return deleted, err
		}
		if err := s.anchor(ctx, list, cut.Reason); err != nil {
			return deleted, err
		}
		n, err := s.remove(ctx, list)
		deleted += n
		if err != nil {
			return deleted, err
		}
		if err := s.tighten(ctx, blocks); err != nil {
			return deleted, err
		}
		if len(list) < want {
			break
		}
		// Else it is done, but for what another process deleted meanwhile.
	}
	return deleted, nil
}

// turn is how long one of several transactions in a row works before it
// commits, which takes several times as long: of so few records each lies on a
// page of its own in nearly every index. Longer turns spare no pages until they
// are ten times as long, and whoever waits for one waits as much longer.
const turn = 600 * time.Microsecond

// leastSteps is how many records a turn takes however long they take, so that a
// slow machine does not end up with a transaction for each.
const leastSteps = 12

// turnsLogged is after how many turns the write-ahead log is copied into the
// database, somewhat before a commit would do it and hold up whoever waits.
const turnsLogged = 8

// inTurns takes the steps 0 to n-1 in transactions of one turn each, and counts
// those that report that they did something. After each it rests as long as the
// file was held, since other processes only look now and then whether it is free,
// and twice as long while others of this process write. The last step has a
// transaction of its own, which alone waits for the disk: with it all before it
// are there.
func (s *Store) inTurns(ctx context.Context, n int, step func(b *batch, i int) (did bool, err error)) (count int, err error) {
	commits := s.commits.Load()
	for next, turns := 0, 1; next < n; turns++ {
		end, write := n-1, s.writeUnflushed
		if next == end {
			end, write = n, s.write
		}
		at, did := next, 0
		var began time.Time
		err := write(ctx, func(w *writer) error {
			began = time.Now()
			b, err := w.batch()
			if err != nil {
				return err
			}
			for ; at < end && (at < next+leastSteps || time.Since(began) < turn); at++ {
				some, err := step(b, at)
				if err != nil {
					return err
				}
				if some {
					did++
				}
			}
			return b.flush()
		})
		if err != nil {
			return count, err
		}
		if next, count = at, count+did; next == n {
			break
		}
		rest := time.Since(began)
		if others := s.commits.Load() - commits - 1; others > 0 {
			rest *= 2
		}
		commits = s.commits.Load()
		rested := time.Now().Add(rest)
		if turns%turnsLogged == 0 {
			s.checkpoint()
		}
		if err := s.pause(ctx, time.Until(rested)); err != nil {
			return count, err
		}
	}
	return count, nil
}

// checkpoint copies what it can of the write-ahead log into the database, while
// others read and write. What it cannot do is done by a later commit.
func (s *Store) checkpoint() {
	if c := s.readers.try(); c != nil {
		err := exec(c.Conn, "PRAGMA wal_checkpoint(PASSIVE)")
		s.readers.put(c, err != nil)
	}
}

// pause waits; it ends early with an error when the store is closed or the
// caller gives up.
func (s *Store) pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.closing:
		return audit.ErrClosed
	case <-ctx.Done():
		return translate(ctx, ctx.Err())
	}
}

// anchor stores the records that stand for the links of those on the list. Those
// of a segment, which nobody adds to here, have theirs in the scope's own chain.
func (s *Store) anchor(ctx context.Context, list []doomed, reason string) error {
	type key struct {
		scope   int64
		segment string
	}
	links := map[key][]chain.Link{}
	var keys []key
	for i := range list {
		r := &list[i]
		if r.link.Sequence <= 0 {
			continue
		}
		k := key{r.scope, r.segment}
		if links[k] == nil {
			keys = append(keys, k)
		}
		links[k] = append(links[k], r.link)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.segment, b.segment)) })
	type piece struct {
		key
		runs []chain.Run
	}
	var pieces []piece
	for _, k := range keys {
		slices.SortFunc(links[k], func(a, b chain.Link) int { return cmp.Compare(a.Sequence, b.Sequence) })
		for runs := range slices.Chunk(chain.Runs(links[k]), chain.MaxRuns) {
			pieces = append(pieces, piece{k, runs})
		}
	}
	now := s.opt.Now()
	_, err := s.inTurns(ctx, len(pieces), func(b *batch, i int) (bool, error) {
		p := &pieces[i]
		name, err := b.name(p.scope)
		if err != nil {
			return false, err
		}
		r := chain.Anchor(chain.Key{Scope: name, Segment: p.segment}, p.runs, reason, now)
		if err := b.seal(p.scope, name, []*audit.Record{r}); err != nil {
			return false, err
		}
		if _, err := b.insert(p.scope, r); err != nil {
			return false, headMisfit(err, name)
		}
		return true, nil
	})
	return err
}

// remove deletes those on the list that are still there, and counts them.
func (s *Store) remove(ctx context.Context, list []doomed) (int, error) {
	record, body, text := s.sql("DELETE FROM @records WHERE n = ?"), s.sql("DELETE FROM @bodies WHERE n = ?"), s.sql("DELETE FROM @text WHERE rowid = ?")
	return s.inTurns(ctx, len(list), func(b *batch, i int) (bool, error) {
		n := list[i].n
		if err := b.conn.run(record, n); err != nil || b.Changes() == 0 {
			return false, err
		}
		if err := b.conn.run(body, n); err != nil || !s.text {
			return true, err
		}
		if err := b.conn.run(text, n); err != nil || (i+1)%purgeEvery != 0 {
			return true, err
		}
		return true, b.purge()
	})
}

// purgeEvery is after how many deletions the full text index is purged a little.
const purgeEvery = 64

// purge rewrites some pages of the full text index where half of it stands for
// deleted records. SQLite would do so by itself in some transaction or other, and
// in one that deletes a hundred records it goes on for a quarter of a second. So
// it is told never to, but here.
func (w *writer) purge() error {
	for _, set := range []string{"'deletemerge', 50", "'merge', 8", noPurge} {
		if err := w.run(w.s.sql("INSERT INTO @text(@text, rank) VALUES(" + set + ")")); err != nil {
			return err
		}
	}
	return nil
}

// noPurge is a setting of the full text index, which is stored in the file.
const noPurge = "'deletemerge', 0"
