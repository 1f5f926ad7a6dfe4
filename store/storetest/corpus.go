package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/annals-dev/annals/audit"
)

// CorpusStart is when the records of a corpus begin; nearly all of them lie in
// the [CorpusSpan] after it.
var CorpusStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// CorpusSpan is how long a corpus lasts.
const CorpusSpan = 72 * time.Hour

// NewRand gives the random source of a seed, the same on every machine.
func NewRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x616e6e616c73)) }

// Corpus gives n normalised records, the same ones for the same seed. Their
// Refs differ, but ids occur in several tenants; values come from small pools,
// so that filters hit, and times repeat, so that order needs the id. They are
// in no order and outside any chain.
func Corpus(seed uint64, n int) []*audit.Record {
	r := NewRand(seed)
	out := make([]*audit.Record, 0, n)
	seen := make(map[audit.Ref]bool, n)
	for len(out) < n {
		rec := RandomRecord(r)
		if len(out) > 0 && chance(r, 5) {
			// The same file imported into two tenants.
			other := out[r.IntN(len(out))]
			rec.ID, rec.ExternalID = other.ID, other.ExternalID
		}
		if !seen[rec.Ref()] {
			seen[rec.Ref()] = true
			out = append(out, rec)
		}
	}
	return out
}

// RandomRecord gives one normalised record with an id of its own.
func RandomRecord(r *rand.Rand) *audit.Record {
	rec := &audit.Record{
		Event: audit.Event{
			Namespace:  pick(r, "", "default", "prod"),
			Tenant:     pick(r, "", "acme", "globex", hostileTenant),
			OccurredAt: randomTime(r),
			Action:     pick(r, actions...),
			Outcome:    pick(r, audit.Success, audit.Success, audit.Success, audit.Failure, audit.Denied, audit.Pending),
			Actor:      randomActor(r),
			Tool:       randomTool(r),
			Metadata:   randomMetadata(r),
		},
		Kind:       audit.KindEvent,
		RecordedAt: CorpusStart.Add(CorpusSpan/2 + time.Duration(r.IntN(48))*time.Hour + time.Duration(r.IntN(3))*time.Microsecond),
		Level:      pick(r, "all", "writes_only"),
	}
	randomID(r, rec)
	if chance(r, 20) {
		rec.RecordedAt = rec.OccurredAt
	}
	if chance(r, 2) {
		rec.Kind = audit.KindGap
	}
	if chance(r, 70) {
		// A whole number of milliseconds, zero and single microseconds all occur.
		rec.Duration = pick(r, 0, time.Microsecond, 1001*time.Microsecond, time.Duration(r.IntN(5_000_000))*time.Microsecond, time.Duration(r.IntN(60))*time.Second)
	}
	if chance(r, 15) {
		rec.Operation = pick(r, audit.Create, audit.Read, audit.Update, audit.Delete, audit.Execute, audit.Other)
	}
	if chance(r, 60) {
		rec.ActionID = fmt.Sprintf("act-%d", r.IntN(200))
	}
	if chance(r, 50) {
		rec.Resource = audit.Resource{Type: pick(r, "user", "table", "health_record", "s3_bucket"), ID: pick(r, resources...), Name: pick(r, "", "Orders", hostile(r))}
	}
	if chance(r, 20) {
		rec.Changes = audit.Changes{Before: pick(r, documents...), After: pick(r, documents...)}
	}
	if rec.Outcome == audit.Failure || rec.Outcome == audit.Denied {
		rec.Error = pick(r, "", "permission denied", "connection reset by peer", hostile(r))
		rec.ErrorCode = pick(r, "", "E42", "AccessDenied")
		rec.Verdict = pick(r, "", "deny", "allow")
		rec.Rule = pick(r, "", "no-deletes", "quota_100%")
		rec.Details = pick(r, documents...)
	}
	if chance(r, 60) {
		rec.Source = audit.Source{Service: pick(r, "gateway", "billing"), Provider: pick(r, "", "aws"), Transport: pick(r, "http", "stdio"), Host: pick(r, "", "node-1", "node-2")}
		rec.Request = audit.Request{
			ID: fmt.Sprintf("req-%d", r.IntN(50)), CorrelationID: pick(r, "", "corr-1", "corr-2"),
			TraceID: pick(r, "", "4bf92f3577b34da6a3ce929d0e0e4736"), SpanID: pick(r, "", "00f067aa0ba902b7"),
			Method: pick(r, "", "GET", "POST"), Path: pick(r, "", "/v1/users", "/v1/a%20b?c=d_e", hostile(r)), Bytes: pick(r, 0, 1, int64(r.IntN(100_000))),
		}
		rec.Response = audit.Response{Bytes: pick(r, 0, int64(r.IntN(1_000_000)), 1<<53+1), Blocks: int64(r.IntN(4))}
	}
	if chance(r, 70) {
		rec.Payload = pick(r, documents...)
	}
	if chance(r, 40) {
		rec.ExpiresAt = CorpusStart.Add(time.Duration(r.IntN(144)) * time.Hour)
	}
	return normalized(rec)
}

// normalized gives records of our own making the canonical form; they are made to have one.
func normalized(rec *audit.Record) *audit.Record {
	if err := audit.Normalize(rec, CorpusStart); err != nil {
		panic("storetest: a generated record is not valid: " + err.Error())
	}
	return rec
}

func randomID(r *rand.Rand, rec *audit.Record) {
	var id audit.ID
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	if chance(r, 15) {
		rec.ExternalID = fmt.Sprintf("%s/%x", pick(r, "order", "ümlaut", "o'hara", "50%_"), id[:6])
		return // Normalize derives the id
	}
	id[6] = pick(r, byte(0x40), 0x70) | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	rec.ID = id
}

func randomTime(r *rand.Rand) time.Time {
	switch n := r.IntN(100); {
	case n == 0:
		return time.UnixMicro(1 + int64(r.IntN(2))).UTC()
	case n == 1:
		return time.Date(audit.MaxYear, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	case n < 50:
		return CorpusStart.Add(time.Duration(r.IntN(int(CorpusSpan/time.Hour))) * time.Hour)
	case n < 70:
		// Both sides of an hour's edge.
		return CorpusStart.Add(time.Duration(1+r.IntN(int(CorpusSpan/time.Hour)-1))*time.Hour + time.Duration(r.IntN(3)-1)*time.Microsecond)
	}
	return CorpusStart.Add(time.Duration(r.Int64N(CorpusSpan.Microseconds())) * time.Microsecond)
}

func randomActor(r *rand.Rand) audit.Actor {
	if chance(r, 10) {
		return audit.Actor{}
	}
	who := pick(r, "alice", "bob", "carol", "robot-7", "o'hara")
	a := audit.Actor{Type: pick(r, "user", "service", "agent"), ID: who}
	if chance(r, 60) {
		a.Name, a.Email = who+" Example", who+"@example.com"
		a.Team = pick(r, "", "data", "Platform")
	}
	if chance(r, 50) {
		a.IP = pick(r, "10.0.0.1", "10.0.0.10", "2001:db8::1")
		a.UserAgent = pick(r, "curl/8.5.0", "Mozilla/5.0 (X11; Linux x86_64)", hostile(r))
		a.AuthMethod = pick(r, "oidc", "token")
	}
	if chance(r, 60) {
		a.SessionID = fmt.Sprintf("sess-%d", r.IntN(25))
	}
	if chance(r, 10) {
		a.OnBehalfOf = pick(r, "carol", "dave")
	}
	return a
}

func randomTool(r *rand.Rand) audit.Tool {
	if chance(r, 40) {
		return audit.Tool{}
	}
	t := audit.Tool{
		Name: pick(r, "search", "describe_table", "run_query", "list_buckets", hostile(r)), Kind: pick(r, "datahub", "trino", "s3", ""),
		Toolkit: pick(r, "", "primary", "secondary"), Connection: pick(r, "", "warehouse"),
		Persona: pick(r, "", "analyst", "admin"), Purpose: pick(r, "", "monthly report", "Explore the Données"),
	}
	if chance(r, 50) {
		t.Enrichment = audit.Enrichment{
			Applied: chance(r, 60), Mode: pick(r, "", "full", "summary", "reference", "none"),
			TokensFull: int64(r.IntN(3) * r.IntN(2000)), TokensDedup: int64(r.IntN(3) * r.IntN(1500)),
		}
	}
	if chance(r, 40) {
		t.Parameters = pick(r, documents...)
	}
	return t
}

// randomMetadata gives an object of some of the members below, in random order.
func randomMetadata(r *rand.Rand) json.RawMessage {
	n := r.IntN(5)
	if n == 0 {
		return nil
	}
	doc := []byte{'{'}
	for i, at := range r.Perm(len(metadataMembers))[:n] {
		if i > 0 {
			doc = append(doc, ',')
		}
		m := metadataMembers[at]
		doc = append(append(append(doc, m.key...), ':'), pick(r, m.values...)...)
	}
	return append(doc, '}')
}

// metadataMembers are written as they stand in the document, escapes included.
var metadataMembers = []struct {
	key    string
	values []string
}{
	{`"env"`, []string{`"prod"`, `"dev"`, `"Prod"`, `"prod-eu"`}},
	{`"a.b"`, []string{`"x"`, `"100%"`, `"1000"`, `"a_c"`, `"abc"`}},
	{`"quo\"te"`, []string{`"it's"`, `"say \"hi\""`, `"back\\slash"`}},
	{`"ключ"`, []string{`"значение"`, `"日本"`, `"e\u0301"`}},
	{`"100%_"`, []string{`"yes"`, `""`}},
	{`"n"`, []string{`1`, `1.0`, `10`, `-0`, `1e400`, `18446744073709551616`, `9007199254740993`}},
	{`"flag"`, []string{`true`, `false`, `"true"`}},
	{`"nil"`, []string{`null`, `"null"`}},
	{`"env.not"`, []string{`"x"`}},
	{`"nested"`, []string{`{"env":"prod"}`, `["prod","dev"]`, `[]`}},
	{`""`, []string{`"empty key"`}},
}

var actions = []string{
	"user.create", "user.delete", "user.read", "tool.call", "dataset.query", "dataset.search",
	"Session.Login", "straße.öffnen", "100%_done", "table.update", "table.updateAll",
}

var resources = []string{"orders", "orders_2026", "orders%2026", "orders2026", "ORDERS", "r'1", `r"2`, `r\3`, "データ"}

const hostileTenant = `o'hara "&" söhne; --`

// hostiles are values that break what pastes texts together.
var hostiles = []string{
	`'; DROP TABLE records; --`, `" OR ""="`, `{"$ne":null}`, `back\slash`, `50% off_er`, `a AND b OR NOT c`,
	`NEAR("x" "y")`, `col:value*`, `日本語 😀`, "tab\tline\nbreak", "\x01\x1f\x7f", `NULL`, `<script>alert(1)</script>`, "e\u0301 é", "\u202eright", `null`, "#", " leading and trailing ",
}

func hostile(r *rand.Rand) string { return hostiles[r.IntN(len(hostiles))] }

var documents = []json.RawMessage{
	nil,
	json.RawMessage(`{}`), json.RawMessage(`[]`), json.RawMessage(`""`), json.RawMessage(`0`), json.RawMessage(`true`), json.RawMessage(`-0`),
	json.RawMessage(`{"message":"the quick brown fox","n":9007199254740993}`),
	json.RawMessage(`{"b":1,"a":2,"b":3}`),
	json.RawMessage(`[1e400,-1E-400,0.10,18446744073709551616,1.0]`),
	json.RawMessage(`{"deep":[[[{"name":"Straße","x":"İstanbul"}]]]}`),
	json.RawMessage(`{"text":"it's 50% \"quoted\" \\ \u0001\n","key with 'quotes'":null}`),
	json.RawMessage(`"日本語 \ud83d\ude00 text"`),
	json.RawMessage(`{"sql":"SELECT * FROM orders WHERE id='1' OR 1=1; --"}`),
}

func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
