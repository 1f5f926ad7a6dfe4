package chain

import (
	"encoding/json"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Actions of the records that Annals writes about a chain itself.
const (
	ActionPrune = "annals.prune"
	ActionGap   = "annals.gap"
)

// Run is a stretch of a chain, without holes, that retention removed.
type Run struct {
	First    int64        `json:"first"`     // sequence of its first record
	Last     int64        `json:"last"`      // sequence of its last record
	PrevHash audit.Digest `json:"prev_hash"` // PrevHash of the first
	Hash     audit.Digest `json:"hash"`      // Hash of the last
}

// MaxRuns is how many runs one anchor holds at most, about 200 kB; more need
// another anchor.
const MaxRuns = 1000

// Anchor makes the record that stands for removed runs of a chain, ready to be
// sealed and stored in the transaction that removes them. Where the engine has
// no such transaction the anchor is stored first and the records of each run are
// removed in ascending order: a verification in between then finds no fault.
func Anchor(key Key, runs []Run, reason string, now time.Time) *audit.Record {
	var count int64
	for _, r := range runs {
		count += r.Last - r.First + 1
	}
	payload, _ := json.Marshal(anchorPayload{Runs: runs, Records: count, Reason: reason, Segment: key.Segment}) // plain structs cannot fail
	payload, _ = audit.CompactDocument(payload)                                                                 // in the form that every record has
	return &audit.Record{
		Kind: audit.KindPrune,
		Event: audit.Event{
			ID: audit.NewID(), Namespace: key.Namespace, Tenant: key.Tenant, OccurredAt: audit.FromMicros(now.UnixMicro()),
			Action: ActionPrune, Operation: audit.Delete, Outcome: audit.Success,
			Actor: audit.Actor{Type: "service", ID: "annals"}, Payload: payload,
		},
		RecordedAt: audit.FromMicros(now.UnixMicro()),
		Segment:    key.Segment,
	}
}

// anchorPayload names the segment of the removed runs, because on engines with
// segments another writer than their owner may remove them; the anchor itself
// then lies in that writer's segment.
type anchorPayload struct {
	Records int64  `json:"records"`
	Reason  string `json:"reason"`
	Segment string `json:"segment,omitempty"`
	Runs    []Run  `json:"runs"`
}

// Link is the part of a record that an anchor needs.
type Link struct {
	Sequence       int64
	PrevHash, Hash audit.Digest
}

// Runs gathers links, in ascending order of their sequence, into runs.
func Runs(links []Link) []Run {
	var runs []Run
	for _, l := range links {
		if n := len(runs); n > 0 && runs[n-1].Last+1 == l.Sequence {
			runs[n-1].Last, runs[n-1].Hash = l.Sequence, l.Hash
			continue
		}
		runs = append(runs, Run{First: l.Sequence, Last: l.Sequence, PrevHash: l.PrevHash, Hash: l.Hash})
	}
	return runs
}
