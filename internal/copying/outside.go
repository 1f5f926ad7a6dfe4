package copying

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/annals-dev/annals/audit"
)

// copyOutside copies the records that are outside any chain, in the order of
// questions. An attempt that was cut off has left a beginning of that order, so
// what it has stored is passed over with one look a batch.
func (c *copier) copyOutside(ctx context.Context) error {
	if err := wait(ctx, c.src.Capabilities().Lag); err != nil {
		return err
	}
	c.step(StepOutside, 0)
	o := &outside{copier: c, scopes: map[audit.Scope]*OutsideReport{}, resuming: true}
	if err := o.walk(ctx); err != nil {
		return err
	}
	if len(o.scopes) == 0 {
		return nil
	}
	complete, err := o.compare(ctx)
	if err != nil {
		return err
	}
	if !complete && o.skipped {
		// It was no beginning after all; say what is missing record by record.
		o.resuming = false
		c.step(StepOutside, 0)
		c.count(0, -o.present)
		for _, r := range o.scopes {
			r.Source, r.Present = 0, 0
		}
		o.present = 0
		if err := o.walk(ctx); err != nil {
			return err
		}
		if complete, err = o.compare(ctx); err != nil {
			return err
		}
	}
	for _, r := range o.scopes {
		c.report.Outside = append(c.report.Outside, *r)
	}
	slices.SortFunc(c.report.Outside, func(a, b OutsideReport) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Tenant, b.Tenant))
	})
	if !complete {
		return errors.New("the target has fewer records outside chains than the source: something deletes there, as retention or an engine's TTL does")
	}
	return nil
}

// outside is the copy of what is outside chains.
type outside struct {
	*copier
	scopes   map[audit.Scope]*OutsideReport
	resuming bool  // what comes may be there already
	skipped  bool  // some was taken to be
	present  int64 // as far as it was
	batch    batch
}

func (o *outside) walk(ctx context.Context) error {
	q := &audit.Query{Order: audit.OldestFirst, Limit: audit.MaxLimit, Filters: []audit.Filter{audit.Is("sequence", "0")}}
	q, err := q.Validate()
	if err != nil {
		return err
	}
	o.batch.clear()
	err = scan(ctx, o.src, q, func(r *audit.Record) error {
		if r.Sequence != 0 {
			return nil
		}
		if o.batch.full(o.copier.batch) {
			if err := o.send(ctx); err != nil {
				return err
			}
		}
		o.batch.add(r)
		return nil
	})
	if err != nil {
		return err
	}
	return o.send(ctx)
}

// send stores the batch.
func (o *outside) send(ctx context.Context) error {
	recs := o.batch.recs
	if len(recs) == 0 {
		return nil
	}
	defer o.batch.clear()
	defer o.tell(int64(len(recs)))
	for _, r := range recs {
		o.of(r).Source++
	}
	if o.resuming {
		last := recs[len(recs)-1]
		old, err := o.dst.Get(ctx, last.Ref())
		if err != nil && !errors.Is(err, audit.ErrNotFound) {
			return err
		}
		if err == nil && audit.SameContent(old, last) {
			for _, r := range recs {
				o.of(r).Present++
			}
			o.skipped = true
			o.present += int64(len(recs))
			o.copier.count(0, int64(len(recs)))
			return nil
		}
		o.resuming = false
	}
	return o.append(ctx, recs)
}

// append stores records and has patience with each.
func (o *outside) append(ctx context.Context, recs []*audit.Record) error {
	for n := 1; len(recs) > 0; n++ {
		results, err := o.dst.Append(ctx, recs)
		if err != nil {
			if err := again(ctx, n, err); err != nil {
				return err
			}
			continue
		}
		var left []*audit.Record
		var failed error
		for i, r := range results {
			switch {
			case errors.Is(r.Err, audit.ErrConflict):
				return &audit.Error{Code: audit.CodeConflict, Field: "id", Message: fmt.Sprintf(
					"%s of namespace %q, tenant %q is another record at the target", recs[i].ID, recs[i].Namespace, recs[i].Tenant)}
			case r.Err != nil && !audit.Retryable(r.Err):
				return fmt.Errorf("the record %s of namespace %q, tenant %q: %w", recs[i].ID, recs[i].Namespace, recs[i].Tenant, r.Err)
			case r.Err != nil:
				left, failed = append(left, recs[i]), r.Err
			case r.Duplicate:
				o.of(recs[i]).Present++
				o.copier.count(0, 1)
			default:
				o.of(recs[i]).Copied++
				o.copier.count(1, 0)
			}
		}
		if recs = left; failed != nil {
			if err := again(ctx, n, failed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (o *outside) of(r *audit.Record) *OutsideReport {
	s := o.scopes[r.Scope()]
	if s == nil {
		s = &OutsideReport{Scope: r.Scope()}
		o.scopes[r.Scope()] = s
	}
	return s
}

// compare asks the target what it has, and reports whether that is all.
func (o *outside) compare(ctx context.Context) (complete bool, err error) {
	if err := wait(ctx, o.dst.Capabilities().Lag); err != nil {
		return false, err
	}
	complete = true
	for scope, r := range o.scopes {
		if r.Target, err = outsideOf(ctx, o.dst, scope); err != nil {
			return false, err
		}
		complete = complete && r.Target >= r.Source
	}
	return complete, nil
}
