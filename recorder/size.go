package recorder

import (
	"unsafe"

	"github.com/annals-dev/annals/audit"
)

// sizeOf estimates what a record takes in memory: the struct, its texts and its
// documents. Texts that share memory count each.
func sizeOf(r *audit.Record) int32 {
	a, t, q := &r.Actor, &r.Tool, &r.Request
	n := int(unsafe.Sizeof(*r)) + int(unsafe.Sizeof(item{})) +
		len(r.ExternalID) + len(r.Namespace) + len(r.Tenant) + len(r.Action) + len(r.Operation) + len(r.ActionID) +
		len(a.Type) + len(a.ID) + len(a.Name) + len(a.Email) + len(a.Team) + len(a.IP) + len(a.UserAgent) +
		len(a.SessionID) + len(a.AuthMethod) + len(a.OnBehalfOf) +
		len(r.Resource.Type) + len(r.Resource.ID) + len(r.Resource.Name) +
		len(r.Outcome) + len(r.Error) + len(r.ErrorCode) + len(r.Verdict) + len(r.Rule) +
		len(t.Name) + len(t.Kind) + len(t.Toolkit) + len(t.Connection) + len(t.Persona) + len(t.Purpose) + len(t.Enrichment.Mode) +
		len(r.Source.Service) + len(r.Source.Provider) + len(r.Source.Transport) + len(r.Source.Host) +
		len(q.ID) + len(q.CorrelationID) + len(q.TraceID) + len(q.SpanID) + len(q.Method) + len(q.Path) +
		len(r.Kind) + len(r.Level) + len(r.Segment) +
		len(r.Details) + len(t.Parameters) + len(r.Changes.Before) + len(r.Changes.After) + len(r.Metadata) + len(r.Payload)
	return int32(n)
}
