package memory

import (
	"slices"

	"github.com/annals-dev/annals/audit"
)

var documents = func() (out []*audit.Field) {
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			out = append(out, f)
		}
	}
	return out
}()

// scratch is room for copies that live until the next one is made.
type scratch struct {
	rec   audit.Record
	bytes []byte
}

func (s *scratch) copy(r *audit.Record) *audit.Record {
	size := 0
	for _, f := range documents {
		size += len(f.Bytes(r))
	}
	s.rec = *r
	s.bytes = slices.Grow(s.bytes[:0], size) // no append below moves it
	for _, f := range documents {
		from := len(s.bytes)
		s.bytes = append(s.bytes, f.Bytes(r)...)
		f.SetBytes(&s.rec, slices.Clip(s.bytes[from:]))
	}
	return &s.rec
}
