//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package enginetest

import (
	"errors"
	"os"
)

// takeLease makes the file. Without locks nobody can tell whose holder is gone.
func takeLease(path string) (*os.File, error) { return os.Create(path) }

func retakeLease(string) (*os.File, error) { return nil, errors.ErrUnsupported }
