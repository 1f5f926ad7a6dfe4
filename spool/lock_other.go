//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package spool

import (
	"errors"
	"os"
)

// lock fails: without locks that end with their process, a dead process's
// entries cannot be told from a living one's.
func lock(string, bool) (*os.File, error) { return nil, errNoLocks }

func isHeld(string, string) (bool, error) { return false, errNoLocks }

var errNoLocks = errors.New("this operating system has no file locks that the spool could use")
