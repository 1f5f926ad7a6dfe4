package audit

import (
	"encoding/json"
	"time"
)

// Event is what an application reports: who did what on what, and how it ended.
// Only Action is required. Texts are at most as long as [Fields] says; longer
// ones are cut by the rule at [Normalize].
//
// An Event that was handed in must not be changed afterwards, and neither must
// the documents it points to. Its JSON form is that of [Fields], which writing
// and reading follow; the tags repeat the names for people and generators.
type Event struct {
	// ID is the sender's own id, which makes a repeated delivery harmless;
	// the zero ID lets Annals choose one. See [IDFrom] for identifiers that are not UUIDs.
	ID         ID     `json:"id,omitzero"`
	ExternalID string `json:"external_id,omitempty"`

	// Namespace and Tenant are the isolation boundary: ids are unique and the
	// hash chain runs within the pair. At most 128 bytes each.
	Namespace string `json:"namespace,omitempty"`
	Tenant    string `json:"tenant,omitempty"`

	// OccurredAt is when it happened; zero means now. Kept in UTC and in whole
	// microseconds, cut (not rounded) once, before anything is hashed.
	OccurredAt time.Time `json:"occurred_at,omitzero"`
	// Duration is how long it took, in whole microseconds; zero means not measured.
	Duration time.Duration `json:"duration_ms,omitempty"`

	Action    string    `json:"action"`              // what was done, dotted, e.g. "tool.create"
	Operation Operation `json:"operation,omitempty"` // its class; derived from the action's verb when empty
	ActionID  string    `json:"action_id,omitempty"` // the dispatch that one or more records describe

	Actor    Actor    `json:"actor,omitzero"`
	Resource Resource `json:"resource,omitzero"`
	Changes  Changes  `json:"changes,omitzero"`

	Outcome   Outcome         `json:"outcome,omitempty"` // success when empty
	Error     string          `json:"error,omitempty"`
	ErrorCode string          `json:"error_code,omitempty"`
	Verdict   string          `json:"verdict,omitempty"` // what a policy engine said, e.g. "allow"
	Rule      string          `json:"rule,omitempty"`    // the rule that said so
	Details   json.RawMessage `json:"details,omitempty"`

	Tool     Tool     `json:"tool,omitzero"`
	Source   Source   `json:"source,omitzero"`
	Request  Request  `json:"request,omitzero"`
	Response Response `json:"response,omitzero"`

	Payload  json.RawMessage `json:"payload,omitempty"`  // any JSON document
	Metadata json.RawMessage `json:"metadata,omitempty"` // a JSON object whose keys can be filtered by

	// ExpiresAt is when the record may be deleted; zero leaves it to the retention settings.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Actor is who did it.
type Actor struct {
	Type       string `json:"type,omitempty"` // e.g. user, service, agent; "unknown" when nothing names the actor
	ID         string `json:"id,omitempty"`
	Name       string `json:"name,omitempty"`
	Email      string `json:"email,omitempty"`
	Team       string `json:"team,omitempty"`
	IP         string `json:"ip,omitempty"`
	UserAgent  string `json:"user_agent,omitempty"`
	SessionID  string `json:"session_id,omitempty"`
	AuthMethod string `json:"auth_method,omitempty"`
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
}

// Resource is what it was done on.
type Resource struct {
	Type string `json:"type,omitempty"`
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

// Changes holds the resource as it was and as it became, any JSON documents.
type Changes struct {
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Tool is the agent-tool context of a call.
type Tool struct {
	Name       string          `json:"name,omitempty"`
	Kind       string          `json:"kind,omitempty"`    // the toolkit's kind, e.g. trino, datahub
	Toolkit    string          `json:"toolkit,omitempty"` // the toolkit's name
	Connection string          `json:"connection,omitempty"`
	Persona    string          `json:"persona,omitempty"`
	Purpose    string          `json:"purpose,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Enrichment Enrichment      `json:"enrichment,omitzero"`
}

// Enrichment says what context was added to a tool's answer.
type Enrichment struct {
	Applied     bool   `json:"applied,omitempty"`
	Mode        string `json:"mode,omitempty"`         // full, summary, reference, none
	TokensFull  int64  `json:"tokens_full,omitempty"`  // tokens without deduplication
	TokensDedup int64  `json:"tokens_dedup,omitempty"` // tokens after deduplication
}

// Source is where the event came from.
type Source struct {
	Service   string `json:"service,omitempty"`
	Provider  string `json:"provider,omitempty"`
	Transport string `json:"transport,omitempty"`
	Host      string `json:"host,omitempty"`
}

// Request joins the event to the request it belongs to.
type Request struct {
	ID            string `json:"id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	TraceID       string `json:"trace_id,omitempty"`
	SpanID        string `json:"span_id,omitempty"`
	Method        string `json:"method,omitempty"`
	Path          string `json:"path,omitempty"`
	Bytes         int64  `json:"bytes,omitempty"`
}

// Response says how large the answer was.
type Response struct {
	Bytes  int64 `json:"bytes,omitempty"`
	Blocks int64 `json:"blocks,omitempty"` // content blocks of a tool's answer
}

// Outcome is how it ended.
type Outcome string

// The outcomes. Pending is the intent written before an action runs; the
// record of its end carries one of the other three and the same ActionID.
const (
	Success Outcome = "success"
	Failure Outcome = "failure"
	Denied  Outcome = "denied"
	Pending Outcome = "pending"
)

// Outcomes are all outcomes.
func Outcomes() []Outcome { return []Outcome{Success, Failure, Denied, Pending} }

// Failed reports whether the outcome is a failure or a denial.
func (o Outcome) Failed() bool { return o == Failure || o == Denied }

// Operation is the class of an action; recording levels and sampling decide on it.
type Operation string

// The operations.
const (
	Create  Operation = "create"
	Read    Operation = "read"
	Update  Operation = "update"
	Delete  Operation = "delete"
	Execute Operation = "execute"
	Other   Operation = "other"
)

// Operations are all operations.
func Operations() []Operation { return []Operation{Create, Read, Update, Delete, Execute, Other} }
