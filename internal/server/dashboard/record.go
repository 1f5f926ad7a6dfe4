package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// relatedMost is how many records of the same action or correlation are listed.
const relatedMost = 20

// recordPage is one record with all that it says and where it stands.
type recordPage struct {
	*audit.Record
	Row       recordRow
	Groups    []shownGroup
	Metadata  []shownField
	Documents []document
	Changes   *changes
	Chain     *position
	Action    recordTable
	ActionAll string // the explorer with all of them
	Work      recordTable
	WorkAll   string
	JSON      string // the record from the API
}

// document is one JSON document of a record.
type document struct {
	ID, Title, Text string
	Bytes           int
	Cut             bool
}

// choicePage asks which tenant's record is meant.
type choicePage struct {
	ID   string
	Rows recordTable
}

func (d *dash) record(w http.ResponseWriter, r *http.Request) error {
	v, err := params(r)
	if err != nil {
		return err
	}
	for name, values := range v {
		if name != "namespace" && name != "tenant" || len(values) != 1 {
			return audit.Invalid(clip(40, name), "is not a parameter of this page")
		}
	}
	var scope *audit.Scope
	if len(v) > 0 {
		scope = &audit.Scope{Namespace: v.Get("namespace"), Tenant: v.Get("tenant")}
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	id := r.PathValue("id")
	rec, err := d.trail.Find(ctx, id, scope)
	if err != nil {
		var e *audit.Error
		if scope == nil && errors.As(err, &e) && e.Field == "tenant" {
			return d.chooseTenant(ctx, w, r, id)
		}
		if audit.CodeOf(err) == audit.CodeNotFound {
			return &audit.Error{Code: audit.CodeNotFound, Message: "There is no record with this id, or retention has removed it."}
		}
		return err
	}
	return d.show(w, r, http.StatusOK, "record", view{Title: clip(60, rec.Action), Section: pathExplore, Body: d.recordPage(r, rec)})
}

func (d *dash) chooseTenant(ctx context.Context, w http.ResponseWriter, r *http.Request, id string) error {
	rid, _, err := audit.IDFrom(id)
	if err != nil {
		return err
	}
	recs, err := d.newest(ctx, &audit.Query{}, audit.DefaultLimit, audit.Is("id", rid.String()))
	if err != nil {
		return err
	}
	page := choicePage{ID: clip(80, id), Rows: recordTable{ID: "tenants", Caption: "Records with this id", Rows: rowsOf(recs)}}
	return d.show(w, r, http.StatusMultipleChoices, "choice", view{Title: "Several records", Section: pathExplore, Body: page})
}

func (d *dash) recordPage(r *http.Request, rec *audit.Record) *recordPage {
	page := &recordPage{Record: rec, Row: rowsOf([]*audit.Record{rec})[0], Groups: groupsOf(rec)}
	b := d.board(r)
	defer b.close()
	pos := fetch(b, "chain position", func(ctx context.Context) (*position, error) { return d.position(ctx, rec) })
	related := func(field, value string) asked[[]*audit.Record] {
		return fetch(b, "records of the same "+field, func(ctx context.Context) ([]*audit.Record, error) {
			if value == "" {
				return nil, nil
			}
			q := &audit.Query{Filters: []audit.Filter{audit.Is("namespace", rec.Namespace), audit.Is("tenant", rec.Tenant)}}
			return d.newest(ctx, q, relatedMost+1, audit.Is(field, value))
		})
	}
	action, work := related("action_id", rec.ActionID), related("correlation_id", rec.Request.CorrelationID)

	scope := rec.Scope()
	page.Metadata = metadataOf(rec)
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document && !f.Absent(rec) {
			page.Documents = append(page.Documents, documentOf(f, rec))
		}
	}
	if len(rec.Changes.Before) > 0 || len(rec.Changes.After) > 0 {
		page.Changes = diff(rec.Changes.Before, rec.Changes.After)
	}
	all := func(field, value string) string {
		v := scopeParams(scope)
		v[field] = []string{value}
		return link(pathExplore, v)
	}
	page.Action, page.ActionAll = relatedTable(rec, "action", "Other records of this action", action.wait()), all("action_id", rec.ActionID)
	page.Work, page.WorkAll = relatedTable(rec, "work", "Other records of this correlation id", work.wait()), all("correlation_id", rec.Request.CorrelationID)
	p := pos.wait()
	page.Chain = p.Value
	if p.Failed != "" {
		page.Chain = &position{Failed: p.Failed}
	}
	page.JSON = "/v1/events/" + rec.ID.String() + "?" + scopeParams(scope).Encode()
	return page
}

func relatedTable(rec *audit.Record, id, caption string, recs answer[[]*audit.Record]) recordTable {
	t := recordTable{ID: id, Caption: caption, Failed: recs.Failed}
	for _, row := range rowsOf(recs.Value) {
		if row.ID != rec.ID && len(t.Rows) < relatedMost {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// metadataMost is how many metadata keys are listed; the document has them all.
const metadataMost = 200

func metadataOf(rec *audit.Record) (out []shownField) {
	audit.EachMetadata(rec.Metadata, func(key, value string) {
		if len(out) >= metadataMost {
			return
		}
		f := shownField{Name: key, Label: visible(key), Value: visible(value), Mono: true}
		if key != "" && len(key) <= audit.MaxMetadataKey {
			f.Link = link(pathExplore, url.Values{metadataParam(key): {value}})
		}
		out = append(out, f)
	})
	return out
}

// metadataParam names the parameter that compares a metadata key. One that ends
// as an operator does is written with an operator of its own.
func metadataParam(key string) string {
	for _, suffix := range []string{".not", ".prefix", ".min", ".max", ".is"} {
		if strings.HasSuffix(key, suffix) {
			return audit.MetadataPrefix + key + ".is"
		}
	}
	return audit.MetadataPrefix + key
}

// documentMost is how much of a document a page shows, in bytes.
const documentMost = 256 << 10

func documentOf(f *audit.Field, r *audit.Record) document {
	doc := f.Bytes(r)
	text, cut := indent(doc, documentMost)
	return document{ID: "doc-" + f.Name, Title: label(f.Name), Text: visible(text), Bytes: len(doc), Cut: cut}
}

// position is where a record stands in its chain.
type position struct {
	Chained    bool
	Key        chain.Key
	Sequence   int64
	Prev, Hash audit.Digest
	Intact     bool // the content gives the hash
	Before     *neighbour
	After      *neighbour
	Head       int64 // the last sequence of the chain; 0 where it is not known
	Failed     string
}

// neighbour is the record before or after.
type neighbour struct {
	Sequence int64
	Link     string
	Action   string
	Linked   bool // the hashes fit together
	Missing  bool
}

func (d *dash) position(ctx context.Context, rec *audit.Record) (*position, error) {
	p := &position{Chained: rec.Sequence > 0, Key: chain.KeyOf(rec), Sequence: rec.Sequence, Prev: rec.PrevHash, Hash: rec.Hash}
	if !p.Chained {
		return p, nil
	}
	sum, _ := chain.HashOf(rec, nil)
	p.Intact = sum == rec.Hash
	scope := rec.Scope()
	if heads, err := d.trail.Chains(ctx, &scope); err == nil {
		for _, h := range heads {
			if h.Key == p.Key {
				p.Head = h.Sequence
			}
		}
	}
	at := func(seq int64) (*neighbour, *audit.Record, error) {
		recs, err := d.newest(ctx, &audit.Query{}, 1, audit.Is("namespace", rec.Namespace), audit.Is("tenant", rec.Tenant),
			audit.Is("segment", rec.Segment), audit.Is("sequence", strconv.FormatInt(seq, 10)))
		if err != nil {
			return nil, nil, err
		}
		if len(recs) == 0 {
			return &neighbour{Sequence: seq, Missing: true}, nil, nil
		}
		return &neighbour{Sequence: seq, Link: recordLink(recs[0]), Action: clip(60, recs[0].Action)}, recs[0], nil
	}
	if rec.Sequence > 1 {
		n, r, err := at(rec.Sequence - 1)
		if err != nil {
			return nil, err
		}
		n.Linked = r != nil && r.Hash == rec.PrevHash
		p.Before = n
	}
	if rec.Sequence == p.Head {
		return p, nil
	}
	n, r, err := at(rec.Sequence + 1)
	if err != nil {
		return nil, err
	}
	if !n.Missing || p.Head > rec.Sequence {
		n.Linked = r != nil && r.PrevHash == rec.Hash
		p.After = n
	}
	return p, nil
}
