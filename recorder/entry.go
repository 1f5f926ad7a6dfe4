package recorder

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// The first byte of an entry: its version and whether the id is of our making.
const (
	entryForeign = 0x20
	entryOwn     = 0x21
)

// appendEntry appends the form in which a record lies in the spool and among
// the dead letters: a byte, then the canonical encoding that its hash will
// cover. A place in a chain is left out, as it is given when the record is stored.
func appendEntry(b []byte, rec *audit.Record, own bool) []byte {
	first := byte(entryForeign)
	if own {
		first = entryOwn
	}
	if placed(rec) || !rec.Hash.IsZero() {
		bare := *rec
		bare.Sequence, bare.Segment, bare.PrevHash, bare.Hash = 0, "", audit.Digest{}, audit.Digest{}
		rec = &bare
	}
	return chain.AppendEncoding(append(b, first), rec)
}

// placed reports whether the encoding of the record has a place in a chain.
func placed(rec *audit.Record) bool {
	return rec.Sequence != 0 || rec.Segment != "" || !rec.PrevHash.IsZero()
}

// DecodeEntry reads an entry of the spool or a dead letter: the record as the
// door made it, without a place in a chain. It shares no memory with the entry.
// An error says what is wrong with it.
func DecodeEntry(entry []byte) (*audit.Record, error) {
	rec := new(audit.Record)
	if _, err := decodeEntry(entry, rec); err != nil {
		return nil, err
	}
	return rec, nil
}

// decodeEntry reads an entry into rec, which is zero after an error.
func decodeEntry(entry []byte, rec *audit.Record) (own bool, err error) {
	if len(entry) == 0 {
		return false, audit.Invalid("entry", "is empty")
	}
	if entry[0] != entryForeign && entry[0] != entryOwn {
		return false, audit.Invalid("entry", "begins with %#02x: it is no entry, or one of another version", entry[0])
	}
	if err := chain.DecodeEncoding(entry[1:], rec); err != nil {
		return false, err
	}
	switch {
	case rec.ID.IsZero() || rec.RecordedAt.IsZero():
		err = audit.Invalid("entry", "is a record without id or recorded_at")
	case placed(rec):
		err = audit.Invalid("entry", "is a record with a place in a chain")
	default:
		return entry[0] == entryOwn, nil
	}
	*rec = audit.Record{}
	return false, err
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
