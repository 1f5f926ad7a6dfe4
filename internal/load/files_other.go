//go:build !linux && !darwin

package load

// openFiles is not known here: a connection that cannot be opened will say so.
func openFiles(need uint64) (uint64, error) { return need, nil }
