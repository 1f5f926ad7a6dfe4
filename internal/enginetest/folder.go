package enginetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	folderPrefix = "annals-engine-"
	leaseName    = "lease"
	// A socket's path has about 100 bytes; the name of the folder and of the socket come on top.
	longestBase = 60
)

// folder is where one server keeps its files. It is private to the account the
// server runs as. Its lease is held until it is removed or this process ends; a
// folder whose lease is free was left by a process that was killed.
type folder struct {
	path  string
	lease *os.File
}

// newFolder makes one, and removes those that were left.
func newFolder(as *account) (*folder, error) {
	base, err := folderBase(as)
	if err != nil {
		return nil, err
	}
	sweep(base)
	path, err := os.MkdirTemp(base, folderPrefix)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path}
	if f.lease, err = takeLease(filepath.Join(path, leaseName)); err == nil {
		err = as.own(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.remove())
	}
	return f, nil
}

// folderBase is the folder for temporary files, if the account can enter it and its path is short.
func folderBase(as *account) (string, error) {
	bases := []string{os.TempDir(), "/tmp", "/var/tmp"}
	for _, base := range bases {
		if len(base) <= longestBase && as.canEnter(base) {
			return base, nil
		}
	}
	return "", fmt.Errorf("no folder for temporary files of %v can be entered by %s, or its path is longer than %d bytes; set TMPDIR", bases, as, longestBase)
}

// sweep removes the folders of processes that are gone.
func sweep(base string) {
	left, _ := filepath.Glob(filepath.Join(base, folderPrefix+"*"))
	for _, path := range left {
		// A folder without the file is being made at this moment.
		if lease, err := retakeLease(filepath.Join(path, leaseName)); err == nil {
			_ = os.RemoveAll(path) // another user's, or another sweep's: not ours to mind
			_ = lease.Close()
		}
	}
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	if f.lease != nil {
		err = errors.Join(err, f.lease.Close())
		f.lease = nil
	}
	return err
}
