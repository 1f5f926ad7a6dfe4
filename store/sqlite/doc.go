// Package sqlite is the engine for one machine without any set-up: every
// record in one SQLite file, durable when Append returns, with full text,
// hash chains and statistics. docs/design/sqlite.md explains the schema and
// the measurements behind it.
//
// One connection writes, in transactions that take the write lock at once;
// several read, each from its own snapshot, and none of them waits for the
// writer. Other processes may read and write the same file at the same time.
package sqlite
