package storetest

// Rounds gives how often a random test is to be repeated: n times, and a twentieth
// of it under the race detector, which slows an engine written in Go down
// fiftyfold and has nothing to find in the thousandth question.
func Rounds(n int) int { return max(1, n/slower) }

// some gives the whole list, and every twentieth of it under the race detector.
func some[T any](list []T) (out []T) {
	for i := 0; i < len(list); i += slower {
		out = append(out, list[i])
	}
	return out
}
