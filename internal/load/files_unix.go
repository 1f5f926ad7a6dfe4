//go:build linux || darwin

package load

import "syscall"

// openFiles gives how many files the process may have open, after raising the
// limit to need as far as it may.
func openFiles(need uint64) (uint64, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	to, change := raise(l.Cur, l.Max, need)
	if !change {
		return l.Cur, nil
	}
	raised := l
	raised.Cur = to
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &raised); err != nil {
		return l.Cur, nil // what it has been is the answer
	}
	return to, nil
}
