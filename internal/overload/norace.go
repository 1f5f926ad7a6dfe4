//go:build !race

package overload

// underRace says that the race detector is off.
const underRace = false
