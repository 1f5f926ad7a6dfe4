package recorder

import (
	"log/slog"
	"time"
)

// maxLostIDs is how many ids one line names at most, an interval; its count of
// records is of all.
const maxLostIDs = 500

// lostLog names the records that were acknowledged and are kept nowhere: the
// store has refused them, and the dead letters are full.
type lostLog struct {
	faults faultLog
	ids    []string
}

func newLostLog(l *slog.Logger) lostLog {
	return lostLog{faults: faultLog{
		log: l, unit: "records",
		message: "records that the audit store refused are lost, as the dead letters are full",
	}}
}

// note counts a record, and why the store refused it.
func (l *lostLog) note(id string, why error) {
	if l.faults.more == nil {
		l.faults.more = l.named
	}
	if len(l.ids) < maxLostIDs {
		l.ids = append(l.ids, id)
	}
	l.faults.note(1, why)
}

// named gives the ids that have gathered.
func (l *lostLog) named() []slog.Attr {
	attr := slog.Any("ids", l.ids)
	l.ids = nil
	return []slog.Attr{attr}
}

func (l *lostLog) tick(now time.Time) { l.faults.tick(now) }
func (l *lostLog) due() time.Time     { return l.faults.due() }
func (l *lostLog) write()             { l.faults.write() }
