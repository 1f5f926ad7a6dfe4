package spool

import (
	"log/slog"
	"time"

	"github.com/annals-dev/annals/audit"
)

// The defaults and bounds of Options.
const (
	DefaultMaxBytes     = 1 << 30
	DefaultSegmentBytes = 16 << 20
	DefaultMaxEntry     = 4 << 20

	// MinSegmentBytes is the smallest segment.
	MinSegmentBytes = 1 << 10
	// MaxMaxEntry is the largest entry that the format can hold with room to spare.
	MaxMaxEntry = 256 << 20
)

// Options configure a Spool. The zero value is the default. There is no option
// to leave out the sync: an acknowledgement always means "on disk".
type Options struct {
	// MaxBytes bounds what waits in this spool, frames included, adopted
	// entries too; 0 is 1 GiB. An Append over it is [ErrFull]. As space is
	// given back by whole segments, and one more is prepared ahead, the
	// directory can take up to three segments more.
	MaxBytes int64
	// WarnBytes is where Stats().Warned begins and one line is logged; 0 is 80 % of MaxBytes.
	WarnBytes int64
	// SegmentBytes is the size of one file; 0 is 16 MiB, or a quarter of
	// MaxBytes where that is less. A larger commit gets a segment of its size.
	SegmentBytes int64
	// Store names the store that the spool feeds, in at most [MaxStoreName]
	// printable characters; [StoreName] makes such a name. It is remembered with
	// the entries, and Open refuses a directory where entries for another store
	// wait, or are being written by a living process: they would end up in the
	// wrong one. "" is not checked and not remembered.
	Store string
	// MaxEntry is the largest entry in bytes; 0 is 4 MiB. A larger one is refused with code too_large.
	MaxEntry int

	Logger *slog.Logger     // nil is slog.Default()
	Now    func() time.Time // nil is time.Now; dates entries for OldestAge, and directories for the order of adoption

	disk disk // nil is the real one; tests put faults in
}

func (o *Options) complete() error {
	for _, n := range [...]struct {
		name  string
		value int64
	}{
		{"max_bytes", o.MaxBytes}, {"warn_bytes", o.WarnBytes},
		{"segment_bytes", o.SegmentBytes}, {"max_entry", int64(o.MaxEntry)},
	} {
		if n.value < 0 {
			return audit.Invalid("spool."+n.name, "is negative")
		}
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.WarnBytes == 0 {
		o.WarnBytes = o.MaxBytes / 5 * 4
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = max(MinSegmentBytes, min(DefaultSegmentBytes, o.MaxBytes/4))
	}
	if o.MaxEntry == 0 {
		o.MaxEntry = int(min(DefaultMaxEntry, max(0, o.MaxBytes-frameOverhead)))
	}
	switch {
	case o.WarnBytes > o.MaxBytes:
		return audit.Invalid("spool.warn_bytes", "is %d, more than max_bytes, which is %d", o.WarnBytes, o.MaxBytes)
	case o.SegmentBytes < MinSegmentBytes:
		return audit.Invalid("spool.segment_bytes", "is %d, at least %d", o.SegmentBytes, MinSegmentBytes)
	case o.MaxEntry > MaxMaxEntry:
		return audit.Invalid("spool.max_entry", "is %d, at most %d", o.MaxEntry, MaxMaxEntry)
	case int64(o.MaxEntry)+frameOverhead > o.MaxBytes || o.MaxEntry == 0:
		return audit.Invalid("spool.max_bytes", "is %d, which does not hold one entry of max_entry, which is %d", o.MaxBytes, o.MaxEntry)
	}
	if err := checkStoreName(o.Store); err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	return nil
}
