//go:build race

package overload

// underRace says that the race detector is on, whose own memory is several
// times that of the program.
const underRace = true
