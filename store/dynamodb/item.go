package dynamodb

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// item is what DynamoDB keeps under one key.
type item = map[string]types.AttributeValue

// Attributes of a record that are not named after a field, see [shortNames]. What
// is absent has no attribute. Namespace, tenant and id are in the key.
const (
	attrID         = "id"
	attrPartition  = "ns_tenant"
	attrDispatched = "dispatched_at_ms"
	attrSequence   = "sequence_number"
	attrActionID   = "action_id"
	attrTTL        = "expires_at_ttl"
	attrHeld       = "held" // on a record under legal hold: when it would be deleted without
)

// attribute is how one field is kept.
type attribute struct {
	*audit.Field
	name string
}

// attributes are the fields that have an attribute of their own.
var attributes = func() (out []attribute) {
	for _, f := range audit.Fields() {
		if f.Name != "id" && f.Name != "namespace" && f.Name != "tenant" {
			out = append(out, attribute{f, nameOf(f.Name)})
		}
	}
	return out
}()

var attributeByName = func() map[string]attribute {
	m := map[string]attribute{}
	for _, a := range attributes {
		m[a.name] = a
	}
	return m
}()

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

// numeric is a number that is text already.
func numeric(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }

func binary(b []byte) types.AttributeValue { return &types.AttributeValueMemberB{Value: b} }

func textOf(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

func numberOf(v types.AttributeValue) int64 {
	if n, ok := v.(*types.AttributeValueMemberN); ok {
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err == nil {
			return i
		}
	}
	return 0
}

func binaryOf(v types.AttributeValue) []byte {
	if b, ok := v.(*types.AttributeValueMemberB); ok {
		return b.Value
	}
	return nil
}

// contains reports whether a set of texts has one.
func contains(v types.AttributeValue, s string) bool {
	set, ok := v.(*types.AttributeValueMemberSS)
	return ok && slices.Contains(set.Value, s)
}

func digestOf(v types.AttributeValue) (d audit.Digest) {
	copy(d[:], binaryOf(v))
	return d
}

func keyOf(id string) item { return item{attrID: text(id)} }

// encode makes the item of a record. It shares no memory with it that could be
// written to.
func encode(r *audit.Record) item {
	m := make(item, 40)
	part := partition(r.Scope())
	m[attrID] = text(recordKey(part, r.ID))
	m[attrPartition] = text(part)
	m[attrDispatched] = number(r.OccurredAt.UnixMilli())
	for _, a := range attributes {
		switch a.Kind {
		case audit.Text, audit.Document:
			if s := a.Text(r); s != "" {
				m[a.name] = text(s)
			}
		case audit.Hash:
			if b := a.Bytes(r); b != nil {
				m[a.name] = binary(append([]byte(nil), b...))
			}
		default:
			if n := a.Int(r); n != 0 {
				m[a.name] = number(n)
			}
		}
	}
	return m
}

// decode makes the record of an item.
func decode(m item) (*audit.Record, error) {
	r := new(audit.Record)
	key := textOf(m[attrID])
	scope, id, ok := splitRecordKey(key)
	if !ok {
		return nil, &audit.Error{Code: audit.CodeInternal, Message: fmt.Sprintf("the item %.100q is not a record", key)}
	}
	r.Namespace, r.Tenant, r.ID = scope.Namespace, scope.Tenant, id
	for name, v := range m {
		a, ok := attributeByName[name]
		if !ok {
			continue
		}
		switch a.Kind {
		case audit.Text:
			a.SetText(r, textOf(v))
		case audit.Document:
			a.SetBytes(r, []byte(textOf(v)))
		case audit.Hash:
			a.SetBytes(r, binaryOf(v))
		default:
			a.SetInt(r, numberOf(v))
		}
	}
	return r, nil
}

// Limits of DynamoDB ("Service, account, and table quotas").
const (
	maxItem        = 400 << 10 // bytes of an item, names included
	maxTransaction = 4 << 20   // bytes of all items of a transaction
	maxActions     = 100       // items of a transaction
	maxBatchBytes  = 16 << 20  // bytes of a BatchWriteItem
	maxBatchWrite  = 25        // items of a BatchWriteItem
	maxBatchGet    = 100       // items of a BatchGetItem
	// ttlReach is how old a time may be for TTL to act on it ("Time to Live"); what
	// is older is never deleted.
	ttlReach = 5 * 365 * 24 * time.Hour
)

// overhead is what the item of a record has at most beside its texts and
// documents: names, key, numbers, hashes, times; see TestOverhead.
const overhead = 4 << 10

// recordBytes is the largest record, as audit.Truncate counts it.
const recordBytes = maxItem - overhead

// sizeOf gives the size of an item as DynamoDB counts it ("Item sizes and
// formats"), or a little more.
func sizeOf(m item) int {
	n := 0
	for name, v := range m {
		n += len(name)
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			n += len(v.Value)
		case *types.AttributeValueMemberN:
			n += len(v.Value)/2 + 2
		case *types.AttributeValueMemberB:
			n += len(v.Value)
		case *types.AttributeValueMemberSS:
			for _, s := range v.Value {
				n += len(s)
			}
		}
	}
	return n
}

// tooLarge is the verdict on a record that no item can hold.
func tooLarge(size int) error {
	return &audit.Error{Code: audit.CodeTooLarge, Message: fmt.Sprintf("the record takes %d bytes in DynamoDB, at most %d are allowed", size, maxItem)}
}
