package analytics

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/annals-dev/annals/audit"
)

// Distinct implements [Analyzer].
func (s stream) Distinct(ctx context.Context, q *audit.Query, column string) ([]string, error) {
	f, err := CheckColumn("column", column)
	if err != nil {
		return nil, err
	}
	all, err := Records(q)
	if err != nil {
		return nil, err
	}
	values := set[string]{}
	err = s.scanner.Scan(ctx, all, func(r *audit.Record) error {
		if addText(values, f.Text(r)); len(values) > MaxDistinct {
			return TooManyValues(f)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := slices.AppendSeq(make([]string, 0, len(values)), maps.Keys(values))
	slices.Sort(list)
	return list, nil
}

// DistinctPairs implements [Analyzer].
func (s stream) DistinctPairs(ctx context.Context, q *audit.Query, a, b string) (map[string]string, error) {
	fa, err := CheckColumn("a", a)
	if err != nil {
		return nil, err
	}
	fb, err := CheckColumn("b", b)
	if err != nil {
		return nil, err
	}
	all, err := Records(q)
	if err != nil {
		return nil, err
	}
	newest := map[string]*pair{}
	err = s.scanner.Scan(ctx, all, func(r *audit.Record) error {
		va, vb := fa.Text(r), fb.Text(r)
		if va == "" || vb == "" {
			return nil
		}
		p := newest[va]
		if p == nil {
			if len(newest) == MaxDistinct {
				return TooManyValues(fa)
			}
			p = &pair{}
			newest[strings.Clone(va)] = p
		}
		p.offer(r.Position(), vb)
		return nil
	})
	if err != nil {
		return nil, err
	}
	pairs := make(map[string]string, len(newest))
	for va, p := range newest {
		pairs[va] = p.value
	}
	return pairs, nil
}

// pair is the value that decides so far, and where it stood.
type pair struct {
	at    audit.Position
	value string
}

func (p *pair) offer(at audit.Position, value string) {
	if c := at.Compare(p.at); c > 0 || c == 0 && value > p.value {
		p.at = at
		if value != p.value {
			p.value = strings.Clone(value)
		}
	}
}
