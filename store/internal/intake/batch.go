// Package intake holds what the engines have in common on the way of records into
// them: the verdicts on the records of one call, and the lanes by which a process
// writes chains.
//
// How an engine finds out that an id is taken, stores a batch and moves the head of
// a chain is its own. So is the order of it all where one transaction decides on a
// whole call (memory, sqlite, postgres) or its records are laid out by columns
// (clickhouse): these share the verdict on one record only. The lanes of clickhouse
// are another thing by the same name: one call holds several at a time.
package intake

import (
	"bytes"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// Check refuses what can never be stored: a record without an id, and outside
// chains one that has a place in a chain.
func Check(r *audit.Record, chained bool) error {
	switch {
	case r.ID.IsZero():
		return audit.Invalid("id", "is required")
	case !chained && (r.Sequence != 0 || !r.Hash.IsZero()):
		// A position that no chain gave would be one that no verification can explain.
		return audit.Invalid("sequence", "is set: a record with a place in a chain cannot be appended outside it")
	}
	return nil
}

// Verdict is the result of a record whose id stands for a stored one.
func Verdict(stored, r *audit.Record) audit.Result {
	if !audit.SameContent(stored, r) {
		return audit.Result{Err: audit.ErrConflict}
	}
	return audit.Result{Duplicate: true, Sequence: stored.Sequence, Hash: stored.Hash}
}

// Identical reports whether two records are the same in every field.
func Identical(a, b *audit.Record) bool {
	for _, f := range audit.Fields() {
		switch f.Kind {
		case audit.Text:
			if f.Text(a) != f.Text(b) {
				return false
			}
		case audit.Document, audit.Identity, audit.Hash:
			if !bytes.Equal(f.Bytes(a), f.Bytes(b)) {
				return false
			}
		default:
			if f.Int(a) != f.Int(b) {
				return false
			}
		}
	}
	return true
}

// Entry is one record on its way into an engine.
type Entry struct {
	Rec    *audit.Record
	Result audit.Result
	Stored *audit.Record // what the id stands for afterwards; nil where that is not known

	at   []int // its places in the batch, the first one that of the record itself
	call *call // that waits for it, once it is in a lane
}

// Settled reports whether the entry has its verdict.
func (e *Entry) Settled() bool { return e.Stored != nil || e.Result != (audit.Result{}) }

// Put says that the record is stored now.
func (e *Entry) Put() {
	e.Stored = e.Rec
	e.Result = audit.Result{Sequence: e.Rec.Sequence, Hash: e.Rec.Hash}
}

// Found gives the verdict on an entry whose id is taken. again is whether an
// attempt of our own, whose answer was lost, may have taken it: then what it would
// have said still holds.
func (e *Entry) Found(stored *audit.Record, again bool) {
	e.Stored = stored
	e.Result = Verdict(stored, e.Rec)
	if again && Identical(stored, e.Rec) {
		e.Result.Duplicate = false
	}
}

// Batch is the records of one call.
type Batch struct {
	// Entries are one for each id, in the order of the first record with it.
	// Records that can never be stored have none.
	Entries []*Entry

	recs    []*audit.Record
	results []audit.Result
}

// NewBatch makes the batch of a call. Where it is chained, the entries have copies
// of the records: a lane may still be at work when the caller has given up.
func NewBatch(recs []*audit.Record, chained bool) *Batch {
	b := &Batch{Entries: make([]*Entry, 0, len(recs)), recs: recs, results: make([]audit.Result, len(recs))}
	first := make(map[audit.Ref]*Entry, len(recs))
	for i, r := range recs {
		if b.results[i].Err = Check(r, chained); b.results[i].Err != nil {
			continue
		}
		ref := r.Ref()
		e := first[ref]
		if e == nil {
			e = &Entry{Rec: r}
			if chained {
				e.Rec = Clone(r)
			}
			first[ref] = e
			b.Entries = append(b.Entries, e)
		}
		e.at = append(e.at, i)
	}
	return b
}

// Results gives the verdicts: the first record of an id has that of its entry, and
// its place in the chain; those that repeat it are compared with what is stored
// now. Where not one record was stored and all failed alike, nothing is known of
// any: that is an error of the batch.
func (b *Batch) Results() ([]audit.Result, error) {
	failed := 0
	var last error
	for _, e := range b.Entries {
		if e.Result.Err != nil && audit.Retryable(e.Result.Err) {
			failed, last = failed+1, e.Result.Err
		}
	}
	if failed > 0 && failed == len(b.Entries) {
		return nil, last
	}
	for _, e := range b.Entries {
		b.results[e.at[0]] = e.Result
		if r := b.recs[e.at[0]]; r != e.Rec && e.Result.Err == nil && !e.Result.Duplicate {
			r.Sequence, r.Segment, r.PrevHash, r.Hash = e.Rec.Sequence, e.Rec.Segment, e.Rec.PrevHash, e.Rec.Hash
		}
		for _, i := range e.at[1:] {
			if e.Stored == nil {
				b.results[i].Err = e.Result.Err
			} else {
				b.results[i] = Verdict(e.Stored, b.recs[i])
			}
		}
	}
	return b.results, nil
}

var documents = func() (out []*audit.Field) {
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			out = append(out, f)
		}
	}
	return out
}()

// Clone gives a copy that shares no memory that could be written to.
func Clone(r *audit.Record) *audit.Record {
	c := *r
	for _, f := range documents {
		f.SetBytes(&c, slices.Clone(f.Bytes(r)))
	}
	return &c
}
