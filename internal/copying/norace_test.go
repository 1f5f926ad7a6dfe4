//go:build !race

package copying_test

// underRace is set where everything is several times slower.
const underRace = false
