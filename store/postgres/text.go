package postgres

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"github.com/annals-dev/annals/audit"
)

// The column search is a tsvector of two kinds of lexemes. Words are the tokens
// of audit.EachToken, where the tables have full text; members are hashes of a
// metadata key with its value. A member begins with a sign that no token has,
// so that neither is ever taken for the other. Nothing of PostgreSQL's own
// tokenizers and dictionaries is used: the same question has to give the same
// answer on every engine.
const (
	memberSign = "="
	// partial alone is in a vector that does not hold all that it should.
	partial = memberSign
	// maxMembers is how many members of a record's metadata are in its vector.
	maxMembers = 256
	// maxVector is how many bytes of lexemes a vector holds; a tsvector takes
	// less than 2^20 (PostgreSQL, "Limitations" of text search).
	maxVector = 1_000_000
)

// lexemes builds the vectors of records; its memory is used again. It must not
// be shared.
type lexemes struct {
	list    []string
	members int
	mem     []byte // of the members
	member  func(key, value string)
	word    func(token string)
}

func newLexemes() *lexemes {
	l := new(lexemes)
	l.word = func(token string) { l.list = append(l.list, token) }
	l.member = func(key, value string) {
		if l.members++; l.members > maxMembers {
			return
		}
		from := len(l.mem)
		l.mem = appendMember(l.mem, key, value)
		l.list = append(l.list, unsafe.String(&l.mem[from], len(l.mem)-from))
	}
	return l
}

// appendVector appends the record's vector in the binary form of tsvector,
// nothing where it would be empty; words are left out where the tables have no
// full text.
func (l *lexemes) appendVector(dst []byte, r *audit.Record, words bool) []byte {
	l.collect(r, words)
	defer clear(l.list)
	if len(l.list) == 0 {
		return dst
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(l.list)))
	for _, lexeme := range l.list {
		dst = append(dst, lexeme...)
		dst = append(dst, 0, 0, 0) // the text's end, and that it has no positions
	}
	return dst
}

// collect fills the list, each lexeme once, in the order of a tsvector, which
// the server then need not sort.
func (l *lexemes) collect(r *audit.Record, words bool) {
	l.list, l.mem, l.members = l.list[:0], l.mem[:0], 0
	audit.EachMetadata(r.Metadata, l.member)
	if l.members > maxMembers {
		l.list = append(l.list, partial)
	}
	if words {
		audit.EachToken(r, l.word)
	}
	slices.Sort(l.list)
	l.list = slices.Compact(l.list)
	l.limit()
}

// limit leaves out the longest words of a vector that would be too large.
func (l *lexemes) limit() {
	size := 0
	for _, lexeme := range l.list {
		size += len(lexeme)
	}
	if size <= maxVector {
		return
	}
	longest := audit.MaxToken
	for ; size > maxVector && longest > 0; longest-- {
		l.list = slices.DeleteFunc(l.list, func(lexeme string) bool {
			if drop := len(lexeme) == longest && lexeme[0] != memberSign[0]; !drop || size <= maxVector {
				return false
			}
			size -= longest
			return true
		})
	}
	if at, found := slices.BinarySearch(l.list, partial); !found {
		l.list = slices.Insert(l.list, at, partial)
	}
}

// appendMember appends the lexeme of a metadata member: FNV-1a of key and value.
// That two of them may share one costs a look at the row.
func appendMember(dst []byte, key, value string) []byte {
	h := uint64(14695981039346656037)
	for _, part := range [...]string{key, "\x00", value} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], h)
	return base64.RawURLEncoding.AppendEncode(append(dst, memberSign...), sum[:])
}

// wordsQuery gives the tsquery of a full text search: every term quoted, so
// that nothing in it is an operator.
func wordsQuery(terms []audit.Term) string {
	var b strings.Builder
	for i, t := range terms {
		if i > 0 {
			b.WriteString(" & ")
		}
		quoteLexeme(&b, t.Token)
		if t.Prefix {
			b.WriteString(":*")
		}
	}
	return b.String()
}

var lexemeQuoter = strings.NewReplacer(`'`, `''`, `\`, `\\`)

func quoteLexeme(b *strings.Builder, lexeme string) {
	b.WriteByte('\'')
	_, _ = lexemeQuoter.WriteString(b, lexeme)
	b.WriteByte('\'')
}

// memberQuery gives a tsquery that finds every record which may meet a filter
// on metadata; ok is false where the vectors cannot tell: an absent member is
// in none. words says whether they hold words.
func memberQuery(f *audit.Filter, words bool) (query string, ok bool) {
	key, isMetadata := f.MetadataKey()
	if !isMetadata || f.Op != audit.OpIs && f.Op != audit.OpPrefix || hasEmpty(f.Values) {
		return "", false
	}
	var b strings.Builder
	for i, v := range f.Values {
		if i > 0 {
			b.WriteString(" | ")
		}
		if f.Op == audit.OpIs {
			quoteLexeme(&b, string(appendMember(nil, key, v)))
			continue
		}
		terms := prefixTerms(v)
		if !words || len(terms) == 0 {
			return "", false
		}
		b.WriteString("(" + wordsQuery(terms) + ")")
	}
	b.WriteString(" | ")
	quoteLexeme(&b, partial)
	return b.String(), true
}

// prefixTerms gives words that a text which begins so is sure to have: the last
// one may go on after the prefix.
func prefixTerms(prefix string) []audit.Term {
	terms, err := audit.ParseText(strings.ReplaceAll(prefix, "*", " ") + "*")
	if err != nil || len(terms) == 0 {
		return nil // more words than a search may have
	}
	return terms
}

// words adds the condition of a full text search.
func (w *where) words(terms []audit.Term) {
	w.and()
	w.add("r.search @@ ", w.arg(wordsQuery(terms)), "::tsquery")
}
