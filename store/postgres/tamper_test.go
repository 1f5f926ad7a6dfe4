package postgres

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// evidence is a store with the chains of storetest.Evidence over several blocks.
// What a stranger does to it is undone by restore.
type evidence struct {
	stranger
	t *testing.T
}

func newEvidence(t *testing.T) *evidence {
	t.Helper()
	s := open(t, Options{RollupInterval: -1})
	s.unitRows, s.blockUnits = 1, 9
	for _, batch := range storetest.Evidence() {
		chainAll(t, s, batch)
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

// fresh is the store as a new process sees it.
func (e *evidence) fresh() *Store {
	e.s.scopes.number, e.s.scopes.name = nil, nil
	return e.s
}

func (e *evidence) mustHold(what string) {
	e.t.Helper()
	if b := storetest.FirstBreak(e.t, e.fresh()); b != nil {
		e.t.Fatalf("%s does not verify: %+v", what, b)
	}
}

// Every column of a record is covered, where it has a value and where it has
// none, and so is what questions look at beside the records.
func TestTampering(t *testing.T) {
	inFullRuns(t)
	e := newEvidence(t)
	e.mustHold("untouched evidence")
	e.restore()
	e.mustHold("restored evidence")
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

	common := map[string][]string{
		"the first record deleted":    {`DELETE FROM @records` + at + `1`},
		"one deleted from the middle": {`DELETE FROM @records` + at + `17`},
		"the last deleted":            {`DELETE FROM @records` + at + `40`},
		"the tail after 30 deleted":   {`DELETE FROM @records WHERE sequence > 30 AND scope = ` + scope},
		"all deleted":                 {`DELETE FROM @records WHERE scope = ` + scope},
		"12 and 14 swapped": {
			`UPDATE @records SET sequence = 1000` + at + `12`,
			`UPDATE @records SET sequence = 12` + at + `14`,
			`UPDATE @records SET sequence = 14` + at + `1000`,
		},
		"5 inserted again at the end": {insertCopy(5, "sequence", "41", "id", "gen_random_uuid()")},
		"5 replayed at the end with the head": {
			insertCopy(5, "sequence", "41", "id", "gen_random_uuid()"),
			`INSERT INTO @batches SELECT scope, 41, 41, hash FROM @records` + at + `5`,
		},
		"sequence 5 twice":         {insertCopy(5, "id", "gen_random_uuid()")},
		"all renumbered":           {`UPDATE @records SET sequence = sequence + 1 WHERE scope = ` + scope},
		"9 taken out of the chain": {`UPDATE @records SET sequence = NULL` + at + `9`},
		"the bystander's 9 put in its place": {
			`DELETE FROM @records` + at + `9`,
			`UPDATE @records SET scope = ` + scope + ` WHERE sequence = 9 AND scope <> ` + scope,
		},
		"the head moved back to 30":   {`DELETE FROM @batches WHERE first_sequence > 30 AND scope = ` + scope},
		"the head moved on":           {`INSERT INTO @batches VALUES(` + scope + `, 41, 41, ` + hash(40) + `)`},
		"the head's hash":             {`UPDATE @batches SET hash = ` + hash(39) + ` WHERE last_sequence = 40 AND scope = ` + scope},
		"the head's hash made longer": {`UPDATE @batches SET hash = hash || '\x00' WHERE last_sequence = 40 AND scope = ` + scope},
		"the head given to nobody":    {`UPDATE @batches SET scope = 77 WHERE scope = ` + scope},
		"the head deleted":            {`DELETE FROM @batches WHERE scope = ` + scope},
		"the tenant renamed":          {`UPDATE @scopes SET tenant = 'nobody' WHERE tenant = 'victim'`},
		"the namespace renamed":       {`UPDATE @scopes SET namespace = 'nowhere' WHERE tenant = 'victim'`},
		"the names deleted":           {`DELETE FROM @scopes WHERE tenant = 'victim'`},
	}
	type tampering struct {
		storetest.Tampering
		sql []string
	}
	list := []tampering{
		{storetest.Tampering{Name: "one record twice", Sequence: 5, Reason: chain.ReasonDuplicate}, []string{insertCopy(5, "occurred_at", "occurred_at + interval '1 hour'")}},
		{storetest.Tampering{Name: "a block hidden from newer times", Sequence: 0, Reason: chain.ReasonContent}, []string{`UPDATE @blocks SET max_occurred = min_occurred WHERE block = 2`}},
		{storetest.Tampering{Name: "a block hidden from older times", Sequence: 0, Reason: chain.ReasonContent}, []string{`UPDATE @blocks SET min_occurred = max_occurred WHERE block = 2`}},
		{storetest.Tampering{Name: "a record put into another block", Sequence: 30, Reason: chain.ReasonContent}, []string{`UPDATE @records SET block = 0` + at + `30`}},
		{storetest.Tampering{Name: "a record put into a block to come", Sequence: 30, Reason: chain.ReasonContent}, []string{`UPDATE @records SET block = 1000` + at + `30`}},
		{storetest.Tampering{Name: "a record put before the blocks", Sequence: 30, Reason: chain.ReasonContent}, []string{`UPDATE @records SET block = -1` + at + `30`}},
		{storetest.Tampering{Name: "an empty text for none", Sequence: 21, Reason: chain.ReasonContent}, []string{`UPDATE @records SET actor = ''` + at + `21`}},
		{storetest.Tampering{Name: "a zero for none", Sequence: 21, Reason: chain.ReasonContent}, []string{`UPDATE @records SET duration_us = 0` + at + `21`}},
		{storetest.Tampering{Name: "a false for none", Sequence: 21, Reason: chain.ReasonContent}, []string{`UPDATE @records SET enriched = false` + at + `21`}},
	}
	for _, c := range storetest.Tamperings() {
		list = append(list, tampering{c, common[c.Name]})
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
				storetest.Tampering{Name: fmt.Sprintf("%s at %d", f.Name, sequence), Sequence: sequence, Reason: reason},
				[]string{fmt.Sprintf("UPDATE @records SET %s = %s%s%d", column(f), edit, at, sequence)},
			})
		}
	}
	for _, c := range list {
		t.Run(c.Name, func(t *testing.T) {
			for _, sql := range c.sql {
				e.must(t, sql)
			}
			c.Check(t, e.fresh())
			e.restore()
		})
	}
	e.mustHold("the evidence after all")
}
