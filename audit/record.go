package audit

import "time"

// Record is an accepted event as a store keeps it.
type Record struct {
	Event

	// Kind tells events from the records that Annals writes about itself.
	Kind Kind `json:"kind,omitempty"`
	// RecordedAt is when Annals accepted the event: UTC, whole microseconds.
	RecordedAt time.Time `json:"recorded_at,omitzero"`
	// Level is the recording level that was in force.
	Level string `json:"level,omitempty"`

	// Sequence is the place in the chain of (namespace, tenant, segment),
	// counted from 1; 0 is a record outside any chain.
	Sequence int64 `json:"sequence,omitempty"`
	// Segment is the writer's part of the chain on engines without
	// compare-and-set; empty everywhere else.
	Segment string `json:"segment,omitempty"`
	// PrevHash is the Hash of the record at Sequence-1, zero at the first.
	PrevHash Digest `json:"prev_hash,omitzero"`
	// Hash is SHA-256 over the canonical encoding of all the other fields.
	Hash Digest `json:"hash,omitzero"`
}

// Kind says what a record is about.
type Kind string

// The kinds of records.
const (
	KindEvent Kind = "event" // what an application reported
	KindGap   Kind = "gap"   // counts events of a chained tenant that were not recorded
	KindPrune Kind = "prune" // an anchor: names runs of the chain that retention removed
)

// Kinds are all kinds.
func Kinds() []Kind { return []Kind{KindEvent, KindGap, KindPrune} }

// Ref names one record.
type Ref struct {
	Namespace, Tenant string
	ID                ID
}

// Ref gives the record's name.
func (r *Record) Ref() Ref { return Ref{r.Namespace, r.Tenant, r.ID} }

// Position is a place in the total order of records: by OccurredAt, then by ID.
type Position struct {
	OccurredAt time.Time
	ID         ID
}

// Position gives the record's place in the total order.
func (r *Record) Position() Position { return Position{r.OccurredAt, r.ID} }

// IsZero reports whether the position is absent.
func (p Position) IsZero() bool { return p.OccurredAt.IsZero() && p.ID.IsZero() }

// Compare orders positions, oldest first: -1, 0 or 1.
func (p Position) Compare(other Position) int {
	if c := p.OccurredAt.Compare(other.OccurredAt); c != 0 {
		return c
	}
	return p.ID.Compare(other.ID)
}
