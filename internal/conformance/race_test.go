//go:build race

package conformance

// underRace is set where everything is several times slower.
const underRace = true
