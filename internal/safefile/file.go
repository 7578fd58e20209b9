// Package safefile opens, makes, locks and replaces files that hold keys or tokens: it
// never waits for a writer of a pipe, takes no file that others may change, loses
// none in a crash, and leaves each to its owner when root writes it.
//
// A lock ends with its process, however it ends. It belongs to an open file: two that were
// opened by one name exclude each other, in one process too, and closing one doesn't drop
// the lock of another. A process that is stopped, as by SIGSTOP, keeps its locks.
package safefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
)

// What the mode of a file must not allow. That its group may read it is accepted, as
// that is how Kubernetes (fsGroup) hands a secret to a program, and what an access
// list looks like, which systemd makes for its credentials.
const (
	Secret  fs.FileMode = 0o027 // is read by others, or written by anyone but its owner
	Trusted fs.FileMode = 0o022 // is written by anyone but its owner
)

// Check returns an error if the mode of the file or directory at path allows what is
// forbidden, [Secret] or [Trusted]. Windows has no such modes.
func Check(path string, info fs.FileInfo, forbidden fs.FileMode) error {
	mode := info.Mode().Perm()
	if runtime.GOOS == "windows" || mode&forbidden == 0 {
		return nil
	}
	remedy := "g-w,o="
	if forbidden == Trusted {
		remedy = "go-w"
	}
	return fmt.Errorf("%s is open to others (mode %04o): chmod %s %[1]s", path, mode, remedy)
}

// ErrNotFile is wrapped by the error for what has the name of a file and isn't one.
var ErrNotFile = errors.New("not a file")

// Opener opens files by name. An [os.Root] does, and the error of this package for a
// symbolic link in it is that it isn't a file. [Paths] opens what a link leads to.
type Opener interface {
	Lstat(name string) (fs.FileInfo, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
}

// Paths is the Opener of whole paths. It follows symbolic links, by which Kubernetes
// mounts its secrets.
var Paths Opener = paths{}

type paths struct{}

func (paths) Lstat(name string) (fs.FileInfo, error) { return os.Stat(name) }
func (paths) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// Open opens a file that exists. It doesn't open anything else, such as a pipe, which
// could wait for ever, or a device.
func Open(from Opener, name string, flag int) (*os.File, fs.FileInfo, error) {
	info, err := from.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = notFile(info.Mode())
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := from.OpenFile(name, flag|nonblocking, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() { // it was replaced meanwhile
		err = notFile(info.Mode())
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func notFile(m fs.FileMode) error {
	kind := "something special (mode " + m.String() + ")"
	switch m.Type() {
	case fs.ModeDir:
		kind = "a directory"
	case fs.ModeSymlink:
		kind = "a symbolic link"
	case fs.ModeNamedPipe:
		kind = "a named pipe"
	}
	return fmt.Errorf("it is %s and %w", kind, ErrNotFile)
}

// Read returns the content of a file that the mode doesn't forbid, see [Check], and
// that isn't longer than limit. The errors name it as path.
func Read(from Opener, name, path string, limit int64, forbidden fs.FileMode) ([]byte, error) {
	f, info, err := Open(from, name, os.O_RDONLY)
	if errors.Is(err, ErrNotFile) {
		return nil, fmt.Errorf("%s can't be read: %w", path, err)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := Check(path, info, forbidden); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes, which is too much for what should be in it", path, limit)
	}
	return b, nil
}
