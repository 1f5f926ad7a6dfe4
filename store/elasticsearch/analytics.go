package elasticsearch

import (
	"context"
	"encoding/json"
	"math"

	"github.com/annals-dev/annals/analytics"
	"github.com/annals-dev/annals/audit"
)

// The servers add in float64 with compensation: sums are exact up to 2^53
// (285 years of durations, 9 petabytes), and the nearest number beyond.

// calls gives the conditions of the calls that a question selects; nil when no
// call can meet it.
func (s *Store) calls(q *audit.Query) (*where, error) {
	calls, ok, err := analytics.Calls(q)
	if err != nil || !ok {
		return nil, err
	}
	return s.selection(calls)
}

func (s *Store) selection(q *audit.Query) (*where, error) {
	c, err := s.cursor(q)
	if err != nil {
		return nil, err
	}
	return c.where, nil
}

// aggregate asks for sums and counts over what the conditions select, and reads
// them into out; it gives the number of records.
func (s *Store) aggregate(ctx context.Context, w *where, aggs object, out any) (int64, error) {
	f, err := s.search(ctx, "/"+s.readAlias(), object{"query": w.query(), "size": 0, "track_total_hits": true, "aggs": aggs})
	if err != nil {
		return 0, err
	}
	if len(f.Aggs) > 0 {
		if err := json.Unmarshal(f.Aggs, out); err != nil {
			return 0, garbled(err)
		}
	}
	return f.Hits.Total.Value, nil
}

// value is a number that may be missing where there was nothing to count.
type value struct {
	Value *float64 `json:"value"`
}

func (v value) float() float64 {
	if v.Value == nil {
		return 0
	}
	return *v.Value
}

func (v value) int() int64 { return int64(math.Min(v.float(), math.MaxInt64)) }

// sum gives it as analytics counts with it.
func (v value) sum() analytics.Sum {
	f := v.float()
	if f < 1<<63 {
		return analytics.SumOf(int64(f))
	}
	high := math.Floor(f / (1 << 64))
	return analytics.SumOfWords(uint64(high), uint64(f-high*(1<<64)))
}

type filtered struct {
	Count int64 `json:"doc_count"`
}

func sumOf(field string) object   { return object{"sum": object{"field": field}} }
func countOf(field string) object { return object{"value_count": object{"field": field}} }
func only(condition any) object   { return object{"filter": condition} }

func isSuccess() object { return term("outcome", string(audit.Success)) }

// tallyAggs are those of a tally; a duration of zero is not written.
func tallyAggs() object {
	return object{"success": only(isSuccess()), "measured": countOf("duration_ms"), "micros": sumOf("duration_ms")}
}

type tallied struct {
	Success  filtered `json:"success"`
	Measured value    `json:"measured"`
	Micros   value    `json:"micros"`
}

func (t *tallied) tally(calls int64) analytics.Tally {
	return analytics.Tally{Calls: calls, Success: t.Success.Count, Measured: t.Measured.int(), Micros: t.Micros.sum()}
}

// Overview implements analytics.Analyzer.
func (s *Store) Overview(ctx context.Context, q *audit.Query) (*analytics.Overview, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var sums analytics.OverviewSums
	w, err := s.calls(q)
	if err != nil || w == nil {
		return sums.Overview(), err
	}
	aggs := tallyAggs()
	aggs["enriched"] = only(term("enriched", true))
	aggs["actor"], aggs["tool_name"] = cardinality("actor"), cardinality("tool_name")
	var got struct {
		tallied
		Enriched filtered `json:"enriched"`
		Actor    value    `json:"actor"`
		Tool     value    `json:"tool_name"`
	}
	n, err := s.aggregate(ctx, w, aggs, &got)
	if err != nil {
		return nil, err
	}
	sums.Tally, sums.Enriched = got.tally(n), got.Enriched.Count
	var off float64
	if sums.Actors, off, err = s.distinctCount(ctx, w, "actor", got.Actor); err != nil {
		return nil, err
	}
	if sums.Tools, _, err = s.distinctCount(ctx, w, "tool_name", got.Tool); err != nil {
		return nil, err
	}
	o := sums.Overview()
	o.ActorsError = off
	return o, nil
}

// Timeseries implements analytics.Analyzer.
func (s *Store) Timeseries(ctx context.Context, q *audit.Query, unit analytics.Unit) ([]analytics.Bucket, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	starts, err := analytics.BucketStarts(q, unit)
	if err != nil {
		return nil, err
	}
	w, err := s.calls(q)
	if err != nil || w == nil {
		return analytics.Buckets(starts, nil), err
	}
	width, _ := unit.Width()
	var got struct {
		X struct {
			Buckets []struct {
				tallied
				Key   int64 `json:"key"`
				Count int64 `json:"doc_count"`
			} `json:"buckets"`
		} `json:"x"`
	}
	_, err = s.aggregate(ctx, w, object{"x": object{
		"date_histogram": object{"field": fieldTime, "fixed_interval": number(int64(width.Seconds())) + "s", "min_doc_count": 1},
		"aggs":           tallyAggs(),
	}}, &got)
	if err != nil {
		return nil, err
	}
	tallies := make(map[int64]analytics.Tally, len(got.X.Buckets))
	for i := range got.X.Buckets {
		b := &got.X.Buckets[i]
		tallies[b.Key*1000] = b.tally(b.Count)
	}
	return analytics.Buckets(starts, tallies), nil
}

// Enrichment implements analytics.Analyzer.
func (s *Store) Enrichment(ctx context.Context, q *audit.Query) (*analytics.Enrichment, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var sums analytics.EnrichmentSums
	w, err := s.calls(q)
	if err != nil || w == nil {
		return sums.Enrichment(), err
	}
	var got struct {
		Enriched  filtered `json:"enriched"`
		Full      value    `json:"full"`
		WithFull  value    `json:"with_full"`
		Dedup     value    `json:"dedup"`
		WithDedup value    `json:"with_dedup"`
		Saved     value    `json:"saved"`
		Sessions  value    `json:"sessions"`
		Modes     buckets  `json:"modes"`
	}
	n, err := s.aggregate(ctx, w, object{
		"enriched": only(term("enriched", true)),
		"full":     sumOf("tokens_full"), "with_full": countOf("tokens_full"),
		"dedup": sumOf("tokens_dedup"), "with_dedup": countOf("tokens_dedup"),
		"saved":    sumOf(fieldSaved),
		"sessions": cardinality(fieldSession),
		"modes":    object{"terms": object{"field": "enrichment_mode", "size": maxTerms}},
	}, &got)
	if err != nil {
		return nil, err
	}
	sums = analytics.EnrichmentSums{
		Calls: n, Enriched: got.Enriched.Count, Modes: map[string]int64{},
		WithFull: got.WithFull.int(), TokensFull: got.Full.sum(),
		WithDedup: got.WithDedup.int(), TokensDedup: got.Dedup.sum(), TokensSaved: got.Saved.sum(),
	}
	rest := n
	for _, b := range got.Modes.Buckets {
		sums.Modes[b.Key] = b.Count
		rest -= b.Count
	}
	if got.Modes.Other > 0 {
		return nil, &audit.Error{Code: audit.CodeTooLarge, Field: "enrichment_mode", Message: "has too many values: narrow the question"}
	}
	if rest > 0 {
		sums.Modes[""] = rest
	}
	var off float64
	if sums.Sessions, off, err = s.distinctCount(ctx, w, fieldSession, got.Sessions); err != nil {
		return nil, err
	}
	e := sums.Enrichment()
	e.SessionsError = off
	return e, nil
}
