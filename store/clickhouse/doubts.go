package clickhouse

import (
	"context"
	"slices"
	"sync"
	"time"
)

// doubts are INSERTs whose answer was lost: the server may still be at them. A
// look for what is stored means something only when they have ended.
type doubts struct {
	mu  sync.Mutex
	ids []string // of the queries
}

func (d *doubts) add(ids ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids = append(d.ids, ids...)
}

func (d *doubts) open() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ids)
}

func (d *doubts) remove(ids []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids = slices.DeleteFunc(d.ids, func(id string) bool { return slices.Contains(ids, id) })
}

// processes is the table of the queries that run, on every server that the
// tables are on.
func (s *Store) processes() string {
	if s.opt.Cluster != "" {
		return "clusterAllReplicas(" + text(s.opt.Cluster) + ",system.processes)"
	}
	return "system.processes"
}

// settleDoubts waits until every INSERT without an answer has ended.
func (s *Store) settleDoubts(ctx context.Context) error {
	ids := s.doubts.open()
	if len(ids) == 0 {
		return nil
	}
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		running, err := s.number(ctx, "SELECT count() FROM "+s.processes()+" WHERE query_id IN "+texts(ids))
		if err != nil {
			return err
		}
		if running == 0 {
			s.doubts.remove(ids)
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return translate(ctx, ctx.Err())
		}
	}
}
