// Package dynamodb keeps records in one table of Amazon DynamoDB, or of anything
// that speaks its protocol.
//
// The table's partition key is id; three indexes that project everything answer
// questions. docs/design/dynamodb.md says how it works and why,
// docs/backends/dynamodb.md how to run it.
package dynamodb
