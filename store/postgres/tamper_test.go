package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

var victim = audit.Scope{Namespace: "prod", Tenant: "victim"}

// evidence is a store with two chains of 40 records each over several blocks.
// Of the victim's records the odd ones have every field and the even ones few.
// What a stranger does to it is undone by restore.
type evidence struct {
	stranger
	t *testing.T
}

func newEvidence(t *testing.T) *evidence {
	t.Helper()
	s := open(t, Options{RollupInterval: -1})
	s.unitRows, s.blockUnits = 1, 9
	for i := range 40 {
		at := storetest.CorpusStart.Add(time.Duration(i) * time.Minute)
		r := &audit.Record{Kind: audit.KindEvent, RecordedAt: at, Level: "all", Event: audit.Event{
			ID: audit.NewID(), Namespace: victim.Namespace, Tenant: victim.Tenant, OccurredAt: at, Action: "thing.read",
		}}
		if i%2 == 1 {
			full(r)
		}
		other := storetest.Clone(r)
		other.Tenant = "bystander"
		chainAll(t, s, []*audit.Record{r, other})
	}
	if err := s.settleBlocks(t.Context()); err != nil {
		t.Fatal(err)
	}
	e := &evidence{newStranger(t, s), t}
	if n := e.number(t, `SELECT count(*) FROM @blocks`); n < 3 {
		t.Fatalf("%d blocks have bounds", n)
	}
	for _, name := range evidenceTables {
		e.must(t, `CREATE TABLE kept_`+name+` AS SELECT * FROM @`+name)
	}
	return e
}

var evidenceTables = []string{"records", "batches", "scopes", "blocks"}

func (e *evidence) restore() {
	for _, name := range evidenceTables {
		e.must(e.t, `TRUNCATE @`+name)
		overriding := ""
		if name == "scopes" {
			overriding = "OVERRIDING SYSTEM VALUE"
		}
		e.must(e.t, `INSERT INTO @`+name+` `+overriding+` SELECT * FROM kept_`+name)
	}
}

// full sets every field that is empty and is not the chain's.
func full(r *audit.Record) {
	for _, f := range audit.Fields() {
		if !f.Absent(r) || slices.Contains([]string{"sequence", "segment", "prev_hash", "hash"}, f.Name) {
			continue
		}
		switch f.Kind {
		case audit.Text:
			f.SetText(r, "value of "+f.Name)
		case audit.Document:
			f.SetBytes(r, []byte(`{"document":"`+f.Name+`\n"}`))
		case audit.Number, audit.Flag, audit.Span:
			f.SetInt(r, 1)
		case audit.Instant:
			f.SetInt(r, audit.Micros(r.OccurredAt)+1)
		}
	}
}

// broken verifies every chain as a new process would, and gives what is broken
// first in the victim's, or else in any.
func (e *evidence) broken() *chain.Break {
	s := e.s
	s.scopes.number, s.scopes.name = nil, nil
	heads, err := s.Heads(e.t.Context(), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	keys := []chain.Key{{Scope: victim}}
	for _, h := range heads {
		if h.Scope != victim {
			keys = append(keys, h.Key)
		}
	}
	for _, key := range keys {
		report, err := chain.Verify(e.t.Context(), s, key, chain.VerifyOptions{})
		if err != nil {
			e.t.Fatal(err)
		}
		if report.FirstBroken != nil {
			return report.FirstBroken
		}
	}
	return nil
}

// Every column of a record is covered, where it has a value and where it has
// none, and so is what questions look at beside the records.
func TestTampering(t *testing.T) {
	inFullRuns(t)
	e := newEvidence(t)
	if b := e.broken(); b != nil {
		t.Fatalf("untouched evidence does not verify: %+v", b)
	}
	e.restore()
	if b := e.broken(); b != nil {
		t.Fatalf("restored evidence does not verify: %+v", b)
	}
	const (
		scope = `(SELECT scope FROM @scopes WHERE tenant = 'victim')`
		at    = ` WHERE scope = ` + scope + ` AND sequence = `
	)
	var names []string
	for _, f := range columns {
		names = append(names, column(f))
	}
	all := strings.Join(names, ", ")
	// insertCopy inserts a copy of a record with other values in some columns.
	insertCopy := func(sequence int, changes ...string) string {
		values := slices.Clone(names)
		for i := 0; i < len(changes); i += 2 {
			values[slices.Index(names, changes[i])] = changes[i+1]
		}
		return fmt.Sprintf("INSERT INTO @records(block, scope, %s) SELECT block, scope, %s FROM @records%s%d", all, strings.Join(values, ", "), at, sequence)
	}
	hash := func(sequence int) string { return fmt.Sprintf(`(SELECT hash FROM @records%s%d)`, at, sequence) }

	type tampering struct {
		name     string
		sql      []string
		sequence int64
		reason   chain.Reason
	}
	list := []tampering{
		{"the first record deleted", []string{`DELETE FROM @records` + at + `1`}, 1, chain.ReasonMissing},
		{"one deleted from the middle", []string{`DELETE FROM @records` + at + `17`}, 17, chain.ReasonMissing},
		{"the last deleted", []string{`DELETE FROM @records` + at + `40`}, 40, chain.ReasonTail},
		{"the tail deleted", []string{`DELETE FROM @records WHERE sequence > 30 AND scope = ` + scope}, 31, chain.ReasonTail},
		{"all deleted", []string{`DELETE FROM @records WHERE scope = ` + scope}, 1, ""},
		{"two swapped", []string{
			`UPDATE @records SET sequence = 1000` + at + `12`,
			`UPDATE @records SET sequence = 12` + at + `14`,
			`UPDATE @records SET sequence = 14` + at + `1000`,
		}, 12, chain.ReasonContent},
		{"one inserted at the end", []string{insertCopy(5, "sequence", "41", "id", "gen_random_uuid()")}, 41, chain.ReasonBeyond},
		{"an old one replayed with the head", []string{
			insertCopy(5, "sequence", "41", "id", "gen_random_uuid()"),
			`INSERT INTO @batches SELECT scope, 41, 41, hash FROM @records` + at + `5`,
		}, 41, chain.ReasonContent},
		{"one sequence twice", []string{insertCopy(5, "id", "gen_random_uuid()")}, 5, chain.ReasonDuplicate},
		{"one record twice", []string{insertCopy(5, "occurred_at", "occurred_at + interval '1 hour'")}, 5, chain.ReasonDuplicate},
		{"all renumbered", []string{`UPDATE @records SET sequence = sequence + 1 WHERE scope = ` + scope}, 1, chain.ReasonMissing},
		{"one taken out of the chain", []string{`UPDATE @records SET sequence = NULL` + at + `9`}, 9, chain.ReasonMissing},
		{"another tenant's record put in its place", []string{
			`DELETE FROM @records` + at + `9`,
			`UPDATE @records SET scope = ` + scope + ` WHERE sequence = 9 AND scope <> ` + scope,
		}, 9, chain.ReasonContent},
		{"the head moved back", []string{`DELETE FROM @batches WHERE first_sequence > 30 AND scope = ` + scope}, 31, chain.ReasonBeyond},
		{"the head moved on", []string{`INSERT INTO @batches VALUES(` + scope + `, 41, 41, ` + hash(40) + `)`}, 41, chain.ReasonTail},
		{"the head's hash", []string{`UPDATE @batches SET hash = ` + hash(39) + ` WHERE last_sequence = 40 AND scope = ` + scope}, 40, chain.ReasonHead},
		{"the head's hash made longer", []string{`UPDATE @batches SET hash = hash || '\x00' WHERE last_sequence = 40 AND scope = ` + scope}, 40, chain.ReasonHead},
		{"the head given to nobody", []string{`UPDATE @batches SET scope = 77 WHERE scope = ` + scope}, 1, chain.ReasonBeyond},
		{"the head deleted", []string{`DELETE FROM @batches WHERE scope = ` + scope}, 1, chain.ReasonBeyond},
		{"the tenant renamed", []string{`UPDATE @scopes SET tenant = 'nobody' WHERE tenant = 'victim'`}, 1, chain.ReasonContent},
		{"the namespace renamed", []string{`UPDATE @scopes SET namespace = 'nowhere' WHERE tenant = 'victim'`}, 1, chain.ReasonContent},
		{"the names deleted", []string{`DELETE FROM @scopes WHERE tenant = 'victim'`}, 1, chain.ReasonContent},
		{"a block hidden from newer times", []string{`UPDATE @blocks SET max_occurred = min_occurred WHERE block = 2`}, 0, chain.ReasonContent},
		{"a block hidden from older times", []string{`UPDATE @blocks SET min_occurred = max_occurred WHERE block = 2`}, 0, chain.ReasonContent},
		{"a record put into another block", []string{`UPDATE @records SET block = 0` + at + `30`}, 30, chain.ReasonContent},
		{"a record put into a block to come", []string{`UPDATE @records SET block = 1000` + at + `30`}, 30, chain.ReasonContent},
		{"a record put before the blocks", []string{`UPDATE @records SET block = -1` + at + `30`}, 30, chain.ReasonContent},
		{"an empty text for none", []string{`UPDATE @records SET actor = ''` + at + `21`}, 21, chain.ReasonContent},
		{"a zero for none", []string{`UPDATE @records SET duration_us = 0` + at + `21`}, 21, chain.ReasonContent},
		{"a false for none", []string{`UPDATE @records SET enriched = false` + at + `21`}, 21, chain.ReasonContent},
	}
	for _, f := range columns {
		for _, sequence := range []int64{20, 21} {
			edit := map[audit.FieldKind]string{
				audit.Text: "CASE coalesce(%[1]s, '') WHEN '' THEN 'x' ELSE substr(%[1]s, 2) || 'y' END", audit.Document: "coalesce(%[1]s, '') || ' '",
				audit.Flag: "NOT coalesce(%[1]s, false)", audit.Instant: "coalesce(%[1]s, '2026-01-01Z') + interval '1 microsecond'",
				audit.Identity: "gen_random_uuid()", audit.Hash: `'\x00' || substr(coalesce(%[1]s, '\x0102'), 2)`,
			}[f.Kind]
			reason := chain.ReasonContent
			switch {
			case f.Name == "sequence":
				edit, reason = "%[1]s + 1000", chain.ReasonMissing
			case edit == "":
				edit = "coalesce(%[1]s, 0) + 1"
			}
			if strings.Contains(edit, "%") {
				edit = fmt.Sprintf(edit, column(f))
			}
			list = append(list, tampering{
				fmt.Sprintf("%s at %d", f.Name, sequence), []string{fmt.Sprintf("UPDATE @records SET %s = %s%s%d", column(f), edit, at, sequence)}, sequence, reason,
			})
		}
	}
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			for _, sql := range c.sql {
				e.must(t, sql)
			}
			b := e.broken()
			if b == nil || c.sequence != 0 && b.Sequence != c.sequence || c.reason != "" && b.Reason != c.reason {
				t.Errorf("found %+v, want %s at %d", b, c.reason, c.sequence)
			}
			e.restore()
		})
	}
	if b := e.broken(); b != nil {
		t.Fatalf("the evidence is not what it was: %+v", b)
	}
}
