package audit

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Full text search has one meaning on every engine that offers it.
//
// A token is a run of letters and digits (Unicode categories L and N), in
// lower case, of which the first [MaxToken] bytes count. A record contains the
// tokens of its searchable fields (see [SearchText]) and of every string,
// number and boolean in its documents, keys not included. A search finds a
// record when each of its words does; a word with punctuation inside counts as
// its parts, and one that ends in * stands for every token that begins so.

// MaxToken is the longest token in bytes.
const MaxToken = 64

// searchable are the text fields that full text covers, besides every document.
var searchable = []string{
	"action", "actor", "actor_name", "actor_email", "actor_ip", "user_agent",
	"resource_type", "resource", "resource_name", "error", "error_code", "rule",
	"tool_name", "purpose", "path",
}

var searchFields = func() (out []*Field) {
	for _, name := range searchable {
		for _, f := range fields {
			if f.Name == name {
				out = append(out, f)
			}
		}
	}
	return out
}()

// Term is one token that a search asks for.
type Term struct {
	Token  string
	Prefix bool // any token that begins with Token
}

// ParseText reads what a person typed into a search box. Nothing in it is an
// operator but a * at the end of a word.
func ParseText(s string) ([]Term, error) {
	var terms []Term
	for _, word := range strings.Fields(strings.ToValidUTF8(s, " ")) {
		from := len(terms)
		eachToken(word, func(tok string) {
			terms = append(terms, Term{Token: tok})
		})
		if strings.HasSuffix(word, "*") && len(terms) > from {
			terms[len(terms)-1].Prefix = true
		}
	}
	slices.SortFunc(terms, func(a, b Term) int {
		if c := strings.Compare(a.Token, b.Token); c != 0 || a.Prefix == b.Prefix {
			return c
		}
		if a.Prefix {
			return 1
		}
		return -1
	})
	terms = slices.Compact(terms)
	if len(terms) > MaxTextTerms {
		return nil, Invalid("q", "has %d words, at most %d", len(terms), MaxTextTerms)
	}
	return terms, nil
}

// MatchText reports whether the record contains every term.
func MatchText(r *Record, terms []Term) bool {
	missing := slices.Clone(terms)
	EachToken(r, func(tok string) {
		missing = slices.DeleteFunc(missing, func(t Term) bool {
			return t.Token == tok || t.Prefix && strings.HasPrefix(tok, t.Token)
		})
	})
	return len(missing) == 0
}

// EachToken calls fn with every token of the record that full text covers, in
// order and with repetitions.
func EachToken(r *Record, fn func(tok string)) {
	for _, f := range searchFields {
		if s := *f.text(r); s != "" {
			eachToken(s, fn)
		}
	}
	for _, f := range docFields {
		if doc := *f.doc(r); len(doc) > 0 {
			eachLeaf(doc, func(s string) { eachToken(s, fn) })
		}
	}
}

// SearchText gives the record's tokens, each once, separated by single blanks:
// what an engine indexes for full text.
func SearchText(r *Record) string {
	var b strings.Builder
	seen := make(map[string]struct{}, 64)
	EachToken(r, func(tok string) {
		if _, ok := seen[tok]; ok {
			return
		}
		seen[tok] = struct{}{}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(tok)
	})
	return b.String()
}

func eachToken(s string, fn func(tok string)) {
	start := -1
	upper := false
	for i := 0; i < len(s); {
		c := s[i]
		n := 1
		var word bool
		if c < utf8.RuneSelf {
			isUpper := c >= 'A' && c <= 'Z'
			upper = upper || isUpper
			word = isUpper || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		} else {
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			word = unicode.IsLetter(r) || unicode.IsNumber(r)
			upper = upper || word
		}
		if word && start < 0 {
			start = i
		} else if !word && start >= 0 {
			emitToken(s[start:i], upper, fn)
			start, upper = -1, false
		}
		if !word {
			upper = false
		}
		i += n
	}
	if start >= 0 {
		emitToken(s[start:], upper, fn)
	}
}

func emitToken(tok string, fold bool, fn func(string)) {
	if fold {
		tok = strings.ToLower(tok)
	}
	if len(tok) > MaxToken {
		n := MaxToken
		for !utf8.RuneStart(tok[n]) {
			n--
		}
		tok = tok[:n]
	}
	fn(tok)
}

// eachLeaf calls fn with every string, number and boolean of a compact document.
func eachLeaf(doc []byte, fn func(s string)) {
	for i := 0; i < len(doc); {
		switch c := doc[i]; c {
		case '{', '}', '[', ']', ',', ':':
			i++
		default:
			end := skipValue(doc, i)
			if end <= i {
				return
			}
			isKey := c == '"' && end < len(doc) && doc[end] == ':'
			switch {
			case isKey || c == 'n':
			case c == '"':
				fn(unquote(doc[i+1 : end-1]))
			default:
				fn(string(doc[i:end]))
			}
			i = end
		}
	}
}
