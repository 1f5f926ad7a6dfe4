// Package elasticsearch keeps records in Elasticsearch or OpenSearch: one store
// that speaks both dialects over plain HTTP. Records are documents of indices
// that roll over by size and age; what has to be exact beside the search (heads
// of chains, kept documents) is read and written by id, which needs no refresh.
// docs/design/elasticsearch.md says why it is built as it is.
package elasticsearch
