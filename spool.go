package annals

import (
	"context"
	"errors"
	"time"

	"github.com/annals-dev/annals/audit"
	"github.com/annals-dev/annals/recorder"
	"github.com/annals-dev/annals/spool"
)

// spoolGrace is how long Close waits for the spool after its context has ended:
// a closed spool is read faster at the next start, and loses nothing otherwise.
const spoolGrace = time.Second

// openSpool opens the spool and the dead letters of the options, where they
// have a directory for them. A trail that is switched off opens nothing.
func (t *Trail) openSpool() error {
	o := &t.opt
	if o.Policy.Disabled {
		if o.Durability == recorder.Spool {
			o.Durability = recorder.Memory
		}
		if o.OnFull == recorder.Spill {
			o.OnFull = recorder.Block
		}
		return nil
	}
	if o.SpoolDir == "" {
		switch {
		case o.Durability == recorder.Spool:
			return audit.Invalid("spool_dir", "is empty: durability spool needs a directory of its own on a local disk")
		case o.OnFull == recorder.Spill:
			return audit.Invalid("spool_dir", "is empty: on_full spill needs a directory of its own on a local disk")
		}
		return nil
	}
	opt := spool.Options{MaxBytes: o.SpoolBytes, Store: o.SpoolStore, Logger: o.Logger, Now: o.Now}
	if most := t.caps.RecordBytes; most > spool.DefaultMaxEntry/2 {
		// An entry is the record and what tells its fields apart; there is room for both.
		opt.MaxEntry = min(2*most, spool.MaxMaxEntry)
	}
	s, err := spool.Open(o.SpoolDir, opt)
	if err != nil {
		return spoolFault(err)
	}
	letters, err := spool.OpenDeadLetters(o.SpoolDir, o.Now)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), spoolGrace)
		defer cancel()
		_ = s.Close(ctx) // nothing was written
		return spoolFault(err)
	}
	t.spool, t.letters = s, letters
	found := s.Recovery()
	damaged, lost := 0, int64(0)
	for _, d := range found.Damaged {
		if !d.Torn {
			damaged++
			lost += d.Entries
		}
	}
	o.Logger.Info("the spool is open", "dir", o.SpoolDir, "entries", found.Entries, "bytes", found.Bytes,
		"adopted", len(found.Adopted), "torn_bytes", found.TornBytes, "damaged", damaged, "lost", lost)
	return nil
}

// spoolFault gives an error of the spool the name of the option it comes from.
func spoolFault(err error) error {
	fields := map[string]string{"spool.dir": "spool_dir", "spool.max_bytes": "spool_bytes", "spool.store": "spool_store"}
	if e, ok := err.(*audit.Error); ok && fields[e.Field] != "" {
		named := *e
		named.Field = fields[e.Field]
		return &named
	}
	return err
}

// closeSpool comes after the recorder, which uses it until then.
func (t *Trail) closeSpool(ctx context.Context) error {
	if t.spool == nil {
		return nil
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), spoolGrace)
		defer cancel()
	}
	return t.spool.Close(ctx)
}

// unreadyAfterFault is how long a failure of the spool's disk keeps the trail
// from being ready.
const unreadyAfterFault = 10 * time.Second

// Ready reports whether events are accepted under the trail's durability. While
// the store does not answer, they are as long as the spool has room for more.
// An error says why not.
func (t *Trail) Ready(ctx context.Context) error {
	if t.spool == nil || t.opt.Durability != recorder.Spool && t.opt.OnFull != recorder.Spill {
		return t.Ping(ctx)
	}
	st := t.spool.Stats()
	if st.MaxBytes-st.Bytes < min(audit.MaxRecordBytes, st.MaxBytes/10) {
		return &audit.Error{Code: audit.CodeBacklog, Message: "the spool is full"}
	}
	if !st.LastErrorAt.IsZero() && t.opt.Now().Sub(st.LastErrorAt) < unreadyAfterFault {
		return audit.Unavailable("the spool cannot write to its disk", errors.New(st.LastError))
	}
	return nil
}

// Restore stores records that were accepted once and could not be stored, such
// as dead letters (see recorder.DecodeEntry), as what they were: policy and
// redaction are not applied again. It waits for the store; each record has its
// own receipt. What the store has already is a duplicate, and so a success.
func (t *Trail) Restore(ctx context.Context, recs []*audit.Record) []audit.Receipt {
	return t.recorder.Restore(ctx, recs)
}

// report logs what Close had no time for.
func (t *Trail) report(a recorder.Account) {
	if a.Spooled > 0 {
		t.opt.Logger.Warn("events stay in the spool for the next start", "events", a.Spooled, "dir", t.opt.SpoolDir)
	}
	if a.Unwritten > 0 {
		t.opt.Logger.Error("events were not written", "events", a.Unwritten)
	}
}
