package enginetest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is who a server runs as when we are root, since PostgreSQL and others
// refuse to run as root. It is nil when we are not: then the server runs as us.
type account struct {
	name     string
	uid, gid int
}

func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, fmt.Errorf("the user %s: %w", name, err)
		}
		return &account{name, uid, gid}, nil
	}
	return nil, errors.New("we are root, and there is neither a user postgres nor a user nobody to run the server as")
}

func (a *account) String() string {
	if a == nil {
		return "this user"
	}
	return a.name
}

// attributes are those of a process that runs as the account; deathSignal, if not
// 0, is what the kernel sends it when the thread that made it ends.
func (a *account) attributes(deathSignal syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: deathSignal}
	if a != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid), Groups: []uint32{}}
	}
	return attr
}

// own gives files to the account.
func (a *account) own(paths ...string) error {
	if a == nil {
		return nil
	}
	for _, path := range paths {
		if err := os.Chown(path, a.uid, a.gid); err != nil {
			return err
		}
	}
	return nil
}

// canEnter says whether the account can reach what is in the folder.
func (a *account) canEnter(dir string) bool {
	if a == nil {
		return true
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for {
		info, err := os.Stat(dir)
		if err != nil || !a.may(info, 0o1) {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// may says whether the permission bits (4 read, 2 write, 1 execute) are given to the account.
func (a *account) may(info fs.FileInfo, bits fs.FileMode) bool {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		switch {
		case int(st.Uid) == a.uid:
			bits <<= 6
		case int(st.Gid) == a.gid:
			bits <<= 3
		}
	}
	return info.Mode().Perm()&bits == bits
}

// reachable gives a folder of programs that the account can run. What lies in a
// folder it cannot enter, such as the cache of root, is linked or copied to dir,
// with the libraries and data beside it.
func (a *account) reachable(bin, dir string) (string, error) {
	if a == nil || a.canEnter(bin) {
		return bin, nil
	}
	bin, err := filepath.EvalSymlinks(bin)
	if err != nil {
		return "", err
	}
	from, to := filepath.Dir(bin), filepath.Join(dir, "programs")
	if err := a.place(from, to); err != nil {
		return "", fmt.Errorf("%s cannot be entered by %s and cannot be copied: %w", from, a, err)
	}
	return filepath.Join(to, filepath.Base(bin)), nil
}

func (a *account) place(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case entry.IsDir():
			return errors.Join(os.Mkdir(target, 0o755), os.Chmod(target, 0o755))
		case entry.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case entry.Type().IsRegular():
			return a.placeFile(path, target, entry)
		}
		return nil // a socket or the like is no program
	})
}

func (a *account) placeFile(from, to string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	need, mode := fs.FileMode(0o4), fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		need, mode = 0o5, 0o755
	}
	if a.may(info, need) && os.Link(from, to) == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	// The umask must not take what the account needs.
	return errors.Join(os.WriteFile(to, content, mode), os.Chmod(to, mode))
}
