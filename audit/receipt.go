package audit

// Receipt is the answer to one reported event.
type Receipt struct {
	ID     ID
	Status Status
	// Reason says why an event was filtered (the policy's rule) or rejected.
	Reason string
	// Sequence and Hash are the chain position; known only once the store has
	// answered, so zero when Status is queued.
	Sequence int64
	Hash     Digest
	// Err is why the event was rejected, for batches; a single call returns it instead.
	Err error
}

// Status says what became of a reported event.
type Status string

// The statuses.
const (
	StatusRecorded  Status = "recorded"  // the store has it
	StatusQueued    Status = "queued"    // accepted under the durability in force; the store will have it
	StatusFiltered  Status = "filtered"  // the policy does not record it; Reason says which rule
	StatusDuplicate Status = "duplicate" // it was there before, with the same content
	StatusRejected  Status = "rejected"  // it is not recorded and never will be, or there was no room
)

// Scope is the pair that names an isolation boundary and, with it, a chain.
type Scope struct {
	Namespace string `json:"namespace"`
	Tenant    string `json:"tenant"`
}

// Scope gives the record's isolation boundary.
func (r *Record) Scope() Scope { return Scope{r.Namespace, r.Tenant} }
