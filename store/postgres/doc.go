// Package postgres keeps records in PostgreSQL 15 or newer, in tables of its
// own beside those of the application. docs/design/postgres.md tells why the
// tables are what they are, docs/backends/postgres.md how to run it.
package postgres
