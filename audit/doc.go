// Package audit is the domain of Annals: what an event and a record are, how a
// question is asked, and what a store must do. It imports the standard library
// only, so that every other package can share its words.
//
// An [Event] is what an application reports. Once the policy has let it pass
// and [Normalize] has brought it into its one canonical form it becomes a
// [Record], which a [Store] keeps. A [Query] asks for records; every field it
// can filter by is one entry of the table in [Fields].
package audit
