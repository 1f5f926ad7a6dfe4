package elasticsearch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// Records are in one generation of indices after the other:
// annals_records-000001 and so on. All have the alias annals_records,
// by which they are read. The one that is written to has besides an alias of its
// generation, annals_write-000001, and writers name that: so a writer that does
// not know of a new generation yet is refused instead of writing into an old one.

func (s *Store) readAlias() string       { return s.opt.Prefix + "records" }
func (s *Store) recordsPattern() string  { return s.opt.Prefix + "records-*" }
func (s *Store) metaIndex() string       { return s.opt.Prefix + "meta" }
func (s *Store) generation(g int) string { return fmt.Sprintf("%srecords-%06d", s.opt.Prefix, g) }
func (s *Store) writeAlias(g int) string { return fmt.Sprintf("%swrite-%06d", s.opt.Prefix, g) }
func (s *Store) generationOf(n string) (int, bool) {
	digits, ok := strings.CutPrefix(n, s.opt.Prefix+"records-")
	if !ok || len(digits) < 6 {
		return 0, false
	}
	g, err := strconv.Atoi(digits)
	return g, err == nil && g > 0 && s.generation(g) == n
}

// layout is what this process knows of the generations.
type layout struct {
	generations []int     // in order; the last one is written to
	opened      time.Time // when the last one was made
	far         int64     // milliseconds: see lookup.go
}

func (l *layout) writing() int { return l.generations[len(l.generations)-1] }

// older are the generations that nothing is added to any more.
func (l *layout) older() []int { return l.generations[:len(l.generations)-1] }

type layouts struct {
	mu  sync.Mutex
	now *layout
}

// known gives the layout, and reads it when nothing is known.
func (s *Store) known(ctx context.Context) (*layout, error) {
	s.layout.mu.Lock()
	defer s.layout.mu.Unlock()
	if s.layout.now != nil {
		return s.layout.now, nil
	}
	l, err := s.readLayout(ctx)
	if err == nil {
		s.layout.now = l
	}
	return l, err
}

// forget has the layout read again, unless somebody did since.
func (s *Store) forget(l *layout) {
	s.layout.mu.Lock()
	defer s.layout.mu.Unlock()
	if s.layout.now == l {
		s.layout.now = nil
	}
}

// lookAgain reads the layout anew.
func (s *Store) lookAgain(ctx context.Context) error {
	l, err := s.known(ctx)
	if err != nil {
		return err
	}
	s.forget(l)
	_, err = s.known(ctx)
	return err
}

// readLayout finds the generations; one whose successor was begun and not
// finished gets it.
func (s *Store) readLayout(ctx context.Context) (*layout, error) {
	for {
		l, open, err := s.findGenerations(ctx)
		if err != nil {
			return nil, err
		}
		if len(l.generations) == 0 {
			return nil, audit.Unavailable("the search cluster has no index "+s.generation(1)+" of this store", nil)
		}
		if open || s.opt.NoCreate {
			if l.far, err = s.readFar(ctx); err != nil {
				return nil, err
			}
			return l, nil
		}
		if err := s.succeed(ctx, l.writing()); err != nil {
			return nil, err
		}
	}
}

// findGenerations lists them; open is whether the last one can be written to.
func (s *Store) findGenerations(ctx context.Context) (l *layout, open bool, err error) {
	a, err := s.client.do(ctx, request{method: "GET", path: "/" + s.recordsPattern(), query: "filter_path=*.aliases,*.settings.index.creation_date&allow_no_indices=true"})
	if err != nil {
		return nil, false, err
	}
	l = &layout{}
	if a.status == http.StatusNotFound {
		return l, false, nil
	}
	if a.status != http.StatusOK {
		return nil, false, failed("list the indices", a)
	}
	var indices map[string]struct {
		Aliases  map[string]json.RawMessage
		Settings struct {
			Index struct {
				Created string `json:"creation_date"`
			}
		}
	}
	if err := json.Unmarshal(a.body, &indices); err != nil {
		return nil, false, garbled(err)
	}
	for name, index := range indices {
		g, ok := s.generationOf(name)
		if _, read := index.Aliases[s.readAlias()]; !ok || !read {
			continue
		}
		l.generations = append(l.generations, g)
		if g == slices.Max(l.generations) {
			_, open = index.Aliases[s.writeAlias(g)]
			ms, _ := strconv.ParseInt(index.Settings.Index.Created, 10, 64)
			l.opened = time.UnixMilli(ms)
		}
	}
	slices.SortFunc(l.generations, cmp.Compare[int])
	return l, open, nil
}

// succeed closes a generation and opens the next. Every step can be repeated, by
// anybody and at the same time: so whoever finds it half done goes on with it.
//
// First the generation's alias goes, so that no write begins any more; then a
// block, which returns when the writes under way have ended, and stays until
// retention has to delete from the generation; then what was written is made
// visible, so that a search finds every id of it. Only then can anything be
// written to the next one.
func (s *Store) succeed(ctx context.Context, g int) error {
	index := s.generation(g)
	a, err := s.client.do(ctx, request{method: "POST", path: "/_aliases", body: encoded(object{"actions": []any{
		object{"remove": object{"index": index, "alias": s.writeAlias(g)}},
	}})})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK && !refusal(a).is("aliases_not_found_exception") {
		return failed("close an index", a)
	}
	if a.status == http.StatusOK {
		if err := acknowledged("close an index", a.body); err != nil {
			return err
		}
	}
	if finished, err := s.block(ctx, g); err != nil || finished {
		return err
	}
	if err := s.refresh(ctx, index); err != nil {
		return err
	}
	return s.createGeneration(ctx, g+1)
}

// blockPatience is how often an index that somebody else has blocked is looked at
// before that somebody is taken for dead: for about ten seconds.
const blockPatience = 20

// block sets the write block of a generation, and returns when the writes under
// way have ended. The server tells that only to the one who set it; another waits
// until that one has finished, or starts anew where it does not.
func (s *Store) block(ctx context.Context, g int) (finished bool, err error) {
	index := s.generation(g)
	for attempt := 1; ; attempt++ {
		a, err := s.client.do(ctx, request{method: "PUT", path: "/" + index + "/_block/write", long: true})
		if err != nil {
			return false, err
		}
		if a.status != http.StatusOK {
			return false, failed("close an index", a)
		}
		if acknowledged("close an index", a.body) == nil {
			return false, nil
		}
		l, _, err := s.findGenerations(ctx)
		if err != nil || len(l.generations) > 0 && l.writing() > g {
			return err == nil, err
		}
		if attempt%blockPatience == 0 {
			if err := s.unblock(ctx, index); err != nil {
				return false, err
			}
			continue
		}
		if sleep(ctx, 500*time.Millisecond) != nil {
			return false, s.interrupted(ctx)
		}
	}
}

// unblock lets retention delete from a closed generation.
func (s *Store) unblock(ctx context.Context, index string) error {
	a, err := s.client.do(ctx, request{method: "PUT", path: "/" + index + "/_settings", body: []byte(`{"index.blocks.write":null}`)})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return failed("open an index for deletion", a)
	}
	return nil
}

func (s *Store) createGeneration(ctx context.Context, g int) error {
	return s.createIndex(ctx, s.generation(g), object{"aliases": object{s.readAlias(): object{}, s.writeAlias(g): object{}}})
}

// createIndex makes an index unless it is there.
func (s *Store) createIndex(ctx context.Context, name string, body object) error {
	a, err := s.client.do(ctx, request{method: "PUT", path: "/" + name, body: encoded(body), long: true})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK && !refusal(a).is("resource_already_exists_exception") {
		return failed("create the index "+name, a)
	}
	return nil
}

// acknowledged wants every node to have done it.
func acknowledged(what string, body []byte) error {
	var done struct {
		Acknowledged bool  `json:"acknowledged"`
		Shards       *bool `json:"shards_acknowledged"`
	}
	if err := json.Unmarshal(body, &done); err != nil {
		return garbled(err)
	}
	if !done.Acknowledged || done.Shards != nil && !*done.Shards {
		return audit.Unavailable("not every node of the search cluster did its part to "+what, nil)
	}
	return nil
}

// garbled is the error for an answer that cannot be read.
func garbled(err error) error {
	return audit.Unavailable("an answer of the search cluster cannot be read", err)
}
