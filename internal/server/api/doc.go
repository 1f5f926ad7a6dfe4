// Package api holds the operations of the server's HTTP interface: events in
// and out, statistics, chains, export and policy. It turns requests into calls
// on an annals.Trail and answers into JSON; it decides nothing by itself.
//
// Each operation is described in the OpenAPI document where it is registered.
// Filters, their parameters and the shapes of events and records are derived
// from audit.Fields, so that a new field needs no edit here.
package api
