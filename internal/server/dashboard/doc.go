// Package dashboard is the page that people look at: server-rendered HTML over
// an annals.Trail, with one small stylesheet and one small script of its own.
//
// A question lives in the URL, in the parameters of the API (audit.ParseParams),
// so that a page can be saved, sent to somebody, and asked again as an export or
// a live tail. Everything but the live tail works without JavaScript.
//
// Whatever a record says is hostile: it is escaped, control characters are made
// visible, and long values are cut, in full only on the record's own page. No
// page loads more than one page of records, and every statistic has a time limit
// of its own, so that one that fails leaves the others standing.
package dashboard
