package elasticsearch

import (
	"context"
	"encoding/json"

	"github.com/annals-dev/annals/audit"
)

// action names an action of one scope.
type action struct {
	audit.Scope
	id string
}

func actionOf(r *audit.Record) action { return action{r.Scope(), r.ActionID} }

// openPage is how many intents are looked at together.
const openPage = 500

// nextOpen reads intents and leaves out those whose action has an outcome. The
// servers have no join, so each page of intents asks once for the outcomes of
// its actions.
func (c *cursor) nextOpen(ctx context.Context, n int) ([]*audit.Record, error) {
	for !c.done {
		recs, err := c.read(ctx, max(n, openPage))
		if err != nil {
			return nil, err
		}
		ended, err := c.s.ended(ctx, recs)
		if err != nil {
			return nil, err
		}
		open := recs[:0]
		for _, r := range recs {
			if !ended[actionOf(r)] {
				open = append(open, r)
			}
		}
		if len(open) > 0 {
			return open, nil
		}
	}
	return nil, nil
}

// ended gives the actions of the records that have an outcome.
func (s *Store) ended(ctx context.Context, recs []*audit.Record) (map[action]bool, error) {
	out := map[action]bool{}
	seen := map[string]bool{}
	var ids []string
	for _, r := range recs {
		if !seen[r.ActionID] {
			seen[r.ActionID] = true
			ids = append(ids, r.ActionID)
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	w := &where{must: []any{terms("action_id", ids)}, not: []any{term("outcome", string(audit.Pending))}}
	var after json.RawMessage
	for {
		composite := object{"size": 1000, "sources": []any{
			object{"a": object{"terms": object{"field": "action_id"}}},
			object{"n": object{"terms": object{"field": "namespace", "missing_bucket": true}}},
			object{"t": object{"terms": object{"field": "tenant", "missing_bucket": true}}},
		}}
		if after != nil {
			composite["after"] = after
		}
		f, err := s.search(ctx, "/"+s.readAlias(), object{
			"query": w.query(), "size": 0, "track_total_hits": false, "aggs": object{"x": object{"composite": composite}},
		})
		if err != nil {
			return nil, err
		}
		var got struct {
			X struct {
				After   json.RawMessage `json:"after_key"`
				Buckets []struct {
					Key struct{ A, N, T string } `json:"key"`
				} `json:"buckets"`
			} `json:"x"`
		}
		if err := json.Unmarshal(f.Aggs, &got); err != nil {
			return nil, garbled(err)
		}
		for _, b := range got.X.Buckets {
			out[action{audit.Scope{Namespace: b.Key.N, Tenant: b.Key.T}, b.Key.A}] = true
		}
		if after = got.X.After; len(got.X.Buckets) == 0 || after == nil {
			return out, nil
		}
	}
}
