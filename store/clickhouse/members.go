package clickhouse

import (
	"strings"

	"github.com/annals-dev/annals/audit"
)

// The column members holds what audit.EachMetadata gives of a document, as one
// text that is searched for its parts: a sign before each key, one between key
// and value, one after the value. The signs are bytes that no UTF-8 has, so a
// part is never found inside a key or a value.
const (
	signKey   = "\xff"
	signValue = "\xfe"
	signEnd   = "\xfd"
)

func appendMembers(dst []byte, doc []byte) []byte {
	audit.EachMetadata(doc, func(key, value string) {
		dst = append(dst, signKey...)
		dst = append(dst, key...)
		dst = append(dst, signValue...)
		dst = append(dst, value...)
		dst = append(dst, signEnd...)
	})
	return dst
}

// metadata adds the condition on one member. An absent one is the empty text.
func (w *where) metadata(key string, f *audit.Filter) {
	start := signKey + key + signValue
	var any []string
	for _, v := range f.Values {
		part := start + v
		if f.Op != audit.OpPrefix {
			part += signEnd
		}
		any = append(any, "position(members,"+text(part)+")>0")
		if v == "" && f.Op != audit.OpPrefix {
			any = append(any, "position(members,"+text(start)+")=0")
		}
	}
	cond := "(" + strings.Join(any, " OR ") + ")"
	if f.Op == audit.OpNot {
		cond = "NOT " + cond
	}
	w.and(cond)
}
