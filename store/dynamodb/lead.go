package dynamodb

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// The indexes are in the order of when things happened, and the ceiling is about
// when they were recorded. To search what is over the ceiling without reading
// everything, a scope remembers how far a record of it was dated ahead of its
// recording: nothing that was recorded before the ceiling is dated later than
// that after it. Most records are dated before they are recorded, and up to
// [freeLead] nothing needs to be remembered.
const (
	freeLead = int64(time.Hour / time.Millisecond)
	attrLead = "lead_ms"
)

// leads is what this process knows to be remembered.
type leads struct {
	mu    sync.Mutex
	known map[string]int64
}

// noteLeads remembers how far ahead the entries are dated, before they are stored.
func (s *Store) noteLeads(ctx context.Context, entries []*entry) error {
	var fresh map[string]int64
	for _, e := range entries {
		lead := e.Rec.OccurredAt.Sub(e.Rec.RecordedAt)
		if lead <= time.Hour {
			continue
		}
		ms := lead.Milliseconds() + 1
		if lead == maxLead {
			ms = int64(audit.MaxYear) * 366 * 24 * freeLead // farther than a time.Duration reaches
		}
		part := partition(e.Rec.Scope())
		s.leads.mu.Lock()
		known := s.leads.known[part]
		s.leads.mu.Unlock()
		if ms <= known {
			continue
		}
		if fresh == nil {
			fresh = map[string]int64{}
		}
		fresh[part] = max(fresh[part], ms)
	}
	for part, ms := range fresh {
		_, _, err := call(ctx, s, s.client.UpdateItem, &dynamodb.UpdateItemInput{
			TableName: aws.String(s.opt.TableName), Key: keyOf(leadKey(part)),
			UpdateExpression:          aws.String("SET " + attrLead + " = :ms"),
			ConditionExpression:       aws.String("attribute_not_exists(" + attrLead + ") OR " + attrLead + " < :ms"),
			ExpressionAttributeValues: item{":ms": number(ms)},
		})
		var more *types.ConditionalCheckFailedException
		if err != nil && !errors.As(err, &more) {
			return s.translate(ctx, err, 1)
		}
		s.leads.mu.Lock()
		if s.leads.known == nil {
			s.leads.known = map[string]int64{}
		}
		s.leads.known[part] = max(s.leads.known[part], ms)
		s.leads.mu.Unlock()
	}
	return nil
}

// maxLead is what time.Time.Sub gives for anything farther.
const maxLead = time.Duration(1<<63 - 1)

// leadOf gives, in milliseconds, how far ahead a record of the partition is dated
// at most.
func (s *Store) leadOf(ctx context.Context, part string) (int64, error) {
	m, err := s.getItem(ctx, leadKey(part))
	if err != nil {
		return 0, err
	}
	return max(freeLead, numberOf(m[attrLead])), nil
}
