package dashboard

import (
	"cmp"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// recordTable is a list of records as a table.
type recordTable struct {
	ID, Caption string
	Rows        []recordRow
	Failed      string
	Empty       string
	Live        bool // the script may add rows
}

// recordRow is one record in a table.
type recordRow struct {
	*audit.Record
	Link     string
	Who      string // the actor in a few words
	WhoFull  string
	What     string // the resource
	WhatFull string
	Where    string // namespace and tenant
}

func rowsOf(recs []*audit.Record) []recordRow {
	rows := make([]recordRow, len(recs))
	for i, r := range recs {
		a, res := r.Actor, r.Resource
		rows[i] = recordRow{
			Record: r, Link: recordLink(r),
			Who:     clip(48, who(a)),
			WhoFull: clip(400, words(a.ID, a.Name, a.Email, a.Type)),
			What:    clip(64, words(res.Type, cmp.Or(res.Name, res.ID))), WhatFull: clip(1200, words(res.Type, res.ID, res.Name)),
			Where: clip(40, strings.Trim(r.Namespace+" / "+r.Tenant, "/ ")),
		}
	}
	return rows
}

// who names an actor in a table: by e-mail or id, but by name where the id is too
// long to be read.
func who(a audit.Actor) string {
	if a.Name != "" && len(a.ID) > 32 {
		return cmp.Or(a.Email, a.Name)
	}
	return cmp.Or(a.Email, a.ID, a.Name, a.Type)
}

// words joins what is there, each once.
func words(parts ...string) string {
	var out []string
	for i, p := range parts {
		if p == "" || i > 0 && p == parts[i-1] {
			continue
		}
		out = append(out, p)
	}
	return strings.Join(out, " ")
}
