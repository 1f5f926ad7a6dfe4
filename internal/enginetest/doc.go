// Package enginetest gives tests and benchmarks the real engines to run against.
//
// [Postgres] gives a test an empty database on a server that the whole test
// binary shares; [StartPostgres] gives it a server of its own, to crash and to
// restart. Benchmarks and other programs use [LaunchPostgres], which returns
// errors. [DynamoDB], [StartDynamoDB] and [LaunchDynamoDB] do the same with DynamoDB
// Local. A server's process dies with the one that started it.
//
// [ClickHouse], [StartClickHouse] and [LaunchClickHouse] do the same with ClickHouse.
//
// [OpenSearch], [Elasticsearch], [StartSearch] and [LaunchSearch] do the same for
// the search engines; a test takes indices of its own, by a prefix.
//
// What the engines have in common stands in server.go (one server: its start, its
// port, its log, its end) and shared.go (servers of a test, and of a test binary);
// the file of an engine says which program runs with which arguments.
//
// The programs come from scripts/engines, which fetches what is not there. The
// environment goes first:
//
//	ANNALS_TEST_POSTGRES_URL  a running server: [Postgres] makes its databases there
//	ANNALS_TEST_POSTGRES_BIN  a folder with initdb and postgres
//	ANNALS_TEST_DYNAMODB_URL  a running DynamoDB Local
//	ANNALS_TEST_DYNAMODB_JARS a folder with DynamoDBLocal-*.jar and the jars that it needs
//	ANNALS_TEST_CLICKHOUSE_URL  a running server: [ClickHouse] makes its databases there
//	ANNALS_TEST_OPENSEARCH_URL  a running server; ELASTICSEARCH9 and ELASTICSEARCH7 alike
//	ANNALS_ENGINE_CACHE       where scripts/engines keeps what it fetched
//
// Where an engine cannot be had the test is skipped with a message; with CI=true it fails.
package enginetest
