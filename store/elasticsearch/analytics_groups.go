package elasticsearch

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

const (
	// maxTerms is how many values one list of terms gives at most.
	maxTerms = 10_000
	// exactUpTo is how many distinct values are counted one by one; more are
	// estimated by HyperLogLog++ with the largest precision that the servers have.
	exactUpTo = 5_000
	precision = 40_000
	// estimateError is five times the standard error of that precision,
	// 1.04/√2^18 ("HyperLogLog in Practice", Heule and others, 2013).
	estimateError = 0.0102
	// pageOfGroups is how many groups are read at a time where all are read.
	pageOfGroups = 1000
)

type bucket struct {
	tallied
	Key   string `json:"key"`
	Count int64  `json:"doc_count"`
}

type buckets struct {
	Off     int64    `json:"doc_count_error_upper_bound"`
	Other   int64    `json:"sum_other_doc_count"`
	Buckets []bucket `json:"buckets"`
}

func cardinality(field string) object {
	return object{"cardinality": object{"field": field, "precision_threshold": precision}}
}

// distinctCount turns an estimate into a count: few values are counted one by
// one, and all of them where the context asks for that.
func (s *Store) distinctCount(ctx context.Context, w *where, field string, estimate value) (n int64, off float64, err error) {
	if estimate.int() > exactUpTo && !analytics.Exact(ctx) {
		return estimate.int(), estimateError, nil
	}
	if estimate.int() <= exactUpTo {
		var got struct {
			X buckets `json:"x"`
		}
		if _, err := s.aggregate(ctx, w, object{"x": object{"terms": object{"field": field, "size": maxTerms}}}, &got); err != nil {
			return 0, 0, err
		}
		if got.X.Other == 0 {
			return int64(len(got.X.Buckets)), 0, nil
		}
	}
	err = s.eachGroup(ctx, w, field, nil, func(json.RawMessage) error { n++; return nil })
	return n, 0, err
}

// eachGroup calls fn with every group of a field, in the order of its values.
func (s *Store) eachGroup(ctx context.Context, w *where, field string, aggs object, fn func(group json.RawMessage) error) error {
	var after json.RawMessage
	for {
		composite := object{"size": pageOfGroups, "sources": []any{object{"v": object{"terms": object{"field": field}}}}}
		if after != nil {
			composite["after"] = after
		}
		x := object{"composite": composite}
		if aggs != nil {
			x["aggs"] = aggs
		}
		var got struct {
			X struct {
				After   json.RawMessage   `json:"after_key"`
				Buckets []json.RawMessage `json:"buckets"`
			} `json:"x"`
		}
		if _, err := s.aggregate(ctx, w, object{"x": x}, &got); err != nil {
			return err
		}
		for _, b := range got.X.Buckets {
			if err := fn(b); err != nil {
				return err
			}
		}
		if after = got.X.After; after == nil || len(got.X.Buckets) < pageOfGroups {
			return nil
		}
	}
}

type groupKey struct {
	V string `json:"v"`
}

// Breakdown implements analytics.Analyzer.
func (s *Store) Breakdown(ctx context.Context, q *audit.Query, dimension string, limit int) ([]analytics.Group, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	f, limit, err := analytics.CheckBreakdown(dimension, limit)
	if err != nil {
		return nil, err
	}
	w, err := s.calls(q)
	if err != nil || w == nil {
		return []analytics.Group{}, err
	}
	if f.Kind == audit.Flag {
		return s.flagGroups(ctx, w, f, limit)
	}
	field := f.Name
	if field == "actor" {
		field = fieldActor
	}
	return s.groups(ctx, w, field, limit)
}

// groups gives the largest groups. The shards each give their largest; when what
// they left out could matter they say so, and then all groups are read.
func (s *Store) groups(ctx context.Context, w *where, field string, limit int) ([]analytics.Group, error) {
	var got struct {
		X buckets `json:"x"`
	}
	_, err := s.aggregate(ctx, w, object{"x": object{
		"terms": object{"field": field, "size": limit, "shard_size": max(1000, 10*limit)},
		"aggs":  tallyAggs(),
	}}, &got)
	if err != nil {
		return nil, err
	}
	tallies := map[string]*analytics.Tally{}
	if got.X.Off == 0 {
		for i := range got.X.Buckets {
			b := &got.X.Buckets[i]
			t := b.tally(b.Count)
			tallies[b.Key] = &t
		}
		return analytics.TopGroups(tallies, limit), nil
	}
	err = s.eachGroup(ctx, w, field, tallyAggs(), func(group json.RawMessage) error {
		var b struct {
			tallied
			Key   groupKey `json:"key"`
			Count int64    `json:"doc_count"`
		}
		if err := json.Unmarshal(group, &b); err != nil {
			return garbled(err)
		}
		t := b.tally(b.Count)
		tallies[b.Key.V] = &t
		return nil
	})
	if err != nil {
		return nil, err
	}
	return analytics.TopGroups(tallies, limit), nil
}

func (s *Store) flagGroups(ctx context.Context, w *where, f *audit.Field, limit int) ([]analytics.Group, error) {
	type part struct {
		tallied
		Count int64 `json:"doc_count"`
	}
	var got struct {
		Yes part `json:"true"`
		No  part `json:"false"`
	}
	_, err := s.aggregate(ctx, w, object{
		"true":  object{"filter": term(f.Name, true), "aggs": tallyAggs()},
		"false": object{"filter": object{"bool": object{"must_not": term(f.Name, true)}}, "aggs": tallyAggs()},
	}, &got)
	if err != nil {
		return nil, err
	}
	tallies := map[string]*analytics.Tally{}
	for name, p := range map[string]part{"true": got.Yes, "false": got.No} {
		if p.Count > 0 {
			t := p.tally(p.Count)
			tallies[name] = &t
		}
	}
	return analytics.TopGroups(tallies, limit), nil
}

// Distinct implements analytics.Analyzer.
func (s *Store) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	f, err := analytics.CheckColumn("column", column)
	if err != nil {
		return nil, err
	}
	all, err := analytics.Records(q)
	if err != nil {
		return nil, err
	}
	if all.Open {
		return analytics.Stream(s).Distinct(ctx, q, column) // what is open takes other records to say
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	w, err := s.selection(all)
	if err != nil {
		return nil, err
	}
	var got struct {
		X buckets `json:"x"`
	}
	_, err = s.aggregate(ctx, w, object{"x": object{"terms": object{"field": f.Name, "size": analytics.MaxDistinct + 1}}}, &got)
	if err != nil {
		return nil, err
	}
	if len(got.X.Buckets) > analytics.MaxDistinct {
		return nil, analytics.TooManyValues(f)
	}
	values := make([]string, len(got.X.Buckets))
	for i := range got.X.Buckets {
		values[i] = got.X.Buckets[i].Key
	}
	slices.SortFunc(values, strings.Compare)
	return values, nil
}

// DistinctPairs implements analytics.Analyzer.
func (s *Store) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	fa, err := analytics.CheckColumn("a", a)
	if err != nil {
		return nil, err
	}
	fb, err := analytics.CheckColumn("b", b)
	if err != nil {
		return nil, err
	}
	all, err := analytics.Records(q)
	if err != nil {
		return nil, err
	}
	if all.Open {
		return analytics.Stream(s).DistinctPairs(ctx, q, a, b)
	}
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	w, err := s.selection(all)
	if err != nil {
		return nil, err
	}
	w.must = append(w.must, exists(fb.Name))
	pairs := map[string]string{}
	newest := object{"newest": object{"top_hits": object{
		"size": 1, "_source": false, "docvalue_fields": []string{fb.Name},
		"sort": []any{object{"occurred_at": "desc"}, object{"id": "desc"}, object{fb.Name: "desc"}},
	}}}
	err = s.eachGroup(ctx, w, fa.Name, newest, func(group json.RawMessage) error {
		var g struct {
			Key    groupKey `json:"key"`
			Newest struct {
				Hits struct {
					Hits []struct {
						Fields map[string][]string `json:"fields"`
					} `json:"hits"`
				} `json:"hits"`
			} `json:"newest"`
		}
		if err := json.Unmarshal(group, &g); err != nil {
			return garbled(err)
		}
		for _, h := range g.Newest.Hits.Hits {
			for _, v := range h.Fields[fb.Name] {
				pairs[g.Key.V] = v
			}
		}
		if len(pairs) > analytics.MaxDistinct {
			return analytics.TooManyValues(fa)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pairs, nil
}
