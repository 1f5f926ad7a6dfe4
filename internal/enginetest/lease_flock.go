//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package enginetest

import (
	"errors"
	"os"
	"syscall"
)

// takeLease makes the file and holds its lock. The file has its name only when it
// is locked, so that a sweep never sees it free.
func takeLease(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(tryLock(f), os.Rename(f.Name(), path)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// retakeLease takes the lock of a file whose holder is gone.
func retakeLease(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if err := tryLock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func tryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
