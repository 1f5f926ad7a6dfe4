// Package chain makes records tamper-evident: each carries the SHA-256 of its
// own canonical encoding, which covers every stored field and the hash of the
// record before it. docs/design/chain.md publishes the encoding, and
// testdata/vectors lets a third party check a verifier of their own.
package chain

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Key names a chain. Segment is empty on engines with compare-and-set; on the
// others each writer owns the segments it opened.
type Key struct {
	audit.Scope
	Segment string `json:"segment,omitempty"`
}

// KeyOf gives the chain that the record belongs to.
func KeyOf(r *audit.Record) Key { return Key{r.Scope(), r.Segment} }

// Head is the last record of a chain, as its store remembers it apart from the
// record itself, so that a removed tail is noticed.
type Head struct {
	Key
	Sequence int64        `json:"sequence"` // 0: the chain is empty
	Hash     audit.Digest `json:"hash"`
}

// Appender stores records as the next links of their chains.
// Fallback: none; a trail with chain on refuses a store without it.
type Appender interface {
	// AppendChained is audit.Store.Append with the same promises, and besides
	// gives each record that is new its place in the chain of its scope, in the
	// order of recs, by [Seal]: Sequence, Segment, PrevHash and Hash of the
	// records are set. Within one transaction (or a writer's own segment) it
	// leaves out what is already stored, takes the head once, links the rest,
	// stores them and the new head. A duplicate keeps the position it has.
	// The batch may hold records of several chains.
	AppendChained(ctx context.Context, recs []*audit.Record) ([]audit.Result, error)
}

// FreshAppender appends more cheaply what nobody can have sent before.
// Fallback: Appender.
type FreshAppender interface {
	// AppendChainedFresh is [Appender.AppendChained] for records whose ids were made
	// for them at the door, by [audit.NewID], and that no attempt was made with
	// before. The store need not look whether an id is taken.
	AppendChainedFresh(ctx context.Context, recs []*audit.Record) ([]audit.Result, error)
}

// Reader reads chains.
type Reader interface {
	// Heads gives the heads of all chains of the scope, or of every chain when
	// scope is nil, ordered by namespace, tenant and segment. It is strongly
	// consistent with AppendChained.
	Heads(ctx context.Context, scope *audit.Scope) ([]Head, error)
	// Walk calls fn with the chain's stored records whose Sequence lies in
	// [from, to], in ascending order, a batch at a time; where a tampered store
	// holds a sequence twice, both. Batches and records are reused after fn
	// returns. Several walks may run at once. An error of fn ends the walk and
	// is returned.
	Walk(ctx context.Context, key Key, from, to int64, fn func(recs []*audit.Record) error) error
	// Unchained counts the records of the scope that are outside any chain.
	Unchained(ctx context.Context, scope audit.Scope) (int64, error)
}
