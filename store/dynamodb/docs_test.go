package dynamodb

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/annals-dev/annals/audit"
)

// guide is the page for operators, and its JSON blocks.
func guide(t *testing.T) (text string, blocks []string) {
	t.Helper()
	b, err := os.ReadFile("../../docs/backends/dynamodb.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(b), "```json\n")
	for _, p := range parts[1:] {
		block, _, _ := strings.Cut(p, "```")
		blocks = append(blocks, block)
	}
	return string(b), blocks
}

// The table of the guide is one that the program takes.
func TestGuideTable(t *testing.T) {
	_, blocks := guide(t)
	var in dynamodb.CreateTableInput
	if err := json.Unmarshal([]byte(blocks[0]), &in); err != nil {
		t.Fatal(err)
	}
	if *in.TableName != DefaultPrefix+"audit" {
		t.Errorf("the table is %s", *in.TableName)
	}
	opt := newTable(t)
	in.TableName = aws.String(opt.TableName)
	c := open(t, newTable(t)).client
	if _, err := c.CreateTable(t.Context(), &in); err != nil {
		t.Fatal(err)
	}
	_, err := c.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName: in.TableName, TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(attrTTL), Enabled: aws.Bool(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, asAWS(t, opt))
	appendChained(t, s, events(scopeA, start, 3, nil))
}

// The guide names the attribute of every field.
func TestGuideNames(t *testing.T) {
	text, _ := guide(t)
	for _, a := range attributes {
		found := false
		for _, name := range []string{a.Name, a.Name + " (µs)"} {
			found = found || strings.Contains(text, "| "+name+" | "+a.name+" |")
		}
		if !found {
			t.Errorf("the guide does not say that %s is %s", a.Name, a.name)
		}
	}
}

// The server's policy allows what an append-only server calls, and no more.
func TestGuidePolicy(t *testing.T) {
	_, blocks := guide(t)
	var policy struct {
		Statement []struct {
			Action    []string
			Condition map[string]map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(blocks[1]), &policy); err != nil {
		t.Fatal(err)
	}
	var allowed []string
	for _, st := range policy.Statement {
		allowed = append(allowed, st.Action...)
	}
	opt := newTable(t)
	open(t, opt) // makes the table
	f := newFaulty(t)
	opt = asAWS(t, opt)
	opt.transport, opt.PutOnly = f, true
	s := open(t, opt)
	recs := events(scopeA, start, 3, func(i int, r *audit.Record) { r.OccurredAt = start.AddDate(i, 0, 0) }) // dated ahead
	for _, do := range []func() error{
		func() error { return firstError(s.Append(t.Context(), recs)) },
		func() error { return firstError(s.AppendFresh(t.Context(), events(scopeA, start, 3, nil))) },
		func() error { return firstError(s.AppendChained(t.Context(), events(scopeA, start, 3, nil))) },
		func() error { _, err := s.Get(t.Context(), recs[0].Ref()); return err },
		func() error { _, err := s.Query(t.Context(), &audit.Query{}); return err },
		func() error { _, err := s.Count(t.Context(), &audit.Query{}); return err },
		func() error { return s.Save(t.Context(), "k", []byte("v"), 0) },
		func() error { return s.Ping(t.Context()) },
		func() error { _, err := s.State(t.Context()); return err },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	verifyAll(t, s)
	var called []string
	for op := range f.seen {
		if op == "TransactWriteItems" {
			op = "PutItem" // a transaction needs the rights of its actions, which are puts
		}
		called = append(called, "dynamodb:"+op)
	}
	slices.Sort(called)
	slices.Sort(allowed)
	if d := cmp.Diff(allowed, slices.Compact(called)); d != "" {
		t.Error(d)
	}
	// What may be updated is none of the records.
	keys := policy.Statement[1].Condition["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
	for _, key := range keys {
		if _, _, ok := splitRecordKey(strings.ReplaceAll(key, "*", audit.NewID().String())); ok {
			t.Errorf("%s matches records", key)
		}
	}
}
