package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/ingest/ndjson"
)

const (
	importBatch   = 1000             // events that are handed over at once
	importBytes   = 8 << 20          // and the size of their documents
	importWait    = time.Second      // an event from a slow input waits no longer for others
	importGrace   = 10 * time.Second // after an interrupt, for the events under way
	maxComplaints = 20               // broken events that are named; the rest are counted
)

// importer records what a reader finds and keeps count.
type importer struct {
	trail    trail
	stderr   io.Writer
	progress *progressLine

	batch  []*audit.Event
	places []string // of the events of the batch
	bytes  int
	last   string // the place up to which everything is decided

	recorded, duplicates, filtered, skipped, open, broken int
}

// run records what read hands over, until read ends, ctx does, or the store
// takes nothing any more.
func (im *importer) run(ctx context.Context, read func(context.Context, chan<- found)) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	in := make(chan found)
	go func() {
		defer close(in)
		read(reading, in)
	}()
	// An interrupt must not leave events of which nobody knows what became of
	// them: those under way may still finish.
	storing, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(importGrace, cut) })()

	var due <-chan time.Time
	for {
		select {
		case f, more := <-in:
			if !more {
				return im.end(storing, ctx.Err())
			}
			im.take(f)
			if len(im.batch) < importBatch && im.bytes < importBytes {
				if len(im.batch) == 1 {
					due = time.After(importWait)
				}
				continue
			}
		case <-due:
		case <-ctx.Done():
			return im.interrupted(ctx.Err())
		}
		due = nil
		if err := im.flush(storing); err != nil {
			return err
		}
	}
}

// take puts an event into the batch, or says why there is none.
func (im *importer) take(f found) {
	switch {
	case errors.Is(f.err, ndjson.ErrSkipped):
		im.skipped++
	case f.err != nil:
		im.complain(f.place, f.err)
	default:
		im.batch, im.places = append(im.batch, f.ev), append(im.places, f.place)
		im.bytes += len(f.ev.Payload) + len(f.ev.Metadata) + len(f.ev.Details) + len(f.ev.Tool.Parameters) + len(f.ev.Changes.Before) + len(f.ev.Changes.After)
	}
}

// end records the last batch; interrupt is why the input ended before its end.
func (im *importer) end(ctx context.Context, interrupt error) error {
	if interrupt != nil {
		return im.interrupted(interrupt)
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	if im.broken+im.open > 0 {
		return dataError{errors.New("not everything was recorded")}
	}
	return nil
}

func (im *importer) interrupted(err error) error {
	im.progress.clear()
	where := "before the first event was recorded"
	if im.last != "" {
		where = "after " + safe(im.last)
	}
	fmt.Fprintf(im.stderr, "interrupted %s; events with an id can be imported again without harm\n", where)
	return err
}

// flush records the batch. An error means that the store or the server takes
// nothing: going on would only repeat the complaint.
func (im *importer) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	receipts := im.trail.RecordSync(ctx, im.batch)
	refused := 0
	for i := range receipts {
		if r := &receipts[i]; r.Err != nil && audit.Retryable(r.Err) {
			refused++
		}
	}
	down := refused == len(receipts)
	var last error
	for i := range receipts {
		r := receipts[i]
		err := rejection(r)
		switch {
		case err != nil && r.Status == audit.StatusQueued:
			im.open++
		case err != nil && down:
			im.broken++
		case err != nil:
			im.complain(im.places[i], err)
		case r.Status == audit.StatusDuplicate:
			im.duplicates++
		case r.Status == audit.StatusFiltered:
			im.filtered++
		default:
			im.recorded++
		}
		if err != nil {
			last = err
		}
	}
	from := im.places[0]
	im.last = im.places[len(im.places)-1]
	im.batch, im.places, im.bytes = im.batch[:0], im.places[:0], 0
	im.progress.show("%d events ", im.recorded+im.duplicates+im.filtered+im.open+im.broken)
	if down {
		return fmt.Errorf("stopped at %s: %w", from, last)
	}
	return nil
}

func (im *importer) complain(place string, err error) {
	im.progress.clear()
	im.broken++
	if im.broken <= maxComplaints {
		fmt.Fprintf(im.stderr, "%s: %s\n", safe(place), safe(err.Error()))
	} else if im.broken == maxComplaints+1 {
		fmt.Fprintln(im.stderr, "… further ones are only counted")
	}
}

func (im *importer) summary() {
	im.progress.clear()
	fmt.Fprintf(im.stderr, "%d recorded, %d already there, %d filtered by policy, %d not recorded", im.recorded, im.duplicates, im.filtered, im.broken)
	if im.skipped > 0 {
		fmt.Fprintf(im.stderr, ", %d records of Annals about itself left out", im.skipped)
	}
	if im.open > 0 {
		fmt.Fprintf(im.stderr, ", %d without an answer of the store, which may still have them", im.open)
	}
	fmt.Fprintln(im.stderr)
}
