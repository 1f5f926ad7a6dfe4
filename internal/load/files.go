package load

import "github.com/annals-dev/annals/audit"

// spareFiles is what a process holds open besides its connections.
const spareFiles = 128

// ReserveFiles sees to it that the process may have so many connections, and
// raises its limit of open files up to what the system allows it. Both ends of
// a connection count where the server is in the same process. The error says
// how to allow more.
func ReserveFiles(connections int) error {
	need := uint64(connections + spareFiles)
	limit, err := openFiles(need)
	if err != nil {
		return &audit.Error{Code: audit.CodeInternal, Field: "users", Message: "the limit of open files cannot be read", Cause: err}
	}
	if limit < need {
		return audit.Invalid("users", "%d connections need %d open files, and this process may have %d: raise the limit (ulimit -n %d), or have fewer users", connections, need, limit, need)
	}
	return nil
}

// raise says what the limit is to be raised to, if it must be and can.
func raise(current, most, need uint64) (to uint64, change bool) {
	if current >= need || most <= current {
		return current, false
	}
	return min(need, most), true
}
