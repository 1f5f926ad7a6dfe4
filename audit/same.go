package audit

import "bytes"

// doorFields are what Annals says of a record and the sender does not.
// expires_at is among them although a sender may set it: where the retention
// settings stamp it, it differs from one delivery to the next.
var doorFields = map[string]bool{
	"recorded_at": true, "level": true, "expires_at": true,
	"sequence": true, "segment": true, "prev_hash": true, "hash": true,
}

var senderFields = func() (out []*Field) {
	for _, f := range fields {
		if !doorFields[f.Name] && f.Name != "occurred_at" {
			out = append(out, f)
		}
	}
	return out
}()

// SameContent reports whether two normalised records say the same, so that the
// one is a repeated delivery of the other: [Store.Append] then answers that the
// record is a duplicate, and ErrConflict otherwise.
//
// Compared is every field but those that Annals sets at each delivery:
// recorded_at, level, sequence, segment, prev_hash, hash and expires_at (which
// the retention settings stamp, so it says nothing of the content even where
// the sender chose it). Documents are compared byte by byte.
//
// occurred_at is compared too, with one exception. An event that carries an id
// and no time gets the time of each delivery, and its repetition must not be a
// conflict. Where both records occurred exactly when they were recorded, the
// door filled in both times, and they are not compared. A sender whose own time
// is, to the microsecond, the time of both deliveries cannot be told from that.
func SameContent(a, b *Record) bool {
	filled := a.OccurredAt.Equal(a.RecordedAt) && b.OccurredAt.Equal(b.RecordedAt)
	if !filled && !a.OccurredAt.Equal(b.OccurredAt) {
		return false
	}
	for _, f := range senderFields {
		switch f.Kind {
		case Text:
			if *f.text(a) != *f.text(b) {
				return false
			}
		case Document, Identity, Hash:
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
