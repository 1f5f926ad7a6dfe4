//go:build !linux

package enginetest

import "syscall"

// account is always nil: only on Linux does root lend a server another account.
type account struct{}

func serverAccount() (*account, error) { return nil, nil }

func (a *account) String() string { return "this user" }

func (a *account) attributes(syscall.Signal) *syscall.SysProcAttr { return nil }

func (a *account) own(...string) error { return nil }

func (a *account) canEnter(string) bool { return true }

func (a *account) reachable(bin, _ string) (string, error) { return bin, nil }
