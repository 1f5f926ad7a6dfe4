package chain

import (
	"context"

	"github.com/annals-dev/annals/audit"
)

// Restorer takes in a chain that another store holds, each record as it is, so
// that trails can be moved from one engine to another.
// Fallback: none; a store without it cannot be copied to.
type Restorer interface {
	// Restore stores records of one chain at the places that they have in it, and
	// moves the chain's head from one place to another. [CheckRestore] judges the
	// arguments. It compares: where the chain's head is not from, that is
	// [ErrHeadMoved] and nothing is changed; so a chain that goes on in another
	// way is never overwritten, and a head never goes back. Without records, and
	// with to the same as from, it only compares.
	//
	// A record that is stored already at its place, by an attempt that was cut
	// off, stays as it is. An id that stands for any other record is ErrConflict,
	// which names the id; the head is then not moved past it. After a retryable
	// error [Reader.Heads] tells how far it came: the head is from, to, or at one
	// of the records.
	//
	// Records outside a chain need no Restorer: audit.Store.Append stores them as
	// they are.
	Restore(ctx context.Context, from, to Head, recs []*audit.Record) error
}

// ErrHeadMoved is the ErrConflict of a [Restorer] that found another head than
// the one it was to move.
var ErrHeadMoved error = &audit.Error{Code: audit.CodeConflict, Field: "head", Message: "the chain has another head"}

// HeadAt gives the head of a chain whose last record is r.
func HeadAt(r *audit.Record) Head { return Head{KeyOf(r), r.Sequence, r.Hash} }

// CheckRestore judges the arguments of [Restorer], for engines. from and to are
// heads of one chain, to not before from. The records belong to it, lie after
// from and not after to, in ascending order, and each has the hash that its
// content gives. Those with no hole between them are linked, the first to from
// and the last to to. An error names the record.
func CheckRestore(from, to Head, recs []*audit.Record) error {
	switch {
	case from.Key != to.Key:
		return audit.Invalid("to", "is the head of another chain than from")
	case from.Sequence < 0 || from.Sequence == 0 && !from.Hash.IsZero():
		return audit.Invalid("from", "is not the head of a chain")
	case to.Sequence < from.Sequence:
		return audit.Invalid("to", "is at %d, before from at %d", to.Sequence, from.Sequence)
	case to.Sequence == from.Sequence && to.Hash != from.Hash:
		return audit.Invalid("to", "has another hash than from at the same place")
	}
	s := scratch.Get().(*[]byte)
	buf := *s
	defer func() { keepScratch(s, buf) }()
	last := from
	for _, r := range recs {
		var sum audit.Digest
		sum, buf = HashOf(r, buf)
		switch {
		case r.ID.IsZero():
			return audit.Invalid("id", "is required")
		case KeyOf(r) != from.Key:
			return badLink("segment", r, "belongs to another chain")
		case r.Sequence <= last.Sequence || r.Sequence > to.Sequence:
			return badLink("sequence", r, "is out of order")
		case sum != r.Hash:
			return badLink("hash", r, "has a hash that its content does not give")
		case r.Sequence == last.Sequence+1 && r.PrevHash != last.Hash:
			return badLink("prev_hash", r, "does not follow the record before it")
		}
		last = HeadAt(r)
	}
	if last.Sequence == to.Sequence && last.Hash != to.Hash {
		return audit.Invalid("to", "has another hash than the record at %d", to.Sequence)
	}
	return nil
}

func badLink(field string, r *audit.Record, what string) error {
	return audit.Invalid(field, "the record %s at %d of its chain %s", r.ID, r.Sequence, what)
}

// SameLink reports whether a stored record is r at r's place, which its hash says
// of all fields.
func SameLink(stored, r *audit.Record) bool {
	return stored != nil && stored.Hash == r.Hash && stored.Sequence == r.Sequence && KeyOf(stored) == KeyOf(r) && stored.ID == r.ID
}

// TakenID is the error of a [Restorer] for a record whose id stands for another one.
func TakenID(r *audit.Record) error {
	return &audit.Error{Code: audit.CodeConflict, Field: "id", Message: r.ID.String() + " at " + keyText(KeyOf(r)) + " is there already, as another record or outside this chain"}
}

// keyText names a chain for people.
func keyText(k Key) string {
	text := "namespace \"" + k.Namespace + "\", tenant \"" + k.Tenant + "\""
	if k.Segment != "" {
		text += ", segment \"" + k.Segment + "\""
	}
	return text
}
