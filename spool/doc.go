// Package spool is the durable local queue that stands between the door and the
// batcher of the recorder: an entry whose Append has returned nil is on disk and
// survives kill -9 and loss of power, and it is read again until its consumer
// has committed it. Entries are opaque bytes.
//
// It is an append-only log in segments. One goroutine does all writing: it takes
// everything that waits, writes it at once, syncs once and wakes everybody
// (group commit). One consumer reads. Each process has a directory of its own
// below the base directory, held by a lock; directories of dead processes are
// adopted by the next one that opens the spool.
//
// The format, what every failure does, and why it is not a library are written
// in docs/design/spool.md.
package spool
