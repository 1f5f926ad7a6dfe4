package elasticsearch

import (
	"context"
	"encoding/base64"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
)

// A chain that was copied from an engine whose writers have segments stands
// beside the own chain of its scope, to which alone records are appended. Which
// segments a scope has is in a document of its own, as only a document that is
// read by its id is seen at once.

// segmentsID is the id of that document.
func segmentsID(scope audit.Scope) string {
	sum := scopeHash(scope)
	return "segments/" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// noteSegment writes down that the chain is there, before its head is.
func (s *Store) noteSegment(ctx context.Context, head chain.Head) error {
	if head.Segment == "" || head.Sequence > 0 {
		return nil
	}
	id := segmentsID(head.Scope)
	for {
		doc, at, err := s.getMeta(ctx, id)
		if err != nil {
			return err
		}
		if doc == nil {
			doc = &metaDoc{Type: "segments"}
		}
		if slices.Contains(doc.Segments, head.Segment) {
			return nil
		}
		doc.Segments = append(doc.Segments, head.Segment)
		slices.Sort(doc.Segments)
		if moved, err := s.putMeta(ctx, id, doc, at); err != nil || !moved {
			return err
		}
	}
}

// headsOf gives the heads of a scope's chains as they are at this moment.
func (s *Store) headsOf(ctx context.Context, scope audit.Scope) (heads []chain.Head, err error) {
	doc, _, err := s.getMeta(ctx, segmentsID(scope))
	if err != nil {
		return nil, err
	}
	segments := []string{""}
	if doc != nil {
		segments = append(segments, doc.Segments...)
	}
	for _, segment := range segments {
		h, _, err := s.readHead(ctx, chain.Key{Scope: scope, Segment: segment})
		if err != nil {
			return nil, err
		}
		if h.Sequence > 0 {
			heads = append(heads, h.chain())
		}
	}
	return heads, nil
}
