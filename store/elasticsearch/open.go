package elasticsearch

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/store/internal/intake"
)

// Open connects to the cluster, finds out what it speaks, and makes what is
// missing: the template, and the first index of each kind.
func Open(ctx context.Context, opt Options) (*Store, error) {
	opt, err := opt.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opt: opt, room: make(chan struct{}, opt.Parallel)}
	s.life, s.end = context.WithCancelCause(context.Background())
	s.lanes = intake.Lanes{Open: s.openLane, Room: newRoom, Go: s.work.Go, Idle: idle, Life: s.life}
	if s.client, err = newClient(&s.opt, s.closed); err != nil {
		return nil, err
	}
	if s.server, err = s.detect(ctx); err == nil {
		err = s.prepare(ctx)
	}
	if err == nil {
		_, err = s.known(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// server says what the cluster is.
type server struct {
	name    string // Elasticsearch or OpenSearch
	version string
	major   int
	open    bool // it is OpenSearch
}

// oldest versions that have what the store needs: composable templates and
// require_alias.
const (
	oldestElasticsearch = 7
	oldestOpenSearch    = 1
)

// detect asks the cluster what it is. A server may answer its root with its
// version, or only tell it among its nodes.
func (s *Store) detect(ctx context.Context) (server, error) {
	var root struct {
		Version struct {
			Number       string `json:"number"`
			Distribution string `json:"distribution"`
		} `json:"version"`
	}
	a, err := s.client.do(ctx, request{method: "GET", path: "/"})
	if err != nil {
		return server{}, err
	}
	switch a.status {
	case http.StatusOK:
		if err := json.Unmarshal(a.body, &root); err != nil || root.Version.Number == "" {
			return server{}, audit.Invalid("url", "there is a server, but it is neither Elasticsearch nor OpenSearch")
		}
	case http.StatusUnauthorized, http.StatusForbidden:
		return server{}, failed("tell what it is", a)
	default:
		var nodes struct {
			Nodes map[string]struct{ Version string }
		}
		a, err = s.client.do(ctx, request{method: "GET", path: "/_nodes/_local", query: "filter_path=nodes.*.version"})
		if err != nil {
			return server{}, err
		}
		if a.status != http.StatusOK || json.Unmarshal(a.body, &nodes) != nil || len(nodes.Nodes) == 0 {
			return server{}, audit.Invalid("url", "there is a server, but it is neither Elasticsearch nor OpenSearch")
		}
		for _, n := range nodes.Nodes {
			root.Version.Number = n.Version
		}
	}
	v := server{name: "Elasticsearch", version: root.Version.Number}
	if root.Version.Distribution == "opensearch" {
		v.name, v.open = "OpenSearch", true
	}
	first, _, _ := strings.Cut(v.version, ".")
	v.major, _ = strconv.Atoi(first)
	if !v.open && v.major < oldestElasticsearch || v.open && v.major < oldestOpenSearch {
		return v, audit.Invalid("url", "%s %s is too old: want Elasticsearch 7.17 or OpenSearch 1 at least", v.name, v.version)
	}
	return v, nil
}

// prepare makes what is missing, and refuses what a newer program has made.
func (s *Store) prepare(ctx context.Context) error {
	have, _, err := s.schemaVersion(ctx)
	if err != nil {
		return err
	}
	if have > schemaVersion {
		return audit.Invalid("prefix", "the indices %s* have the mapping %d, this program knows %d: use a newer one", s.opt.Prefix, have, schemaVersion)
	}
	if have == schemaVersion {
		return nil
	}
	if s.opt.NoCreate {
		return audit.Unavailable("the search cluster has no indices "+s.opt.Prefix+"*: nothing was recorded there yet", nil)
	}
	a, err := s.client.do(ctx, request{method: "PUT", path: "/_index_template/" + s.readAlias(), body: encoded(s.template())})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return failed("make the index template", a)
	}
	l, _, err := s.findGenerations(ctx)
	if err != nil {
		return err
	}
	if len(l.generations) == 0 {
		if err := s.createGeneration(ctx, 1); err != nil {
			return err
		}
	}
	// The last, since it says that all is there.
	return s.createIndex(ctx, s.metaIndex(), object{"settings": s.settings(), "mappings": ownMapping()})
}

func (s *Store) schemaVersion(ctx context.Context) (have, want int, err error) {
	a, err := s.client.do(ctx, request{method: "GET", path: "/" + s.metaIndex() + "/_mapping", query: "filter_path=*.mappings._meta"})
	if err != nil {
		return 0, schemaVersion, err
	}
	if a.status == http.StatusNotFound {
		return 0, schemaVersion, nil
	}
	if a.status != http.StatusOK {
		return 0, schemaVersion, failed("tell the version of the mapping", a)
	}
	var indices map[string]struct {
		Mappings struct {
			Meta struct {
				Annals int `json:"annals"`
			} `json:"_meta"`
		} `json:"mappings"`
	}
	if err := json.Unmarshal(a.body, &indices); err != nil {
		return 0, schemaVersion, garbled(err)
	}
	for _, index := range indices {
		have = index.Mappings.Meta.Annals
	}
	return have, schemaVersion, nil
}

// SchemaVersion implements audit.Migrator.
func (s *Store) SchemaVersion(ctx context.Context) (have, want int, err error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	return s.schemaVersion(ctx)
}

// Ping implements audit.Pinger.
func (s *Store) Ping(ctx context.Context) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	have, want, err := s.schemaVersion(ctx)
	if err == nil && have != want {
		return audit.Unavailable("the search cluster has lost the index "+s.metaIndex(), nil)
	}
	return err
}
