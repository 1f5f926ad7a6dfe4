package elasticsearch

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/chain"
	"github.com/annals-dev/annals/store/storetest"
)

// Processes that write one chain at the same time lose nothing.
func TestContention(t *testing.T) {
	opt := serverOptions(t)
	stores := []*Store{openStore(t, opt), openStore(t, opt), openStore(t, opt)}
	shared := event("a", start, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []*audit.Record
	fresh := 0
	for _, s := range stores {
		wg.Go(func() {
			for range 10 {
				recs := append(events("a", 7), storetest.Clone(shared))
				results, err := s.AppendChained(t.Context(), recs)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, r := range results {
					if r.Err != nil || i < 7 && r.Duplicate {
						t.Errorf("record %d: %+v", i, r)
					}
					if i == 7 && !r.Duplicate {
						fresh++
					}
				}
				all = append(all, recs[:7]...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if fresh != 1 {
		t.Errorf("the shared record was stored %d times", fresh)
	}
	verified(t, stores[0], "a", int64(len(all)+1))
	for _, r := range all {
		got, err := stores[1].Get(t.Context(), r.Ref())
		if err != nil || storetest.Diff(r, got) != "" {
			t.Fatalf("Get: %v\n%s", err, storetest.Diff(r, got))
		}
	}
}

// A writer that died between the head and the records left a batch, which the
// next reader or writer completes.
func TestCompletion(t *testing.T) {
	opt := serverOptions(t)
	for name, next := range map[string]func(s *Store){
		"a writer": func(s *Store) {
			results, err := s.AppendChained(t.Context(), events("a", 4))
			stored(t, results, err)
			verified(t, s, "a", 5+20+4)
		},
		"a reader": func(s *Store) { verified(t, s, "a", 5+20) },
		"a list of heads": func(s *Store) {
			heads, err := s.Heads(t.Context(), nil)
			if err != nil || len(heads) != 1 || heads[0].Sequence != 25 {
				t.Errorf("%+v, %v", heads, err)
			}
			verified(t, s, "a", 5+20)
		},
	} {
		t.Run(name, func(t *testing.T) {
			mine := opt
			mine.Prefix = strings.ReplaceAll(name, " ", "-") + opt.Prefix
			s := openStore(t, mine)
			t.Cleanup(func() { drop(t, mine) })
			results, err := s.AppendChained(t.Context(), events("a", 5))
			stored(t, results, err)
			var dying http.RoundTripper = roundTripper(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "_bulk") {
					return nil, http.ErrServerClosed
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			broken := mine
			broken.transport, broken.MaxRetries = dying, -1
			d := openStore(t, broken)
			recs := events("a", 20)
			if results, err := d.AppendChained(t.Context(), recs); err == nil || !audit.Retryable(err) {
				t.Fatalf("%+v, %v", results, err)
			}
			next(s)
			// The caller of the dead one tries again elsewhere.
			results, err = s.AppendChained(t.Context(), recs)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if r.Err != nil || !r.Duplicate || r.Sequence != int64(6+i) {
					t.Fatalf("record %d: %+v", i, r)
				}
			}
		})
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// A record that is stored outside the chain between the look for its id and its
// writing does not break the chain.
func TestOusted(t *testing.T) {
	opt := serverOptions(t)
	plain := openStore(t, opt)
	recs := events("a", 3)
	other := storetest.Clone(recs[1])
	other.Error = "changed"
	var once sync.Once
	racing := opt
	racing.transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		if strings.HasSuffix(r.URL.Path, "_bulk") {
			once.Do(func() {
				results, err := plain.Append(t.Context(), []*audit.Record{other})
				stored(t, results, err)
			})
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	s := openStore(t, racing)
	results, err := s.AppendChained(t.Context(), recs)
	stored(t, results, err)
	verified(t, s, "a", 3)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// Whatever somebody changes in the indices is found.
func TestTampering(t *testing.T) {
	opt := serverOptions(t)
	for name, change := range map[string]func(s *Store, recs []*audit.Record){
		"a field": func(s *Store, recs []*audit.Record) {
			recs[4].Actor.ID = "mallory"
			tamper(t, s, recs[4])
		},
		"a payload": func(s *Store, recs []*audit.Record) {
			recs[4].Payload = []byte(`{"a":2}`)
			tamper(t, s, recs[4])
		},
		"a record that is gone": func(s *Store, recs []*audit.Record) { destroy(t, s, recs[4]) },
		"the end that is gone":  func(s *Store, recs []*audit.Record) { destroy(t, s, recs[8]); destroy(t, s, recs[9]) },
		"a record that was put in": func(s *Store, recs []*audit.Record) {
			c := storetest.Clone(recs[4])
			c.ID = audit.NewID()
			tamper(t, s, c)
		},
		"a longer chain": func(s *Store, recs []*audit.Record) {
			c := event("a", start, nil)
			chain.Seal(chain.Head{Key: chain.KeyOf(c), Sequence: 10, Hash: recs[9].Hash}, []*audit.Record{c})
			tamper(t, s, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			mine := opt
			mine.Prefix = strings.ReplaceAll(name, " ", "-") + opt.Prefix
			s := openStore(t, mine)
			t.Cleanup(func() { drop(t, mine) })
			recs := events("a", 10)
			results, err := s.AppendChained(t.Context(), recs)
			stored(t, results, err)
			verified(t, s, "a", 10)
			// Until then the head holds the batch, from which what is gone is written again.
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openStore(t, mine)
			change(s, recs)
			key := chain.Key{Scope: recs[0].Scope()}
			report, err := chain.Verify(t.Context(), source{s, s}, key, chain.VerifyOptions{})
			if err != nil || report.Valid {
				t.Errorf("%+v, %v", report, err)
			}
		})
	}
}

// tamper writes a record as somebody would who may write to the index.
func tamper(t *testing.T, s *Store, r *audit.Record) {
	t.Helper()
	a, err := s.client.do(t.Context(), request{method: "PUT", path: "/" + s.generation(1) + "/_doc/" + documentID(r.Ref()), body: appendDocument(nil, r, true)})
	if err != nil || a.status >= 300 {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
}

func destroy(t *testing.T, s *Store, r *audit.Record) {
	t.Helper()
	a, err := s.client.do(t.Context(), request{method: "DELETE", path: "/" + s.generation(1) + "/_doc/" + documentID(r.Ref())})
	if err != nil || a.status >= 300 {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Deletion while the chain is verified is no break.
func TestVerifyDuringDeletion(t *testing.T) {
	opt := serverOptions(t)
	opt.RefreshInterval = 50 * time.Millisecond
	s := openStore(t, opt)
	results, err := s.AppendChained(t.Context(), events("a", 400))
	stored(t, results, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			n, err := s.DeleteExpired(t.Context(), audit.Cut{RecordedBefore: start.Add(time.Hour)}, 40)
			if err != nil {
				t.Error(err)
			}
			if n < 40 {
				return
			}
		}
	}()
	for going := true; going; {
		select {
		case <-done:
			going = false
		default:
		}
		report, err := chain.Verify(t.Context(), source{s, s}, chain.Key{Scope: audit.Scope{Namespace: "ns", Tenant: "a"}}, chain.VerifyOptions{})
		if err != nil || !report.Valid {
			t.Fatalf("%+v, %v", report.FirstBroken, err)
		}
	}
}
