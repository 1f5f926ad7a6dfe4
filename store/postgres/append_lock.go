package postgres

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// lockKeys is how many locks the scopes of a set of tables share. A transaction
// holds at most so many, whatever the batch: all locks of a server together are
// max_locks_per_transaction × max_connections, 6,400 by default.
const lockKeys = 512

// lockKey gives the lock of a scope.
func lockKey(scope int32) int { return int(uint32(scope) % lockKeys) }

// keysOf gives the locks of the items, each once, in the one order in which
// everybody takes them.
func keysOf(items []*item) []int {
	var seen [lockKeys]bool
	keys := make([]int, 0, 8)
	for _, it := range items {
		if k := lockKey(it.scope); !seen[k] {
			seen[k] = true
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// lockScopes is the statement that takes the locks of scopes until the end of
// the transaction; its argument comes from lockIDs. Array order is lock order.
const lockScopes = `SELECT pg_advisory_xact_lock(k) FROM unnest($1::bigint[]) AS u(k)`

// lockIDs gives the numbers of advisory locks for keysOf.
func (s *Store) lockIDs(keys []int) []int64 {
	ids := make([]int64, len(keys))
	for i, k := range keys {
		ids[i] = s.keyID(k)
	}
	return ids
}

// keyID is the number of one lock: 32 bits of hash over schema and prefix, then
// the key. Within one set of tables the order of ids is that of the keys.
func (s *Store) keyID(key int) int64 {
	h := fnv.New32a()
	_, _ = h.Write([]byte("annals\x00" + s.sql("@") + "\x00scope"))
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], h.Sum32())
	binary.BigEndian.PutUint32(b[4:], uint32(key))
	return int64(binary.BigEndian.Uint64(b[:]))
}

// doors are the same locks within this process, taken before a connection is:
// of those that wait for the same scope only one holds a connection, so that
// writers of other scopes find one.
type doors [lockKeys]chan struct{}

func newDoors() *doors {
	var d doors
	for i := range d {
		d[i] = make(chan struct{}, 1)
	}
	return &d
}

// enter takes the locks in their order; leave gives them back. Who waits is
// served in the order of arrival.
func (d *doors) enter(ctx context.Context, keys []int) (leave func(), err error) {
	taken := 0
	leave = func() {
		for _, k := range keys[:taken] {
			<-d[k]
		}
	}
	for _, k := range keys {
		select {
		case d[k] <- struct{}{}:
			taken++
		case <-ctx.Done():
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}
