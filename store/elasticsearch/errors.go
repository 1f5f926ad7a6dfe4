package elasticsearch

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/annals-dev/annals/audit"
)

// fault is how both servers write an error.
type fault struct {
	Type   string  `json:"type"`
	Reason string  `json:"reason"`
	Root   []fault `json:"root_cause"`
	Cause  *fault  `json:"caused_by"`
	status int
}

// Error is for logs only.
func (f *fault) Error() string { return fmt.Sprintf("%d %s: %.300s", f.status, f.Type, f.Reason) }

// is reports whether the error or what lies beneath it is of that type.
func (f *fault) is(kind string) bool {
	for c := f; c != nil; c = c.Cause {
		if c.Type == kind {
			return true
		}
		for i := range c.Root {
			if c.Root[i].Type == kind {
				return true
			}
		}
	}
	return false
}

// refusal reads the error of an answer.
func refusal(a answer) *fault {
	var body struct {
		Error json.RawMessage `json:"error"`
	}
	f := &fault{status: a.status}
	if json.Unmarshal(a.body, &body) == nil && len(body.Error) > 0 && json.Unmarshal(body.Error, f) == nil {
		return f
	}
	f.Type, f.Reason = http.StatusText(a.status), string(a.body[:min(len(a.body), 300)])
	return f
}

// failed makes an error of an answer that is not the one that was wanted. Errors
// are told apart by their type, never by their text, which is only the cause.
func failed(what string, a answer) error {
	f := refusal(a)
	switch {
	case a.status == http.StatusUnauthorized || f.is("security_exception"):
		return audit.Unavailable("the search cluster does not let us in: check user, password or api key, and their rights to "+what, f)
	case f.is("cluster_block_exception"):
		return audit.Unavailable("the search cluster has blocked an index, as it does when a disk is full: "+what, f)
	case f.is("too_many_clauses") || f.is("too_many_nested_clauses"):
		return &audit.Error{Code: audit.CodeUnsupported, Message: "the question has more conditions than the search cluster allows (indices.query.bool.max_clause_count)", Cause: f}
	case f.is("index_not_found_exception"):
		return audit.Unavailable("the search cluster has not the indices of this store: "+what, f)
	case a.status >= 500 || a.status == http.StatusTooManyRequests || a.status == http.StatusForbidden:
		return audit.Unavailable("the search cluster failed to "+what, f)
	}
	return &audit.Error{Code: audit.CodeInternal, Message: "the search cluster refused to " + what, Cause: f}
}
