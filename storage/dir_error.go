package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

var errNotDir = errors.New("there is a file of that name, not a directory")

// dirError says what failed, where, and what to do about it.
func dirError(doing, path string, err error) error {
	var advice string
	switch {
	case errors.Is(err, os.ErrClosed):
		advice = "it was closed: don't use a Dir after its Close"
	case errors.Is(err, errNotDir):
		advice = "give OpenDir a directory of its own"
	case isDiskFull(err):
		advice = "the disk is full, or this user's share of it: make room and try again"
	case isReadOnly(err):
		advice = "it is on a disk that is mounted read-only: mount it for writing, or use another directory"
	case errors.Is(err, fs.ErrPermission):
		advice = "let this process's user read and write that directory, and what is in it"
	case isNoLock(err):
		advice = "its file system has no file locks: use a directory on a local disk"
	case errors.Is(err, fs.ErrNotExist):
		advice = "the directory was removed while it was open"
	default:
		return fmt.Errorf("storage: can't %s %s: %w", doing, path, err)
	}
	return fmt.Errorf("storage: can't %s %s: %w (%s)", doing, path, err, advice)
}

// conflictError is an error that is also ErrConflict: nothing was written, and
// reading again tells more.
type conflictError struct{ error }

func (e conflictError) Unwrap() []error { return []error{e.error, ErrConflict} }
