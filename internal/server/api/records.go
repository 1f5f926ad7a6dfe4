package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/annals-dev/annals"
	"github.com/annals-dev/annals/audit"
)

func (a *API) registerRecords() {
	a.plain(huma.Operation{
		OperationID: "query-events", Method: http.MethodGet, Path: "/v1/events", Tags: []string{"events"},
		Summary:     "Find records",
		Description: "All conditions must hold; repeating a parameter means any of its values." + metadataNote,
		Parameters:  append(paramRefs(a.filters...), paramRefs(audit.ParamOrder, audit.ParamLimit, audit.ParamCursor)...),
		Responses:   jsonResponse("One page of records.", ref("Page")),
	}, a.queryEvents)
	a.plain(huma.Operation{
		OperationID: "get-event", Method: http.MethodGet, Path: "/v1/events/{id}", Tags: []string{"events"},
		Summary:     "Get a record",
		Description: "By its id or the id that its sender chose. Where several tenants have the id, namespace and tenant must name one. A sender's id that is just the word stream is found by the parameter id of /v1/events only.",
		Parameters:  append(scopeParams(), pathParam("id", "id of the record, or its sender's own")),
		Responses:   jsonResponse("The record.", ref("Record")),
	}, a.getEvent)
	a.plain(huma.Operation{
		OperationID: "get-action", Method: http.MethodGet, Path: "/v1/actions/{action_id}", Tags: []string{"events"},
		Summary:     "Get the newest record of an action",
		Description: "An intent is given only while the action has no outcome.",
		Parameters:  append(scopeParams(), pathParam("action_id", "id of the action")),
		Responses:   jsonResponse("The record.", ref("Record")),
	}, a.getAction)
}

func pathParam(name, doc string) *huma.Param {
	return &huma.Param{Name: name, In: "path", Description: doc, Required: true, Schema: &huma.Schema{Type: huma.TypeString}}
}

func (a *API) queryEvents(w http.ResponseWriter, r *http.Request) error {
	q, cursor, _, err := question(r, nil, nil)
	if err != nil {
		return err
	}
	page, err := a.trail.Query(r.Context(), q, cursor)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	*buf = appendPage((*buf)[:0], page)
	writeJSON(w, *buf)
	return nil
}

func appendPage(b []byte, page *annals.Page) []byte {
	b = append(b, `{"records":[`...)
	for i, rec := range page.Records {
		if i > 0 {
			b = append(b, ',')
		}
		b = rec.AppendJSON(b)
	}
	b = append(b, ']')
	if page.Next != "" {
		b = appendText(append(b, `,"next_cursor":`...), page.Next)
	}
	return append(b, '}')
}

func (a *API) getEvent(w http.ResponseWriter, r *http.Request) error {
	params, err := only(r, paramNamespace, paramTenant)
	if err != nil {
		return err
	}
	rec, err := a.trail.Find(r.Context(), r.PathValue("id"), scopeOf(params))
	if err != nil {
		return err
	}
	writeRecord(w, rec)
	return nil
}

func (a *API) getAction(w http.ResponseWriter, r *http.Request) error {
	params, err := only(r, paramNamespace, paramTenant)
	if err != nil {
		return err
	}
	rec, err := a.trail.GetAction(r.Context(), r.PathValue("action_id"), scopeOf(params))
	if err != nil {
		return err
	}
	writeRecord(w, rec)
	return nil
}

func writeRecord(w http.ResponseWriter, rec *audit.Record) {
	buf := buffers.Get().(*[]byte)
	defer release(buf)
	*buf = rec.AppendJSON((*buf)[:0])
	writeJSON(w, *buf)
}
