package recorder

import (
	"context"
	"log/slog"
	"time"
)

// logInterval is how often one kind of fault is logged at most. A store that
// is down for an hour must not fill the disk with the news.
const logInterval = 10 * time.Second

// faultLog gathers faults of one kind into a line an interval. It is used from
// the batcher's goroutine only.
type faultLog struct {
	log     *slog.Logger
	message string
	unit    string

	next  time.Time // the next line not before this
	count int
	last  error
	more  func() []slog.Attr // what else a line says; may be nil
}

// note counts n faults and logs them if the interval has passed.
func (f *faultLog) note(n int, err error) {
	f.count += n
	f.last = err
	f.tick(time.Now())
}

// tick logs what has gathered if the interval has passed.
func (f *faultLog) tick(now time.Time) {
	if f.count > 0 && !now.Before(f.next) {
		f.write()
		f.next = now.Add(logInterval)
	}
}

// due is when gathered faults are to be logged; zero where there are none.
func (f *faultLog) due() time.Time {
	if f.count == 0 {
		return time.Time{}
	}
	return f.next
}

// write logs what has gathered.
func (f *faultLog) write() {
	if f.count > 0 {
		attrs := []slog.Attr{slog.Int(f.unit, f.count), slog.Any("error", f.last)}
		if f.more != nil {
			attrs = append(attrs, f.more()...)
		}
		f.log.LogAttrs(context.Background(), slog.LevelError, f.message, attrs...)
		f.count, f.last = 0, nil
	}
}
