//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package spool

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// isHeld reports whether somebody holds the lock in the file at path, in the
// directory of a process below base. To find out, it holds that lock itself for
// a moment, and the base lock meanwhile, so that nobody who starts now takes it
// for that of a living process. Where a start is under way at this moment, so is
// the answer: it is true.
func isHeld(base, path string) (bool, error) {
	guard, err := glance(filepath.Join(base, baseLock))
	if guard == nil {
		return err == nil, err
	}
	defer guard.Close()
	mine, err := glance(path)
	if mine != nil {
		_ = mine.Close()
	}
	return mine == nil && err == nil, err
}

// glance takes the lock on a file with others who only look. nil without an
// error: somebody has it. A file that is not there is held by nobody.
func glance(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return os.Open(os.DevNull)
	}
	if err != nil {
		return nil, err
	}
	return flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
}

// lock takes the lock on a file, which it creates where needed. The lock goes
// with the returned file, and with the process. It gives nil without an error
// when another holder has it and wait is false.
func lock(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	how := syscall.LOCK_EX
	if !wait {
		how |= syscall.LOCK_NB
	}
	return flock(f, how)
}

func flock(f *os.File, how int) (_ *os.File, err error) {
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
}
