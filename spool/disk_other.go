//go:build !linux

package spool

import "os"

// reserve gives f its size. Its space is reserved when it is filled with zeros.
func reserve(f *os.File, size int64) error { return f.Truncate(size) }

func datasync(f *os.File) error { return f.Sync() }
