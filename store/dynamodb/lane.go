package dynamodb

import (
	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// lane writes one chain for this process, see [intake.Lanes]. Processes race by the
// conditions of their transactions.
type lane struct {
	s     *Store
	part  string
	scope audit.Scope
	head  chain.Head
	known bool // whether head is what was stored last, as far as we know
	pace  pace
}

func (s *Store) openLane(scope audit.Scope) intake.Writer {
	return &lane{s: s, part: partition(scope), scope: scope}
}

// newRoom is that of a transaction with a head: its actions and its size.
func newRoom() func(r *audit.Record) bool {
	actions, size := 1, fenceRoom
	return func(r *audit.Record) bool {
		actions += actionsOf(r)
		size += bytesOf(r) + overhead + fenceRoom
		return actions <= maxActions && size <= maxTransaction
	}
}
