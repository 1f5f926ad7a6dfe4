package elasticsearch

import (
	"context"
	"encoding/json"
	"net/http"
)

// Rollover closes the index that is written to and opens the next one, where it
// has grown past its size or age, or where force is set.
func (s *Store) Rollover(ctx context.Context, force bool) error {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	l, err := s.known(ctx)
	if err != nil {
		return err
	}
	if !force {
		if due, err := s.rolloverDue(ctx, l); err != nil || !due {
			return err
		}
	}
	if err := s.succeed(ctx, l.writing()); err != nil {
		return err
	}
	s.forget(l)
	_, err = s.known(ctx)
	return err
}

func (s *Store) rolloverDue(ctx context.Context, l *layout) (bool, error) {
	docs, bytes, err := s.sizeOfIndex(ctx, s.generation(l.writing()))
	if err != nil || docs == 0 {
		return false, err
	}
	return bytes >= s.opt.RolloverBytes || s.opt.Now().Sub(l.opened) >= s.opt.RolloverAge, nil
}

// sizeOfIndex gives the documents of an index and the bytes of its primary shard.
func (s *Store) sizeOfIndex(ctx context.Context, index string) (docs, bytes int64, err error) {
	a, err := s.client.do(ctx, request{method: "GET", path: "/" + index + "/_stats/docs,store", query: "filter_path=_all.primaries,_shards"})
	if err != nil {
		return 0, 0, err
	}
	if a.status != http.StatusOK {
		return 0, 0, failed("tell the size of an index", a)
	}
	var got struct {
		All struct {
			Primaries struct {
				Docs struct {
					Count int64 `json:"count"`
				} `json:"docs"`
				Store struct {
					Bytes int64 `json:"size_in_bytes"`
				} `json:"store"`
			} `json:"primaries"`
		} `json:"_all"`
	}
	if err := json.Unmarshal(a.body, &got); err != nil {
		return 0, 0, garbled(err)
	}
	return got.All.Primaries.Docs.Count, got.All.Primaries.Store.Bytes, nil
}
