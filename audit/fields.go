package audit

import (
	"encoding/json"
	"time"
)

// Limits of texts in bytes. A limit is what the smallest of the engines can
// index without effort, except for texts that only people read.
const (
	limitScope = 128  // namespace and tenant
	limitName  = 256  // words and identifiers
	limitLong  = 1024 // names for people, user agents, paths, ARNs
	limitProse = 8192 // error messages
)

// Fields is the table of every stored field, in the order in which the JSON
// and CSV forms give them. Its entries must not be changed.
//
// A new field is one entry here, a struct field, a column in each store's one
// mapping, and a migration; a new Tag, never an old one.
func Fields() []*Field { return fields }

// Dimensions are the fields that can be filtered by.
func Dimensions() []*Field { return dimensions }

// FieldByName finds a field by its Name.
func FieldByName(name string) (*Field, bool) {
	f, ok := byName[name]
	return f, ok
}

var fields = []*Field{
	{Name: "id", Path: "id", Tag: 1, Kind: Identity, Ops: OpIs | OpNot, Doc: "id of the record, a UUID", raw: func(r *Record) []byte { return r.ID[:] }},
	text("external_id", "external_id", 2, MaxExternalID, "the sender's own id where it is not a UUID", func(r *Record) *string { return &r.ExternalID }),
	text("namespace", "namespace", 3, limitScope, "subdivision; with the tenant it names a chain", func(r *Record) *string { return &r.Namespace }),
	text("tenant", "tenant", 4, limitScope, "isolation boundary; with the namespace it names a chain", func(r *Record) *string { return &r.Tenant }),
	text("kind", "kind", 5, limitScope, "event, gap (not recorded, counted) or prune (removed by retention)", func(r *Record) *string { return (*string)(&r.Kind) }),
	instant("occurred_at", "occurred_at", 6, 0, "when it happened; filter by from and to", func(r *Record) *time.Time { return &r.OccurredAt }),
	instant("recorded_at", "recorded_at", 7, OpRange, "when Annals accepted it", func(r *Record) *time.Time { return &r.RecordedAt }),
	{Name: "duration_ms", Path: "duration_ms", Tag: 8, Kind: Span, Ops: OpRange, Doc: "how long it took, milliseconds with microsecond resolution; 0 is not measured", span: func(r *Record) *time.Duration { return &r.Duration }},

	text("action", "action", 9, limitName, "what was done, dotted, e.g. tool.create", func(r *Record) *string { return &r.Action }),
	text("operation", "operation", 10, limitScope, "create, read, update, delete, execute or other", func(r *Record) *string { return (*string)(&r.Operation) }),
	text("action_id", "action_id", 11, limitName, "id of the action that one or more records describe", func(r *Record) *string { return &r.ActionID }),
	text("outcome", "outcome", 12, limitScope, "success, failure, denied or pending (an intent)", func(r *Record) *string { return (*string)(&r.Outcome) }),
	text("level", "level", 13, limitScope, "the recording level in force", func(r *Record) *string { return &r.Level }),

	text("actor_type", "actor.type", 14, limitName, "kind of actor, e.g. user, service, agent", func(r *Record) *string { return &r.Actor.Type }),
	text("actor", "actor.id", 15, limitName, "id of who did it", func(r *Record) *string { return &r.Actor.ID }),
	text("actor_name", "actor.name", 16, limitLong, "name of who did it", func(r *Record) *string { return &r.Actor.Name }),
	text("actor_email", "actor.email", 17, limitName, "e-mail of who did it", func(r *Record) *string { return &r.Actor.Email }),
	text("actor_team", "actor.team", 18, limitName, "team of who did it", func(r *Record) *string { return &r.Actor.Team }),
	text("actor_ip", "actor.ip", 19, limitName, "source address", func(r *Record) *string { return &r.Actor.IP }),
	text("user_agent", "actor.user_agent", 20, limitLong, "client program", func(r *Record) *string { return &r.Actor.UserAgent }),
	text("session_id", "actor.session_id", 21, limitName, "session of the actor", func(r *Record) *string { return &r.Actor.SessionID }),
	text("auth_method", "actor.auth_method", 22, limitName, "how the actor proved who it is", func(r *Record) *string { return &r.Actor.AuthMethod }),
	text("on_behalf_of", "actor.on_behalf_of", 23, limitName, "for whom it was done", func(r *Record) *string { return &r.Actor.OnBehalfOf }),

	text("resource_type", "resource.type", 24, limitName, "kind of resource", func(r *Record) *string { return &r.Resource.Type }),
	text("resource", "resource.id", 25, limitLong, "id of the resource", func(r *Record) *string { return &r.Resource.ID }),
	text("resource_name", "resource.name", 26, limitLong, "name of the resource", func(r *Record) *string { return &r.Resource.Name }),

	prose("error", "error", 27, "what went wrong, for people", func(r *Record) *string { return &r.Error }),
	text("error_code", "error_code", 28, limitName, "what went wrong, for programs", func(r *Record) *string { return &r.ErrorCode }),
	text("verdict", "verdict", 29, limitName, "what a policy engine decided", func(r *Record) *string { return &r.Verdict }),
	text("rule", "rule", 30, limitName, "the rule that decided", func(r *Record) *string { return &r.Rule }),

	text("tool_name", "tool.name", 31, limitName, "tool that was called", func(r *Record) *string { return &r.Tool.Name }),
	text("toolkit_kind", "tool.kind", 32, limitName, "kind of toolkit, e.g. trino, datahub", func(r *Record) *string { return &r.Tool.Kind }),
	text("toolkit", "tool.toolkit", 33, limitName, "name of the toolkit", func(r *Record) *string { return &r.Tool.Toolkit }),
	text("connection", "tool.connection", 34, limitName, "connection the tool used", func(r *Record) *string { return &r.Tool.Connection }),
	text("persona", "tool.persona", 35, limitName, "persona the agent acted as", func(r *Record) *string { return &r.Tool.Persona }),
	text("purpose", "tool.purpose", 36, limitLong, "why the tool was called", func(r *Record) *string { return &r.Tool.Purpose }),
	{Name: "enriched", Path: "tool.enrichment.applied", Tag: 37, Kind: Flag, Ops: OpIs | OpNot, Doc: "whether context was added to the answer: true or false", flag: func(r *Record) *bool { return &r.Tool.Enrichment.Applied }},
	text("enrichment_mode", "tool.enrichment.mode", 38, limitName, "full, summary, reference or none", func(r *Record) *string { return &r.Tool.Enrichment.Mode }),
	number("tokens_full", "tool.enrichment.tokens_full", 39, "tokens without deduplication", func(r *Record) *int64 { return &r.Tool.Enrichment.TokensFull }),
	number("tokens_dedup", "tool.enrichment.tokens_dedup", 40, "tokens after deduplication", func(r *Record) *int64 { return &r.Tool.Enrichment.TokensDedup }),

	text("service", "source.service", 41, limitName, "service that reported it", func(r *Record) *string { return &r.Source.Service }),
	text("provider", "source.provider", 42, limitName, "provider the service ran on or called", func(r *Record) *string { return &r.Source.Provider }),
	text("transport", "source.transport", 43, limitName, "transport, e.g. http, stdio", func(r *Record) *string { return &r.Source.Transport }),
	text("host", "source.host", 44, limitName, "host that reported it", func(r *Record) *string { return &r.Source.Host }),

	text("request_id", "request.id", 45, limitName, "id of the request", func(r *Record) *string { return &r.Request.ID }),
	text("correlation_id", "request.correlation_id", 46, limitName, "joins the records of one piece of work", func(r *Record) *string { return &r.Request.CorrelationID }),
	text("trace_id", "request.trace_id", 47, limitName, "W3C trace id", func(r *Record) *string { return &r.Request.TraceID }),
	text("span_id", "request.span_id", 48, limitName, "W3C span id", func(r *Record) *string { return &r.Request.SpanID }),
	text("method", "request.method", 49, limitName, "method of the request", func(r *Record) *string { return &r.Request.Method }),
	text("path", "request.path", 50, limitLong, "path of the request", func(r *Record) *string { return &r.Request.Path }),
	number("request_bytes", "request.bytes", 51, "size of the request", func(r *Record) *int64 { return &r.Request.Bytes }),
	number("response_bytes", "response.bytes", 52, "size of the response", func(r *Record) *int64 { return &r.Response.Bytes }),
	number("response_blocks", "response.blocks", 53, "content blocks of the response", func(r *Record) *int64 { return &r.Response.Blocks }),

	instant("expires_at", "expires_at", 54, OpRange, "when it may be deleted", func(r *Record) *time.Time { return &r.ExpiresAt }),

	number("sequence", "sequence", 55, "place in the chain, from 1", func(r *Record) *int64 { return &r.Sequence }),
	text("segment", "segment", 56, limitName, "writer's part of the chain, on engines without compare-and-set", func(r *Record) *string { return &r.Segment }),
	{Name: "prev_hash", Path: "prev_hash", Tag: 57, Kind: Hash, Doc: "hash of the record before", raw: func(r *Record) []byte { return r.PrevHash[:] }},
	{Name: "hash", Path: "hash", Tag: 58, Kind: Hash, Doc: "SHA-256 of the canonical encoding of all other fields", raw: func(r *Record) []byte { return r.Hash[:] }},

	document("details", "details", 59, "what else is known of the outcome", func(r *Record) *json.RawMessage { return &r.Details }),
	document("parameters", "tool.parameters", 60, "parameters of the tool call", func(r *Record) *json.RawMessage { return &r.Tool.Parameters }),
	document("changes_before", "changes.before", 61, "the resource before", func(r *Record) *json.RawMessage { return &r.Changes.Before }),
	document("changes_after", "changes.after", 62, "the resource after", func(r *Record) *json.RawMessage { return &r.Changes.After }),
	document("metadata", "metadata", 63, "a JSON object; filter by metadata.KEY", func(r *Record) *json.RawMessage { return &r.Metadata }),
	document("payload", "payload", 64, "any JSON document", func(r *Record) *json.RawMessage { return &r.Payload }),
}

var (
	dimensions []*Field
	byName     = map[string]*Field{}
	byPath     = map[string]*Field{}
	textFields []*Field
	docFields  []*Field

	numberFields  []*Field
	instantFields []*Field
)

func init() {
	for _, f := range fields {
		byName[f.Name], byPath[f.Path] = f, f
		if f.Ops != 0 {
			dimensions = append(dimensions, f)
		}
		switch f.Kind {
		case Text:
			textFields = append(textFields, f)
		case Document:
			docFields = append(docFields, f)
		case Number:
			numberFields = append(numberFields, f)
		case Instant:
			instantFields = append(instantFields, f)
		}
	}
}

func text(name, path string, tag, limit int, doc string, at func(*Record) *string) *Field {
	return &Field{Name: name, Path: path, Tag: tag, Kind: Text, Limit: limit, Ops: opsText, Doc: doc, text: at}
}

// prose is a text that full text search covers and filters do not.
func prose(name, path string, tag int, doc string, at func(*Record) *string) *Field {
	return &Field{Name: name, Path: path, Tag: tag, Kind: Text, Limit: limitProse, Doc: doc, text: at}
}

func number(name, path string, tag int, doc string, at func(*Record) *int64) *Field {
	return &Field{Name: name, Path: path, Tag: tag, Kind: Number, Ops: opsNumber, Doc: doc, num: at}
}

func instant(name, path string, tag int, ops Ops, doc string, at func(*Record) *time.Time) *Field {
	return &Field{Name: name, Path: path, Tag: tag, Kind: Instant, Ops: ops, Doc: doc, inst: at}
}

func document(name, path string, tag int, doc string, at func(*Record) *json.RawMessage) *Field {
	return &Field{Name: name, Path: path, Tag: tag, Kind: Document, Doc: doc, doc: at}
}
