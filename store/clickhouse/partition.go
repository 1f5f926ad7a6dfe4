package clickhouse

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// The records of each month, by the time they were recorded, lie apart. A month
// comes into being with its first record, so that none has to be made ahead.

// laterPartitions is the name of all months that have no record yet.
const laterPartitions = "later"

// EnsureMonthlyPartitions has nothing to do: see retention.Partitioner.
func (s *Store) EnsureMonthlyPartitions(context.Context, int) error { return nil }

// Maintain has nothing to do: ClickHouse merges by itself.
func (s *Store) Maintain(context.Context) error { return nil }

// bounds gives the times of a month, zero where it has none.
func bounds(month uint32) (from, to time.Time) {
	if month == 0 {
		return from, to
	}
	from = time.Date(int(month/100), time.Month(month%100), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

// EachPartition gives the months that have records, and then one partition that
// stands for all later ones.
func (s *Store) EachPartition(ctx context.Context, fn func(name string, from, to time.Time, records, bytes int64) error) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	type partition struct {
		month          uint32
		records, bytes uint64
	}
	var list []partition
	err = s.rows(ctx, "SELECT toUInt32(partition),sum(rows),sum(bytes_on_disk) FROM system.parts WHERE active AND database=currentDatabase() AND table="+text(s.records)+
		" AND NOT startsWith(name,'patch-') GROUP BY partition ORDER BY toUInt32(partition)", func(r *row) error {
		var p partition
		if err := r.Scan(&p.month, &p.records, &p.bytes); err != nil {
			return err
		}
		list = append(list, p)
		return nil
	})
	if err != nil {
		return err
	}
	_, later := bounds(uint32(s.opt.Now().UTC().Year()*100 + int(s.opt.Now().UTC().Month())))
	for _, p := range list {
		from, to := bounds(p.month)
		if to.After(later) {
			later = to
		}
		if err := fn(strconv.FormatUint(uint64(p.month), 10), from, to, int64(p.records), int64(p.bytes)); err != nil {
			return err
		}
	}
	return fn(laterPartitions, later, time.Time{}, 0, 0)
}

// DropPartitions drops the months that end at or before a time, and of which the
// cut leaves nothing; the others are left to DeleteExpired. What is dropped is
// the parts that were looked at, so that a record which comes late stays.
func (s *Store) DropPartitions(ctx context.Context, end time.Time, cut func(context.Context) (audit.Cut, error)) (dropped []string, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	s.deleting.Lock()
	defer s.deleting.Unlock()
	var months []uint32
	err = s.rows(ctx, "SELECT DISTINCT toUInt32(partition) AS month_ FROM system.parts WHERE active AND database=currentDatabase() AND table="+text(s.records)+" AND partition!='0' ORDER BY month_", func(r *row) error {
		var month uint32
		if err := r.Scan(&month); err != nil {
			return err
		}
		months = append(months, month)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, month := range months {
		if _, to := bounds(month); to.After(end) {
			continue
		}
		c, err := cut(ctx)
		if err != nil {
			return dropped, err
		}
		gone, err := s.dropMonth(ctx, month, &c)
		if err != nil {
			return dropped, err
		}
		if gone {
			dropped = append(dropped, strconv.FormatUint(uint64(month), 10))
		}
	}
	return dropped, nil
}

func (s *Store) dropMonth(ctx context.Context, month uint32, cut *audit.Cut) (bool, error) {
	due, err := s.due(cut)
	if err != nil {
		return false, err
	}
	var parts []string
	err = s.rows(ctx, "SELECT name FROM system.parts WHERE active AND database=currentDatabase() AND table="+text(s.records)+
		" AND partition='"+strconv.FormatUint(uint64(month), 10)+"' AND NOT startsWith(name,'patch-') ORDER BY min_block_number", func(r *row) error {
		var name string
		if err := r.Scan(&name); err != nil {
			return err
		}
		parts = append(parts, name)
		return nil
	})
	if err != nil || len(parts) == 0 {
		return false, err
	}
	these := "_part IN " + texts(parts) + " AND month=" + strconv.FormatUint(uint64(month), 10)
	left, err := s.number(ctx, "SELECT count() FROM (SELECT 1 FROM "+s.records+" WHERE "+these+" AND NOT ("+due+") LIMIT 1)")
	if err != nil || left > 0 {
		return false, err
	}
	anchors, scopes, err := s.anchorsOf(ctx, these, cut.Reason)
	if err != nil {
		return false, err
	}
	if len(anchors) > 0 {
		held, release, err := s.hold(ctx, scopes)
		if err != nil {
			return false, err
		}
		defer release()
		if err := s.anchor(ctx, held, anchors); err != nil {
			return false, err
		}
	}
	for _, name := range parts {
		if err := s.exec(ctx, "ALTER TABLE "+s.records+" DROP PART "+text(name)); err != nil {
			return false, err
		}
	}
	return true, nil
}

// anchorsOf makes the anchors of the chained records that conditions select.
func (s *Store) anchorsOf(ctx context.Context, conds, reason string) (anchors []*audit.Record, scopes map[audit.Scope]bool, err error) {
	runs := map[chain.Key][]chain.Run{}
	var keys []chain.Key
	err = s.rows(ctx, strings.Join([]string{
		"SELECT namespace,tenant,segment,min(sequence) AS first_,max(sequence),argMin(prev_hash,sequence),argMax(hash,sequence) FROM (",
		"SELECT namespace,tenant,segment,sequence,prev_hash,hash,sequence-toInt64(row_number() OVER (PARTITION BY namespace,tenant,segment ORDER BY sequence)) AS run_",
		"FROM", s.records, "WHERE", conds, "AND sequence>0) GROUP BY namespace,tenant,segment,run_ ORDER BY namespace,tenant,segment,first_",
	}, " "), func(r *row) error {
		var key chain.Key
		var run chain.Run
		var prev, hash string
		if err := r.Scan(&key.Namespace, &key.Tenant, &key.Segment, &run.First, &run.Last, &prev, &hash); err != nil {
			return err
		}
		copy(run.PrevHash[:], prev)
		copy(run.Hash[:], hash)
		if runs[key] == nil {
			keys = append(keys, key)
		}
		runs[key] = append(runs[key], run)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	scopes = map[audit.Scope]bool{}
	now := s.opt.Now()
	for _, key := range keys {
		scopes[key.Scope] = true
		for of := runs[key]; len(of) > 0; {
			n := min(chain.MaxRuns, len(of))
			anchors = append(anchors, chain.Anchor(key, of[:n], reason, now))
			of = of[n:]
		}
	}
	return anchors, scopes, nil
}
