package audit

import (
	"context"
	"time"
)

// Store keeps records. It is the port that every engine implements, and it is
// safe for concurrent use. What only some engines can do is an optional
// interface, found by [As]; its fallback is written where it is declared.
type Store interface {
	// Append makes the records durable and says of each what became of it.
	//
	// A nil error means that every Result is final: the record is stored and
	// Query sees it within Capabilities().Lag, or it was already there, or its
	// Result says why it is not. A batch need not be atomic: a Result with a
	// retryable error (see [Retryable]) leaves only that record undone. A
	// non-nil error means that nothing is known of any of them; the caller may
	// retry the whole batch, as often as it likes, since Append is idempotent
	// by Ref. The same Ref with other content is ErrConflict for that record.
	//
	// Append must not keep recs or change them. They are normalised, and their
	// chain fields are empty (see chain.Appender for chained records).
	Append(ctx context.Context, recs []*Record) ([]Result, error)

	// Get gives one record, or ErrNotFound.
	Get(ctx context.Context, ref Ref) (*Record, error)

	// Query answers one page of a validated question, in its order, starting
	// after q.After. A page is shorter than q.Limit only at the end. A question
	// that the engine cannot answer is ErrUnsupported, never an empty page.
	Query(ctx context.Context, q *Query) (*Page, error)

	// DeleteExpired deletes at most limit records that cut selects, in one
	// short transaction where the engine has them, and says how many. It is
	// done when it returns less than limit. Chained records leave an anchor
	// (see chain.Anchor) in the same transaction; gap and prune records stay.
	DeleteExpired(ctx context.Context, cut Cut, limit int) (int, error)

	// Capabilities says what this engine promises; a plain value that never changes.
	Capabilities() Capabilities

	// Close releases the engine. Calls under way finish or fail with ErrClosed.
	Close() error
}

// Result says what became of one record of a batch.
type Result struct {
	// Duplicate is set when the record was there before, with the same content;
	// nothing was stored.
	Duplicate bool
	// Err is nil when the record is durable. ErrConflict: the id is taken by
	// other content. A retryable error: try again. Any other: never.
	Err error
	// Sequence and Hash are the chain position, of the stored record where it
	// was a duplicate; zero outside a chain.
	Sequence int64
	Hash     Digest
}

// Cut says which records have expired.
type Cut struct {
	// ExpiredAt deletes records whose ExpiresAt is set and at or before it.
	ExpiredAt time.Time
	// RecordedBefore deletes records recorded before it, whatever their
	// ExpiresAt: the ceiling of the whole store. Zero is no ceiling.
	RecordedBefore time.Time
	// Holds protect every record that one of them matches: legal hold. They
	// have filters and a window only.
	Holds []*Query
	// Reason is the policy's name, written into the anchor.
	Reason string
}

// Selects reports whether the record is to be deleted. It is the reference that
// every engine's translation is tested against.
func (c *Cut) Selects(r *Record) bool {
	if r.Kind != KindEvent {
		return false
	}
	expired := !c.ExpiredAt.IsZero() && !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.ExpiredAt)
	if !expired && (c.RecordedBefore.IsZero() || !r.RecordedAt.Before(c.RecordedBefore)) {
		return false
	}
	for _, h := range c.Holds {
		if h.Match(r) {
			return false
		}
	}
	return true
}

// Capabilities is what an engine promises.
type Capabilities struct {
	Engine      string        // e.g. "sqlite"
	Durable     bool          // an appended record survives the end of the process
	Lag         time.Duration // how long after Append a Query may not yet see the record
	Text        bool          // answers Query.Text; otherwise that is ErrUnsupported
	RecordBytes int           // the largest record in bytes, 0 for MaxRecordBytes
	BatchSize   int           // the number of records in a batch that the engine likes best
}

// FreshAppender appends more cheaply what nobody can have sent before.
// Fallback: Append.
type FreshAppender interface {
	// AppendFresh is [Store.Append] for records whose ids were made for them at the
	// door, by [NewID], and that no attempt was made with before. The store need not
	// look whether an id is taken: a record may replace one with the same id.
	AppendFresh(ctx context.Context, recs []*Record) ([]Result, error)
}

// Scanner walks every record that a question selects, in its order, in
// constant memory. The record given to fn is fn's to keep only until it
// returns. An error of fn ends the walk and is returned.
// Fallback: Query, page after page.
type Scanner interface {
	Scan(ctx context.Context, q *Query, fn func(*Record) error) error
}

// Counter counts what a question selects; Limit, Order and After are ignored.
// Fallback: Scanner.
type Counter interface {
	Count(ctx context.Context, q *Query) (int64, error)
}

// Pinger checks that the engine answers. Fallback: a Query with limit 1.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Migrator brings the engine's schema up to date; opening a store does so too.
// Fallback: none is needed.
type Migrator interface {
	// SchemaVersion gives the version in the store and the one this program wants.
	SchemaVersion(ctx context.Context) (have, want int, err error)
}

// Stater tells the engine's state for people: sizes, counts, file names.
// Fallback: nothing is shown.
type Stater interface {
	State(ctx context.Context) (map[string]string, error)
}

// Unwrapper is implemented by a store that wraps another.
type Unwrapper interface {
	Unwrap() Store
}

// As finds the capability T in the store or in what it wraps, the outermost
// first. A wrapper that must see the calls of a capability implements it itself.
func As[T any](s Store) (T, bool) {
	for s != nil {
		if t, ok := s.(T); ok {
			return t, true
		}
		w, ok := s.(Unwrapper)
		if !ok {
			break
		}
		s = w.Unwrap()
	}
	var none T
	return none, false
}

// Observer is told of every operation on a store, for metrics and traces. It
// is called on the caller's goroutine and must return at once.
type Observer interface {
	Observe(ctx context.Context, op Operated)
}

// Operated describes one finished operation.
type Operated struct {
	Name    string // append, get, query, scan, count, overview, …, verify, delete_expired
	Records int    // records written, read or deleted
	Took    time.Duration
	Err     error
}
