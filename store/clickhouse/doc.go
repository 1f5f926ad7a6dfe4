// Package clickhouse keeps records in ClickHouse 26.3 or newer, over its native
// protocol. docs/design/clickhouse.md tells how an engine without transactions,
// unique keys and compare-and-set keeps the promises of audit.Store and of the
// hash chain; docs/backends/clickhouse.md how to run it.
package clickhouse
