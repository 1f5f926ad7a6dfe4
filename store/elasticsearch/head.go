package elasticsearch

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"slices"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/internal/intake"
)

// head is the head document of a chain. It is only ever replaced by comparison
// with the one that was read.
//
// The servers have no transaction that could store records and move the head
// together. So a batch is first written into the head itself (a fence for its
// places, and the records in it), and only then into the index: whoever finds a
// batch in the head whose records are not all there writes the rest, which does
// nothing to those that are. A batch is never taken back, so no writer that was
// late can spoil one.
type head struct {
	Namespace string       `json:"namespace"`
	Tenant    string       `json:"tenant"`
	Segment   string       `json:"segment,omitempty"` // of a chain that was copied here, see segment.go
	Sequence  int64        `json:"sequence"`          // of the last record, the batch included
	Hash      audit.Digest `json:"hash"`
	Batch     []byte       `json:"batch,omitempty"` // records that may not be in the index yet, see pack
	Mark      []byte       `json:"mark,omitempty"`  // of the write, to know one's own again
}

func (h *head) chain() chain.Head {
	return chain.Head{Key: chain.Key{Scope: audit.Scope{Namespace: h.Namespace, Tenant: h.Tenant}, Segment: h.Segment}, Sequence: h.Sequence, Hash: h.Hash}
}

// headOf makes the document of a head without a batch.
func headOf(h chain.Head) head {
	return head{Namespace: h.Namespace, Tenant: h.Tenant, Segment: h.Segment, Sequence: h.Sequence, Hash: h.Hash}
}

func headID(key chain.Key) string {
	sum := scopeHash(key.Scope)
	id := "head/" + base64.RawURLEncoding.EncodeToString(sum[:])
	if key.Segment != "" {
		sum := sha256.Sum256([]byte(key.Segment))
		id += "/" + base64.RawURLEncoding.EncodeToString(sum[:16])
	}
	return id
}

func newMark() []byte {
	mark := make([]byte, 12)
	_, _ = rand.Read(mark) // never fails
	return mark
}

// pack writes sealed records so that they can be written again.
func pack(recs []*audit.Record) []byte {
	var buf bytes.Buffer
	z, _ := gzip.NewWriterLevel(&buf, gzip.BestSpeed) // the level is a valid one
	var line []byte
	for _, r := range recs {
		line = append(appendSource(line[:0], r), '\n')
		_, _ = z.Write(line) // into memory
	}
	_ = z.Close() // into memory
	return buf.Bytes()
}

func unpack(batch []byte) ([]*audit.Record, error) {
	bad := func(err error) error {
		return &audit.Error{Code: audit.CodeInternal, Message: "the head of a chain holds a batch that cannot be read", Cause: err}
	}
	z, err := gzip.NewReader(bytes.NewReader(batch))
	if err != nil {
		return nil, bad(err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		return nil, bad(err)
	}
	var recs []*audit.Record
	for line := range bytes.Lines(all) {
		r, err := decode(line)
		if err != nil {
			return nil, err
		}
		recs = append(recs, r)
	}
	return recs, nil
}

// readHead reads the head of a chain as it is at this moment, and writes what its
// batch still lacks. It is empty where there is no chain.
func (s *Store) readHead(ctx context.Context, key chain.Key) (head, seat, error) {
	doc, at, err := s.getMeta(ctx, headID(key))
	if err != nil {
		return head{}, seat{}, err
	}
	if doc == nil || doc.Head == nil {
		return headOf(chain.Head{Key: key}), at, nil
	}
	return *doc.Head, at, s.complete(ctx, doc.Head.Batch)
}

// complete writes the records of a batch that are not in the index.
func (s *Store) complete(ctx context.Context, batch []byte) error {
	if len(batch) == 0 {
		return nil
	}
	recs, err := unpack(batch)
	if err != nil {
		return err
	}
	entries := make([]*entry, len(recs))
	ids := make([]string, len(recs))
	for i, r := range recs {
		entries[i] = newEntry(&intake.Entry{Rec: r})
		entries[i].look = true
		ids[i] = entries[i].id
	}
	l, err := s.known(ctx)
	if err != nil {
		return err
	}
	there, err := s.getAnywhere(ctx, l, ids)
	if err != nil {
		return err
	}
	missing := entries[:0]
	for i, e := range entries {
		if there[i] == nil || there[i].Hash != e.Rec.Hash {
			missing = append(missing, e)
		}
	}
	return s.place(ctx, missing)
}

// Heads implements chain.Reader; it is strongly consistent.
func (s *Store) Heads(ctx context.Context, scope *audit.Scope) ([]chain.Head, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if scope != nil {
		return s.headsOf(ctx, *scope)
	}
	if err := s.refresh(ctx, s.metaIndex()); err != nil {
		return nil, err
	}
	var heads []chain.Head
	var after []any
	for {
		body := object{"query": term("type", "head"), "sort": []any{object{"key": "asc"}}, "size": maxHits, "track_total_hits": false, "_source": []string{"head.namespace", "head.tenant", "head.segment", "head.sequence", "head.hash", "head.mark"}}
		if after != nil {
			body["search_after"] = after
		}
		f, err := s.search(ctx, "/"+s.metaIndex(), body)
		if err != nil {
			return nil, err
		}
		for _, hit := range f.Hits.Hits {
			var doc metaDoc
			if err := json.Unmarshal(hit.Source, &doc); err != nil || doc.Head == nil {
				return nil, garbled(err)
			}
			h := *doc.Head
			if h.Mark != nil { // it has a batch
				if h, _, err = s.readHead(ctx, h.chain().Key); err != nil {
					return nil, err
				}
			}
			heads = append(heads, h.chain())
			after = []any{hit.Sort[0]}
		}
		if len(f.Hits.Hits) < maxHits {
			break
		}
	}
	slices.SortFunc(heads, func(a, b chain.Head) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Segment, b.Segment))
	})
	return heads, nil
}
