package dynamodb

import (
	"context"
	"hash/fnv"
	"slices"
	"strconv"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/annals-dev/annals/audit"
)

// The directory knows every scope that was ever written to, so that a question
// that names none can be asked of each, instead of reading the table. It is
// shards items, read in one call and strongly consistent. A scope is entered
// before its first record is stored, once by each process, and never taken out.
//
// Each item has two sets of partitions: those with records outside a chain, and
// those with a chain.
const (
	shards       = 64
	attrPlain    = "plain"
	attrChained  = "chained"
	maxScopeSets = 2
)

// scopes is what this process has entered, by set.
type scopes struct {
	mu    sync.Mutex
	known [maxScopeSets]map[string]struct{}
}

// scopeSet is one of the sets of the directory.
type scopeSet int

const (
	plain scopeSet = iota
	chained
)

func (set scopeSet) attribute() string {
	if set == chained {
		return attrChained
	}
	return attrPlain
}

func shardOf(partition string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(partition)) // never fails
	return strconv.Itoa(int(h.Sum32() % shards))
}

// enter makes sure that the directory has the partitions.
func (s *Store) enter(ctx context.Context, set scopeSet, partitions []string) error {
	fresh := map[string][]string{}
	s.scopes.mu.Lock()
	for _, p := range partitions {
		if _, ok := s.scopes.known[set][p]; !ok && !slices.Contains(fresh[shardOf(p)], p) {
			fresh[shardOf(p)] = append(fresh[shardOf(p)], p)
		}
	}
	s.scopes.mu.Unlock()
	names := make([]string, 0, len(fresh))
	for name := range fresh {
		names = append(names, name)
	}
	return s.each(ctx, len(names), func(ctx context.Context, i int) error {
		some := fresh[names[i]]
		_, err := ask(ctx, s, s.client.UpdateItem, &dynamodb.UpdateItemInput{
			TableName: aws.String(s.opt.TableName), Key: keyOf(ownKey(kindDir, names[i])),
			UpdateExpression:          aws.String("ADD " + set.attribute() + " :p"),
			ExpressionAttributeValues: item{":p": &types.AttributeValueMemberSS{Value: some}},
		})
		if err != nil {
			return err
		}
		s.scopes.mu.Lock()
		defer s.scopes.mu.Unlock()
		if s.scopes.known[set] == nil {
			s.scopes.known[set] = map[string]struct{}{}
		}
		for _, p := range some {
			s.scopes.known[set][p] = struct{}{}
		}
		return nil
	})
}

// directory is what the sets hold.
type directory struct {
	of [maxScopeSets]map[string]struct{}
}

// partitions are all partitions that are in any of the sets, in order.
func (d *directory) partitions(sets ...scopeSet) []string {
	var out []string
	for _, set := range sets {
		for p := range d.of[set] {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// readDirectory reads the whole directory.
func (s *Store) readDirectory(ctx context.Context) (*directory, error) {
	keys := make([]string, shards)
	for i := range keys {
		keys[i] = ownKey(kindDir, strconv.Itoa(i))
	}
	items, err := s.getItems(ctx, keys)
	if err != nil {
		return nil, err
	}
	d := &directory{}
	for set := range d.of {
		d.of[set] = map[string]struct{}{}
		for _, m := range items {
			if v, ok := m[scopeSet(set).attribute()].(*types.AttributeValueMemberSS); ok {
				for _, p := range v.Value {
					d.of[set][p] = struct{}{}
				}
			}
		}
	}
	return d, nil
}

// getItems reads items by their keys, strongly consistent; those that are not
// there are not in the answer.
func (s *Store) getItems(ctx context.Context, keys []string) (map[string]item, error) {
	keys = slices.Clone(keys)
	slices.Sort(keys)
	keys = slices.Compact(keys) // a key that comes twice is refused
	found := make(map[string]item, len(keys))
	var mu sync.Mutex
	chunks := slices.Collect(slices.Chunk(keys, maxBatchGet))
	err := s.each(ctx, len(chunks), func(ctx context.Context, i int) error {
		want := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
		for _, key := range chunks[i] {
			want.Keys = append(want.Keys, keyOf(key))
		}
		for attempt := 0; len(want.Keys) > 0; attempt++ {
			if attempt > 0 {
				if attempt > s.opt.MaxRetries {
					return audit.Unavailable(s.name()+" is throttled: it leaves keys unread", nil)
				}
				if err := pause(ctx, attempt-1); err != nil {
					return s.interrupted(ctx)
				}
			}
			out, err := ask(ctx, s, s.client.BatchGetItem, &dynamodb.BatchGetItemInput{
				RequestItems: map[string]types.KeysAndAttributes{s.opt.TableName: want},
			})
			if err != nil {
				return err
			}
			got := out.Responses[s.opt.TableName]
			mu.Lock()
			for _, m := range got {
				found[textOf(m[attrID])] = m
			}
			mu.Unlock()
			left := out.UnprocessedKeys[s.opt.TableName].Keys
			if len(left) < len(want.Keys) {
				attempt = 0 // it goes on
			}
			want.Keys = left
		}
		return nil
	})
	return found, err
}

// scopesOf gives the partitions of the question: those that its filters on
// namespace and tenant leave.
func (s *Store) scopesOf(ctx context.Context, q *audit.Query) ([]string, error) {
	var names, tenants []string
	for i := range q.Filters {
		if f := &q.Filters[i]; f.Op == audit.OpIs {
			switch f.Field {
			case "namespace":
				names = f.Values
			case "tenant":
				tenants = f.Values
			}
		}
	}
	if n := len(names) * len(tenants); n > 0 && n <= maxNamedScopes {
		var out []string
		for _, name := range names {
			for _, tenant := range tenants {
				if scope := (audit.Scope{Namespace: name, Tenant: tenant}); admits(q, scope) {
					out = append(out, partition(scope))
				}
			}
		}
		return out, nil
	}
	d, err := s.readDirectory(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(d.partitions(plain, chained), func(p string) bool {
		scope, ok := scopeOf(p)
		return !ok || !admits(q, scope)
	}), nil
}

// maxNamedScopes is how many scopes a question may name so that they are asked
// without looking whether there are such.
const maxNamedScopes = 4

// admits reports whether the filters on namespace and tenant let the scope pass.
func admits(q *audit.Query, scope audit.Scope) bool {
	r := audit.Record{Event: audit.Event{Namespace: scope.Namespace, Tenant: scope.Tenant}}
	for i := range q.Filters {
		if f := &q.Filters[i]; (f.Field == "namespace" || f.Field == "tenant") && !f.Match(&r) {
			return false
		}
	}
	return true
}
