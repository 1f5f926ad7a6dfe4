package spool

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
)

// Recovery says what Open found of earlier processes.
type Recovery struct {
	Entries int64    // waiting entries that were adopted; they are read first
	Bytes   int64    // their frames
	Adopted []string // directories of dead processes, oldest first
	// TornBytes are the remains of commits that a crash cut short. Nothing in
	// them had been acknowledged, unless the disk lost what it had said was synced.
	TornBytes int64
	Damaged   []Damage // everything that was not as it should be, torn ends included
}

// Damage is one place where the spool is not as it was written.
type Damage struct {
	File   string
	Offset int64
	Bytes  int64 // 0 where something is missing without a trace
	// Entries is how many were lost, where the sequence numbers around the
	// place tell; 0 where they do not.
	Entries int64
	Torn    bool   // the unfinished write of a crash
	Reason  string // for people
	// SavedAs is the copy that was set aside below the base directory; empty
	// where there are no bytes, or the copy could not be written: then the
	// file itself stays where it is.
	SavedAs string
}

func (d Damage) log(l *slog.Logger) {
	level, message := slog.LevelError, "the spool is damaged; what is readable is delivered"
	if d.Torn {
		level, message = slog.LevelInfo, "the spool ends in a write that a crash cut short"
	}
	l.Log(context.Background(), level, message, "file", d.File, "offset", d.Offset, "bytes", d.Bytes,
		"entries", d.Entries, "reason", d.Reason, "saved_as", d.SavedAs)
}

// setAside copies damaged bytes to the damaged directory under a name that is
// the same when it is tried again. It gives "" when that fails.
func setAside(base, path string, offset int64, content []byte, l *slog.Logger) string {
	if len(content) == 0 {
		return ""
	}
	dir := filepath.Join(base, damagedDir)
	name := fmt.Sprintf("%s-%s-%d", filepath.Base(filepath.Dir(path)), filepath.Base(path), offset)
	err := mkdirDurably(dir, osDisk{})
	if err == nil {
		err = writeDurably(dir, name, content)
	}
	if err != nil {
		l.Error("damaged bytes of the spool could not be set aside; the file stays", "file", path, "offset", offset, "error", err)
		return ""
	}
	return filepath.Join(dir, name)
}
