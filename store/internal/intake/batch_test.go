package intake

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/annals-dev/annals/audit"
)

// record makes a record of a tenant.
func record(tenant string) *audit.Record {
	return &audit.Record{Event: audit.Event{ID: audit.NewID(), Tenant: tenant, Payload: []byte(`{"a":1}`)}}
}

// with gives a copy that says something else.
func with(r *audit.Record, change func(*audit.Record)) *audit.Record {
	c := Clone(r)
	change(c)
	return c
}

func other(r *audit.Record) *audit.Record {
	return with(r, func(c *audit.Record) { c.Error = "something else" })
}

func TestIdentical(t *testing.T) {
	r := record("a")
	if !Identical(r, Clone(r)) {
		t.Error("a record differs from its copy")
	}
	for _, f := range audit.Fields() {
		c := with(r, func(c *audit.Record) {
			switch f.Kind {
			case audit.Text:
				f.SetText(c, "changed")
			case audit.Document:
				f.SetBytes(c, []byte(`{}`))
			case audit.Identity, audit.Hash:
				b := make([]byte, len(f.Bytes(&audit.Record{Event: audit.Event{ID: audit.NewID()}, Hash: audit.Digest{1}, PrevHash: audit.Digest{1}})))
				b[len(b)-1] = 7
				f.SetBytes(c, b)
			default:
				f.SetInt(c, 1)
			}
		})
		if Identical(r, c) {
			t.Errorf("%s: a change is not seen", f.Name)
		}
	}
}

// What becomes of each record of a call, by what becomes of the first with its id.
func TestResults(t *testing.T) {
	hash := audit.Digest{1}
	placed := func(r *audit.Record) *audit.Record {
		return with(r, func(c *audit.Record) { c.Sequence, c.Hash = 7, hash })
	}
	duplicate, conflict := audit.Result{Duplicate: true, Sequence: 7, Hash: hash}, audit.Result{Err: audit.ErrConflict}
	failure := audit.Unavailable("no answer", nil)
	r := record("a")
	for _, c := range []struct {
		name string
		do   func(e *Entry)
		want [3]audit.Result // of r, r again, and r with other content
	}{
		{"stored", func(e *Entry) { e.Rec = placed(e.Rec); e.Put() }, [3]audit.Result{{Sequence: 7, Hash: hash}, duplicate, conflict}},
		{"there already", func(e *Entry) { e.Found(placed(r), false) }, [3]audit.Result{duplicate, duplicate, conflict}},
		{"there as another", func(e *Entry) { e.Found(placed(other(r)), false) }, [3]audit.Result{conflict, conflict, duplicate}},
		{"there by an attempt that was lost", func(e *Entry) { e.Rec = placed(e.Rec); e.Found(placed(r), true) },
			[3]audit.Result{{Sequence: 7, Hash: hash}, duplicate, conflict}},
		{"there by somebody else, after an attempt that was lost", func(e *Entry) { e.Found(placed(r), true) }, [3]audit.Result{duplicate, duplicate, conflict}},
		{"failed", func(e *Entry) { e.Result.Err = failure }, [3]audit.Result{{Err: failure}, {Err: failure}, {Err: failure}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			recs := []*audit.Record{Clone(r), record("b"), Clone(r), other(r)}
			b := NewBatch(recs, true)
			if len(b.Entries) != 2 || b.Entries[0].Settled() {
				t.Fatalf("%d entries", len(b.Entries))
			}
			c.do(b.Entries[0])
			b.Entries[1].Put()
			for _, e := range b.Entries {
				if !e.Settled() {
					t.Error("an entry is not settled")
				}
			}
			got, err := b.Results()
			want := []audit.Result{c.want[0], {}, c.want[1], c.want[2]}
			if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); err != nil || diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
			if fresh := c.want[0].Sequence == 7 && !c.want[0].Duplicate; fresh != (recs[0].Sequence == 7 && recs[0].Hash == hash) {
				t.Errorf("the record has the place %d", recs[0].Sequence)
			}
		})
	}
}

// A record that can never be stored has its verdict at once and holds up no other.
func TestRefused(t *testing.T) {
	nameless := with(record("a"), func(r *audit.Record) { r.ID = audit.ID{} })
	placed := with(record("a"), func(r *audit.Record) { r.Sequence = 1 })
	hashed := with(record("a"), func(r *audit.Record) { r.Hash = audit.Digest{1} })
	for chained, want := range map[bool][]string{false: {"id", "sequence", "sequence", ""}, true: {"id", "", "", ""}} {
		b := NewBatch([]*audit.Record{nameless, placed, hashed, record("a")}, chained)
		for _, e := range b.Entries {
			e.Put()
		}
		results, err := b.Results()
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range results {
			field := ""
			if e := (*audit.Error)(nil); errors.As(r.Err, &e) {
				field = e.Field
			}
			if field != want[i] {
				t.Errorf("chained %t, record %d: got %v, want an error of %q", chained, i, r.Err, want[i])
			}
		}
	}
}

// Where nothing is known of any record, the call has an error; a conflict is known.
func TestFailed(t *testing.T) {
	failure := audit.Unavailable("no answer", nil)
	for _, c := range []struct {
		name  string
		errs  []error
		fails bool
	}{
		{"none", nil, false},
		{"all", []error{failure, failure}, true},
		{"one", []error{failure, nil}, false},
		{"a conflict", []error{failure, audit.ErrConflict}, false},
		{"conflicts only", []error{audit.ErrConflict, audit.ErrConflict}, false},
	} {
		var recs []*audit.Record
		for range c.errs {
			recs = append(recs, record("a"))
		}
		b := NewBatch(recs, false)
		for i, e := range b.Entries {
			e.Result.Err = c.errs[i]
		}
		results, err := b.Results()
		if c.fails != errors.Is(err, failure) || (err == nil) != (len(results) == len(recs) && !c.fails) {
			t.Errorf("%s: got %v, %v", c.name, results, err)
		}
	}
}
