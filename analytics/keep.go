package analytics

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// What Stream keeps of a record goes through this file: always a copy, since
// the record is the scanner's, and a text of it may be part of a page that was
// read as one piece.

// set holds distinct values.
type set[T comparable] map[T]struct{}

func (s set[T]) has(v T) bool {
	_, ok := s[v]
	return ok
}

// addText adds a text that is not empty.
func addText(s set[string], v string) {
	if v != "" && !s.has(v) {
		s[strings.Clone(v)] = struct{}{}
	}
}

// addTo counts the call in the group of that value, unless it is empty.
func addTo(groups map[string]*Tally, value string, r *audit.Record) {
	if value == "" {
		return
	}
	t := groups[value]
	if t == nil {
		t = &Tally{}
		groups[strings.Clone(value)] = t
	}
	t.Add(r)
}

// addSize adds a number unless it is zero, and counts it.
func addSize(sum *Sum, count *int64, n int64) {
	if n > 0 {
		sum.Add(n)
		*count++
	}
}

// session names a session: its id is the sender's word and means something
// within one tenant only.
type session struct{ namespace, tenant, id string }

func sessionOf(r *audit.Record) session {
	return session{r.Namespace, r.Tenant, r.Actor.SessionID}
}

func (s session) clone() session {
	return session{strings.Clone(s.namespace), strings.Clone(s.tenant), strings.Clone(s.id)}
}

// firsts are the times of a session's first calls in microseconds since 1970,
// 0 where it has none: no record is that old.
type firsts struct{ discovery, query int64 }

func earlier(a, b int64) int64 {
	if a == 0 || b < a {
		return b
	}
	return a
}
