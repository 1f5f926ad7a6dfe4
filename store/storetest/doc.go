// Package storetest is the definition of a supported engine: a suite that any
// audit.Store can be put through, and the generators of records and questions
// that it draws from.
//
// An engine's test calls [Run] with a [Harness]. What the engine cannot do is
// left out by the name of its category and with a reason (Harness.Skip);
// everything else must hold exactly as the reference in package audit has it.
//
// It imports the standard library only, so that engines outside this module
// can use it without another dependency.
package storetest
