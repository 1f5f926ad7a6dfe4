package dynamodb

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// set changes one attribute of an item behind the store's back; nil removes it.
func set(t *testing.T, s *Store, key, attr string, v any) {
	t.Helper()
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String(s.opt.TableName), Key: keyOf(key),
		UpdateExpression: aws.String("REMOVE #a"), ExpressionAttributeNames: map[string]string{"#a": attr},
	}
	switch v := v.(type) {
	case string:
		in.UpdateExpression, in.ExpressionAttributeValues = aws.String("SET #a = :v"), item{":v": text(v)}
	case int64:
		in.UpdateExpression, in.ExpressionAttributeValues = aws.String("SET #a = :v"), item{":v": number(v)}
	case []byte:
		in.UpdateExpression, in.ExpressionAttributeValues = aws.String("SET #a = :v"), item{":v": binary(v)}
	}
	if _, err := s.client.UpdateItem(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

// What is changed behind the store's back is found.
func TestTampering(t *testing.T) {
	inFullRuns(t)
	part := partition(scopeA)
	for _, c := range []struct {
		name   string
		change func(t *testing.T, s *Store, recs []*audit.Record)
		at     int64
		reason chain.Reason
	}{
		{"a text", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, recordKey(part, recs[9].ID), nameOf("action"), "thing.read")
		}, 10, chain.ReasonContent},
		{"a payload", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, recordKey(part, recs[9].ID), nameOf("payload"), `{"n":2}`)
		}, 10, chain.ReasonContent},
		{"the time, by a microsecond", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, recordKey(part, recs[9].ID), nameOf("occurred_at"), recs[9].OccurredAt.UnixMicro()+1)
		}, 10, chain.ReasonContent},
		{"a field that was empty", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, recordKey(part, recs[9].ID), nameOf("rule"), "r")
		}, 10, chain.ReasonContent},
		{"a number removed", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, recordKey(part, recs[9].ID), nameOf("request_bytes"), nil)
		}, 10, chain.ReasonContent},
		{"a record gone", func(t *testing.T, s *Store, recs []*audit.Record) { eat(t, s, recs[9]) }, 10, chain.ReasonMissing},
		{"the tail gone", func(t *testing.T, s *Store, recs []*audit.Record) { eat(t, s, recs[50:]...) }, 51, chain.ReasonTail},
		{"a record copied", func(t *testing.T, s *Store, recs []*audit.Record) {
			twin := *recs[9]
			twin.ID = audit.NewID()
			_, err := s.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(s.opt.TableName), Item: encode(&twin)})
			if err != nil {
				t.Fatal(err)
			}
		}, 10, chain.ReasonDuplicate},
		{"the head set back", func(t *testing.T, s *Store, recs []*audit.Record) {
			set(t, s, headKey(part, ""), attrLast, int64(50))
			set(t, s, headKey(part, ""), attrHash, recs[49].Hash[:])
		}, 51, chain.ReasonBeyond},
		{"the head gone", func(t *testing.T, s *Store, recs []*audit.Record) {
			if _, err := s.client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{TableName: aws.String(s.opt.TableName), Key: keyOf(headKey(part, ""))}); err != nil {
				t.Fatal(err)
			}
		}, 1, chain.ReasonBeyond},
	} {
		t.Run(c.name, func(t *testing.T) {
			opt := newTable(t)
			opt.Sweep = true
			s := open(t, opt)
			recs := events(scopeA, start, 60, func(_ int, r *audit.Record) { r.Payload, r.Request.Bytes = json.RawMessage(`{"n":1}`), 7 })
			appendChained(t, s, recs)
			c.change(t, s, recs)
			report := verify(t, s, scopeA)
			if report.Valid || report.FirstBroken.Sequence != c.at || report.FirstBroken.Reason != c.reason {
				t.Errorf("%+v, want %s at %d", report.FirstBroken, c.reason, c.at)
			}
			// A head that was set back does not make the chain go over what is there.
			if c.reason == chain.ReasonBeyond {
				other := open(t, opt)
				_, err := other.AppendChained(t.Context(), events(scopeA, start, 1, nil))
				if audit.CodeOf(err) != audit.CodeInternal || !strings.Contains(err.Error(), "goes on after its head") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// Records at the limit of an item share no transaction or batch that would be too
// large, and one over it fails alone.
func TestLargeRecords(t *testing.T) {
	inFullRuns(t)
	s := open(t, newTable(t))
	for name, do := range map[string]func([]*audit.Record) ([]audit.Result, error){
		"Append":        func(r []*audit.Record) ([]audit.Result, error) { return s.Append(t.Context(), r) },
		"AppendFresh":   func(r []*audit.Record) ([]audit.Result, error) { return s.AppendFresh(t.Context(), r) },
		"AppendChained": func(r []*audit.Record) ([]audit.Result, error) { return s.AppendChained(t.Context(), r) },
	} {
		t.Run(name, func(t *testing.T) {
			scope := audit.Scope{Tenant: name}
			recs := events(scope, start, 24, func(i int, r *audit.Record) {
				r.Payload = json.RawMessage(`"` + strings.Repeat("x", recordBytes+1000) + `"`)
			})
			for i, r := range recs {
				if i == 10 {
					continue // which did not pass the door
				}
				r.Payload = json.RawMessage(`"` + strings.Repeat("x", recordBytes-(bytesOf(r)-len(r.Payload))-2) + `"`)
				if err := audit.Truncate(storetest.Clone(r), s.Capabilities().RecordBytes); err != nil || bytesOf(r) != recordBytes {
					t.Fatal(err, bytesOf(r))
				}
			}
			recs[10].Payload = json.RawMessage(`"` + strings.Repeat("x", maxItem) + `"`)
			results, err := do(recs)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if i == 10 && !errors.Is(r.Err, audit.ErrTooLarge) || i != 10 && (r.Err != nil || r.Duplicate) {
					t.Errorf("record %d: %+v", i, r)
				}
			}
			q := &audit.Query{Limit: 100, Order: audit.OldestFirst, Filters: []audit.Filter{audit.Is("tenant", name)}}
			page, err := s.Query(t.Context(), q)
			if err != nil || len(page.Records) != 23 {
				t.Fatal(err, len(page.Records))
			}
		})
	}
	if n := verifyAll(t, s); n != 23 {
		t.Errorf("%d records in the chain", n)
	}
}
