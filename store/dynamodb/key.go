package dynamodb

import (
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// The partition key of every item is made of parts with a # between them; a #
// within a part is escaped. A record has three parts: namespace, tenant, id.
// Every other item has four, of which the first says what it is; so no item can
// have the key of another.
//
//	{namespace}#{tenant}#{id}          a record
//	SEQ#{namespace}#{tenant}#{seq}     the fence of a place in a chain; {segment}/{seq} in that of a segment
//	HEAD#{namespace}#{tenant}#         the head of a chain; {segment} is after it where the chain is one
//	SEGS#{namespace}#{tenant}#         the segments of a scope
//	LEAD#{namespace}#{tenant}#         how far ahead records of a scope are dated
//	PRUNE#{namespace}#{tenant}#{id}    says that the record of this id is an anchor
//	DIR###{shard}                      scopes that have records
//	KEPT###{key}                       a document of audit.Keeper
//	HOLDS###                           the legal holds that writers heed
//	SCHEMA###                          the version of all this
const (
	kindFence  = "SEQ"
	kindHead   = "HEAD"
	kindSegs   = "SEGS"
	kindLead   = "LEAD"
	kindPrune  = "PRUNE"
	kindDir    = "DIR"
	kindKept   = "KEPT"
	kindHolds  = "HOLDS"
	kindSchema = "SCHEMA"
)

var escaper = strings.NewReplacer("%", "%25", "#", "%23")

// escape makes a part of a key: # and the % that escapes it are escaped.
func escape(part string) string {
	if !strings.ContainsAny(part, "%#") {
		return part
	}
	return escaper.Replace(part)
}

var unescaper = strings.NewReplacer("%23", "#", "%25", "%")

func unescape(part string) string {
	if !strings.Contains(part, "%") {
		return part
	}
	return unescaper.Replace(part)
}

// partition gives ns_tenant, the partition of a scope in the indexes.
func partition(scope audit.Scope) string { return escape(scope.Namespace) + "#" + escape(scope.Tenant) }

// scopeOf reads a partition.
func scopeOf(partition string) (audit.Scope, bool) {
	namespace, tenant, ok := strings.Cut(partition, "#")
	if !ok || strings.Contains(tenant, "#") {
		return audit.Scope{}, false
	}
	return audit.Scope{Namespace: unescape(namespace), Tenant: unescape(tenant)}, true
}

func recordKey(partition string, id audit.ID) string { return partition + "#" + id.String() }

// splitRecordKey reads the key of a record.
func splitRecordKey(key string) (scope audit.Scope, id audit.ID, ok bool) {
	at := strings.LastIndexByte(key, '#')
	if at < 0 {
		return audit.Scope{}, audit.ID{}, false
	}
	if scope, ok = scopeOf(key[:at]); !ok {
		return audit.Scope{}, audit.ID{}, false
	}
	id, err := audit.ParseID(key[at+1:])
	// A UUID may be written in either case, and a key in one only.
	return scope, id, err == nil && id.String() == key[at+1:]
}

func fenceKey(partition, segment string, sequence int64) string {
	key := kindFence + "#" + partition + "#"
	if segment != "" {
		key += escape(segment) + "/"
	}
	return key + strconv.FormatInt(sequence, 10)
}

// splitFenceKey reads what of a fence's key comes after the partition.
func splitFenceKey(key string) (segment string, sequence int64, ok bool) {
	key = key[strings.LastIndexByte(key, '#')+1:]
	if at := strings.LastIndexByte(key, '/'); at >= 0 {
		segment, key = unescape(key[:at]), key[at+1:]
	}
	sequence, err := strconv.ParseInt(key, 10, 64)
	return segment, sequence, err == nil
}

func headKey(partition, segment string) string {
	return kindHead + "#" + partition + "#" + escape(segment)
}

func segmentsKey(partition string) string { return kindSegs + "#" + partition + "#" }

func leadKey(partition string) string { return kindLead + "#" + partition + "#" }

func pruneKey(partition string, id audit.ID) string {
	return kindPrune + "#" + partition + "#" + id.String()
}

func ownKey(kind, name string) string { return kind + "###" + name }

// duePartition holds, in the index over time, the fences of a scope by the time
// at which DynamoDB may delete their records. It has a # more than that of a
// scope.
func duePartition(partition string) string { return "DUE#" + partition }

// prunePartition holds, in the index over actions, what says which records are
// anchors of a scope. No text of a record has a NUL.
func prunePartition(partition string) string { return "\x00PRUNE#" + partition }
