// Package server serves an annals.Trail over HTTP: the operations of package
// api, health, metrics and documentation, behind the checks that every request
// passes. It is handed a trail and knows no store.
//
// There are no tokens yet, so the server listens on loopback addresses only,
// answers to loopback host names only (a web page that points its own name at
// 127.0.0.1 gets nothing), and refuses posts that a browser sends on behalf of
// another site.
package server
