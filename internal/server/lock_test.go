package server_test

import (
	"io"
	"sync"
)

// locked is a writer that several goroutines may share.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func lock(w io.Writer) *locked { return &locked{w: w} }

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
