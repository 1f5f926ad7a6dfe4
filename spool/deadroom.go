package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/annals-dev/annals/audit"
)

// The defaults of DeadLetterOptions.
const (
	DefaultMaxLetters     = 10_000
	DefaultMaxLetterBytes = 256 << 20
)

// DeadLetterOptions bound the dead letters. A full box refuses the new letter
// and evicts no old one: the first letters of a flood say what is wrong as well
// as the last, and else whoever can cause a flood could push out the evidence
// that was there before. The refused one is its owner's to report; the recorder
// counts it as dropped and logs its id.
type DeadLetterOptions struct {
	// MaxLetters is how many there may be; 0 is 10,000.
	MaxLetters int
	// MaxBytes is what their files may take together; 0 is 256 MiB. Several
	// processes with one directory may go over both bounds by what they put
	// within a second.
	MaxBytes int64

	Now func() time.Time // nil is time.Now; dates the letters
}

func (o *DeadLetterOptions) complete() error {
	switch {
	case o.MaxLetters < 0:
		return audit.Invalid("spool.max_letters", "is negative")
	case o.MaxBytes < 0:
		return audit.Invalid("spool.max_letter_bytes", "is negative")
	}
	if o.MaxLetters == 0 {
		o.MaxLetters = DefaultMaxLetters
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxLetterBytes
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return nil
}

// deadRoom knows how much room there is for dead letters. Other processes put
// and remove some too, so it counts them again when it has not for a second.
type deadRoom struct {
	opt DeadLetterOptions

	mu      sync.Mutex
	letters int
	bytes   int64
	known   time.Time // when they were counted; zero: count them again
}

// countEvery is how long a count of the dead letters is good for.
const countEvery = time.Second

// take makes room for a letter in the file of that name, which it may replace.
func (r *deadRoom) take(dir, name string, size int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known.IsZero() || time.Since(r.known) >= countEvery {
		n, bytes, err := countFiles(dir, deadExt)
		if err != nil {
			return audit.Unavailable("the dead letters cannot be counted", err)
		}
		r.letters, r.bytes, r.known = n, bytes, time.Now()
	}
	more := 1
	if info, err := os.Lstat(filepath.Join(dir, name)); err == nil {
		more, size = 0, size-info.Size()
	}
	if r.letters+more > r.opt.MaxLetters || size > 0 && r.bytes+size > r.opt.MaxBytes {
		return &audit.Error{
			Code: audit.CodeBacklog, Field: "spool.max_letters",
			Message: fmt.Sprintf("the dead letters are full: %d of at most %d, with %d of at most %d bytes; nothing was kept", r.letters, r.opt.MaxLetters, r.bytes, r.opt.MaxBytes),
		}
	}
	r.letters += more
	r.bytes += size
	return nil
}

// forget makes the next take count again.
func (r *deadRoom) forget() {
	r.mu.Lock()
	r.known = time.Time{}
	r.mu.Unlock()
}
