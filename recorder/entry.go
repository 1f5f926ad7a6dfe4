package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/annals-dev/annals/audit"
)

// The first byte of an entry: its version and whether the id is of our making.
const (
	entryForeign = 0x10
	entryOwn     = 0x11
)

// appendEntry appends the form in which a record lies in the spool and among
// the dead letters: a byte, then the record as JSON, which people can read. A
// place in a chain is left out, as it is given when the record is stored.
func appendEntry(b []byte, rec *audit.Record, own bool) []byte {
	first := byte(entryForeign)
	if own {
		first = entryOwn
	}
	if rec.Sequence != 0 || !rec.Hash.IsZero() || rec.Segment != "" {
		bare := *rec
		bare.Sequence, bare.Segment, bare.PrevHash, bare.Hash = 0, "", audit.Digest{}, audit.Digest{}
		rec = &bare
	}
	return rec.AppendJSON(append(b, first))
}

// DecodeEntry reads an entry of the spool or a dead letter: the record as the
// door made it, without a place in a chain. An error says what is wrong with it.
func DecodeEntry(entry []byte) (*audit.Record, error) {
	rec, _, err := decodeEntry(entry)
	return rec, err
}

func decodeEntry(entry []byte) (rec *audit.Record, own bool, err error) {
	if len(entry) == 0 {
		return nil, false, audit.Invalid("entry", "is empty")
	}
	if entry[0] != entryForeign && entry[0] != entryOwn {
		return nil, false, audit.Invalid("entry", "begins with %#02x: it is no entry, or one of another version", entry[0])
	}
	if rec, err = audit.DecodeRecord(entry[1:]); err != nil {
		return nil, false, err
	}
	if rec.ID.IsZero() || rec.RecordedAt.IsZero() {
		return nil, false, audit.Invalid("entry", "is a record without id or recorded_at")
	}
	return rec, entry[0] == entryOwn, nil
}

// letterID names a dead letter: the record's id, then what tells this content
// from any other of that id, in this tenant or another.
func letterID(rec *audit.Record, entry []byte) string {
	return fmt.Sprintf("%s-%s", rec.ID, fingerprint(entry))
}

func fingerprint(entry []byte) string {
	sum := sha256.Sum256(entry)
	return hex.EncodeToString(sum[:6])
}
