package postgres

import (
	"time"

	"github.com/annals-dev/annals/audit"
)

// due is one reason to delete a record r, and the order in which that is done,
// which has an index.
type due struct {
	order string
	sql   []string // what comes before, between and after the times
	times []time.Time
	holds []*audit.Query
}

// dueOf translates a Cut: what has expired, and what is above the ceiling. There
// are none where it selects nothing. Cut.Selects is the meaning.
func dueOf(cut *audit.Cut) (out []due) {
	const expired = "r.expires_at IS NOT NULL AND r.expires_at <= "
	if !cut.ExpiredAt.IsZero() {
		out = append(out, due{"r.expires_at", []string{expired}, []time.Time{floorMicros(cut.ExpiredAt)}, cut.Holds})
	}
	if !cut.RecordedBefore.IsZero() {
		d := due{"r.recorded_at", []string{"r.recorded_at < "}, []time.Time{ceilMicros(cut.RecordedBefore)}, cut.Holds}
		if len(out) > 0 { // what the first finds is on the list already
			d.sql = append(d.sql, " AND ("+expired, ") IS NOT TRUE")
			d.times = append(d.times, out[0].times...)
		}
		out = append(out, d)
	}
	return out
}

// due adds the condition.
func (s *Store) due(w *where, d *due) error {
	w.add("r.kind = ", w.arg(string(audit.KindEvent)), " AND ")
	for i, text := range d.sql {
		w.add(text)
		if i < len(d.times) {
			w.add(w.arg(d.times[i]))
		}
	}
	return s.holds(w, d.holds)
}

// floorMicros and ceilMicros give whole microseconds, which records hold: what
// is up to t is up to the one, what is before t is before the other.
func floorMicros(t time.Time) time.Time { return inRange(t.UTC().Truncate(time.Microsecond)) }

func ceilMicros(t time.Time) time.Time {
	return inRange(t.UTC().Add(time.Microsecond - time.Nanosecond).Truncate(time.Microsecond))
}

// inRange keeps to the times that PostgreSQL knows; records have none outside.
func inRange(t time.Time) time.Time {
	if least := time.UnixMicro(earliest).UTC(); t.Before(least) {
		return least
	}
	if most := time.UnixMicro(latest).UTC(); t.After(most) {
		return most
	}
	return t
}

// holds adds the condition that no legal hold protects the record.
func (s *Store) holds(w *where, holds []*audit.Query) error {
	for _, h := range holds {
		if h.Text != "" || h.Open {
			return audit.Invalid("holds", "a hold has filters and a window only")
		}
		w.and()
		w.add("(true")
		if !h.From.IsZero() {
			w.add(" AND r.occurred_at >= ", w.arg(ceilMicros(h.From)))
		}
		if !h.To.IsZero() {
			w.add(" AND r.occurred_at < ", w.arg(ceilMicros(h.To)))
		}
		var names []*audit.Filter
		for i := range h.Filters {
			f := &h.Filters[i]
			if f.Field == "namespace" || f.Field == "tenant" {
				names = append(names, f)
				continue
			}
			if err := w.filter(f, false); err != nil {
				return err
			}
		}
		if len(names) > 0 {
			// Whose records they are that lost their names nobody can tell, so a hold has them, too.
			w.add(" AND (r.scope IN (SELECT s.scope FROM ", s.sql("@scopes"), " s WHERE true")
			for _, f := range names {
				w.and()
				w.texts("s."+f.Field, f, true)
			}
			w.add(") OR r.scope NOT IN (SELECT s.scope FROM ", s.sql("@scopes"), " s))")
		}
		w.add(") IS NOT TRUE")
	}
	return nil
}
