package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// The engine of docs/guides/add-an-engine.md: a file of JSON lines, fsynced line
// by line, for one process. It shows what an engine must do and nothing else;
// all answers come from the reference functions of package audit.

// journal keeps its state in memory and every change of it as a line of a file.
type journal struct {
	mu        sync.Mutex
	file      *os.File // nil when closed
	failed    error    // of a write: the file and the state are not the same any more
	recs      map[audit.Ref]*audit.Record
	heads     map[chain.Key]chain.Head
	documents map[string]document
	versions  int64
}

// change is one line: it happens as a whole or not at all.
type change struct {
	Put       []*audit.Record     `json:"put,omitempty"`
	Delete    []audit.Ref         `json:"delete,omitempty"`
	Documents map[string]document `json:"documents,omitempty"`
}

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, audit.Unavailable("the journal cannot be opened", err)
	}
	s := &journal{file: file, recs: map[audit.Ref]*audit.Record{}, heads: map[chain.Key]chain.Head{}, documents: map[string]document{}}
	text, err := os.ReadFile(path)
	whole := int64(bytes.LastIndexByte(text, '\n') + 1)
	for line := range bytes.Lines(text[:whole]) {
		err = errors.Join(err, s.apply(line))
	}
	// A line without an end was never acknowledged.
	if err = errors.Join(err, file.Truncate(whole)); err == nil {
		_, err = file.Seek(whole, 0)
	}
	if err != nil {
		return nil, audit.Unavailable("the journal cannot be read", errors.Join(err, file.Close()))
	}
	return s, nil
}

// commit makes a change durable and then known. The records are copied by
// being written and read, so the state shares no memory with a caller.
func (s *journal) commit(c change) error {
	line, err := json.Marshal(c)
	if err != nil {
		return &audit.Error{Code: audit.CodeInternal, Message: "a record cannot be written as JSON", Cause: err}
	}
	line = append(line, '\n')
	if _, err = s.file.Write(line); err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.failed = audit.Unavailable("the journal cannot be written: open it anew", err)
		return s.failed
	}
	return s.apply(line)
}

func (s *journal) apply(line []byte) error {
	var c change
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	for _, r := range c.Put {
		s.recs[r.Ref()] = r
		if key := chain.KeyOf(r); r.Sequence > s.heads[key].Sequence {
			s.heads[key] = chain.Head{Key: key, Sequence: r.Sequence, Hash: r.Hash}
		}
	}
	for _, ref := range c.Delete {
		delete(s.recs, ref)
	}
	for key, d := range c.Documents {
		s.documents[key], s.versions = d, max(s.versions, d.Version)
	}
	return nil
}

// lock begins a call; the caller unlocks whatever the answer.
func (s *journal) lock(ctx context.Context) error {
	s.mu.Lock()
	switch {
	case s.file == nil:
		return audit.ErrClosed
	case ctx.Err() != nil:
		return audit.Unavailable("the call was given up", ctx.Err())
	}
	return s.failed
}

func (s *journal) Capabilities() audit.Capabilities {
	return audit.Capabilities{Engine: "journal", Durable: true, Text: true, BatchSize: 500}
}

func (s *journal) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

func (s *journal) Append(ctx context.Context, recs []*audit.Record) ([]audit.Result, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	results := make([]audit.Result, len(recs))
	var put []*audit.Record
	for i, r := range recs {
		if r.Sequence != 0 || !r.Hash.IsZero() {
			results[i].Err = audit.Invalid("sequence", "is set: a record with a place in a chain cannot be appended outside it")
		} else if s.isNew(r, recs[:i], &results[i]) {
			put = append(put, r)
		}
	}
	if len(put) == 0 {
		return results, nil
	}
	return results, s.commit(change{Put: put})
}

// isNew gives the verdict on a record that the store, or the batch in front of
// it, may have already.
func (s *journal) isNew(r *audit.Record, before []*audit.Record, result *audit.Result) bool {
	old := s.recs[r.Ref()]
	for i := 0; old == nil && i < len(before); i++ {
		if before[i].Ref() == r.Ref() {
			old = before[i]
		}
	}
	switch {
	case r.ID.IsZero():
		result.Err = audit.Invalid("id", "is required")
	case old == nil:
		return true
	case audit.SameContent(old, r):
		*result = audit.Result{Duplicate: true, Sequence: old.Sequence, Hash: old.Hash}
	default:
		result.Err = audit.ErrConflict
	}
	return false
}

func (s *journal) Get(ctx context.Context, ref audit.Ref) (*audit.Record, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	if r := s.recs[ref]; r != nil {
		return clone(r), nil
	}
	return nil, audit.ErrNotFound
}

func (s *journal) Query(ctx context.Context, q *audit.Query) (*audit.Page, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return nil, err
	}
	direction := 1
	if q.Order == audit.NewestFirst {
		direction = -1
	}
	var found []*audit.Record
	for _, r := range s.recs {
		after := q.After.IsZero() || r.Position().Compare(q.After)*direction > 0
		if after && q.Match(r) && (!q.Open || !s.ended(r)) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *audit.Record) int { return a.Position().Compare(b.Position()) * direction })
	limit := q.Limit
	if limit <= 0 {
		limit = audit.DefaultLimit
	}
	page := &audit.Page{}
	for _, r := range found {
		if n := len(page.Records); n >= limit {
			// Records of several tenants may share one position: a page holds them all.
			if last := page.Records[n-1].Position(); r.Position().Compare(last) != 0 {
				page.Next = last
				break
			}
		}
		page.Records = append(page.Records, clone(r))
	}
	return page, nil
}

// ended reports whether the action of an intent has an outcome.
func (s *journal) ended(intent *audit.Record) bool {
	for _, r := range s.recs {
		if r.ActionID == intent.ActionID && r.Scope() == intent.Scope() && r.Outcome != audit.Pending {
			return true
		}
	}
	return false
}

func (s *journal) DeleteExpired(ctx context.Context, cut audit.Cut, limit int) (int, error) {
	defer s.mu.Unlock()
	if err := s.lock(ctx); err != nil {
		return 0, err
	}
	var c change
	torn := map[chain.Key][]chain.Link{}
	for ref, r := range s.recs {
		if len(c.Delete) == limit || !cut.Selects(r) {
			continue
		}
		c.Delete = append(c.Delete, ref)
		if r.Sequence != 0 {
			key := chain.KeyOf(r)
			torn[key] = append(torn[key], chain.Link{Sequence: r.Sequence, PrevHash: r.PrevHash, Hash: r.Hash})
		}
	}
	if len(c.Delete) == 0 {
		return 0, nil
	}
	// Anchors stand for what went, in the same change.
	for key, links := range torn {
		slices.SortFunc(links, func(a, b chain.Link) int { return int(a.Sequence - b.Sequence) })
		head := s.heads[key]
		for runs := range slices.Chunk(chain.Runs(links), chain.MaxRuns) {
			anchor := chain.Anchor(key, runs, cut.Reason, time.Now())
			head = chain.Seal(head, []*audit.Record{anchor})
			c.Put = append(c.Put, anchor)
		}
	}
	return len(c.Delete), s.commit(c)
}

// clone gives a copy whose documents are the caller's own.
func clone(r *audit.Record) *audit.Record {
	c := *r
	for _, f := range audit.Fields() {
		if f.Kind == audit.Document {
			f.SetBytes(&c, slices.Clone(f.Bytes(r)))
		}
	}
	return &c
}

// The suite is what makes an engine supported.
func TestJournal(t *testing.T) {
	paths := map[audit.Store]string{}
	open := func(tb testing.TB, path string) audit.Store {
		s, err := openJournal(path)
		if err != nil {
			tb.Fatal(err)
		}
		paths[s] = path
		tb.Cleanup(func() {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
		})
		return s
	}
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB) audit.Store { return open(tb, filepath.Join(tb.TempDir(), "journal.ndjson")) },
		Reopen: func(tb testing.TB, s audit.Store) audit.Store {
			if err := s.Close(); err != nil {
				tb.Error(err)
			}
			return open(tb, paths[s])
		},
		Skip: map[storetest.Category]string{
			storetest.Scanning:  "it has no audit.Scanner and no audit.Counter: a trail asks it page after page",
			storetest.Restoring: "it has no chain.Restorer: nothing can be copied into it",
			storetest.Analytics: "it streams; the reference is used as it is",
		},
	})
}

// A torn line is what a crash leaves; what was acknowledged before it stays.
func TestJournalTorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.ndjson")
	s, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	recs := storetest.Corpus(1, 2)
	for _, r := range recs {
		if _, err := s.Append(t.Context(), []*audit.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err = openJournal(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Get(t.Context(), recs[0].Ref()); err != nil {
		t.Error(err)
	}
	if _, err := s.Get(t.Context(), recs[1].Ref()); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("the torn record: %v", err)
	}
	if _, err := s.Append(t.Context(), recs[1:]); err != nil {
		t.Error(err)
	}
	if text, err = os.ReadFile(path); err != nil || strings.Count(string(text), "\n") != 2 {
		t.Errorf("the file has not two lines (%v): %s", err, text)
	}
}
