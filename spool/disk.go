package spool

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

// disk is what the log needs of a file system; the tests put faults between.
type disk interface {
	// create makes a new file of size bytes that read as zeros, with its space
	// reserved where the file system can. An existing file is an error.
	create(path string, size int64) (file, error)
	open(path string) (file, error) // for reading
	rename(from, to string) error
	remove(path string) error
	syncDir(path string) error // makes names durable
}

// file is one open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	datasync() error // data, and as much metadata as finding it again takes
	truncate(size int64) error
	size() (int64, error)
	Close() error
}

type osDisk struct{}

type osFile struct{ *os.File }

func (osDisk) create(path string, size int64) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if size > 0 {
		if err := reserve(f, size); err != nil {
			_ = f.Close()
			_ = os.Remove(path)
			return nil, err
		}
	}
	return osFile{f}, nil
}

func (osDisk) open(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) remove(path string) error { return os.Remove(path) }

func (osDisk) syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f osFile) datasync() error           { return datasync(f.File) }
func (f osFile) truncate(size int64) error { return f.Truncate(size) }

func (f osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// mkdirDurably makes a directory and those above it, and makes their names durable.
func mkdirDurably(dir string, d disk) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	var parents []string // of what is not there yet
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			break
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := d.syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

// writeDurably puts a small file in its place whole or not at all: temporary
// name, sync, rename, sync of the directory.
func writeDurably(dir, name string, content []byte) error {
	f, err := os.CreateTemp(dir, tempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return osDisk{}.syncDir(dir)
}

const tempPrefix = ".tmp-"
