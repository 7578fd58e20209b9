package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

var errGone = errors.New("it isn't the directory that was opened")

// dirError says what failed, where, and what to do about it.
func dirError(doing, path string, err error) error {
	var advice string
	switch {
	case errors.Is(err, os.ErrClosed):
		advice = "it was closed: don't use a Dir after its Close"
	case errors.Is(err, safefile.ErrNotDir):
		advice = "give OpenDir a directory of its own"
	case safefile.IsDiskFull(err):
		advice = "the disk is full, or this user's share of it: make room and try again"
	case safefile.IsReadOnly(err):
		advice = "it is on a disk that is mounted read-only: mount it for writing, or use another directory"
	case errors.Is(err, fs.ErrPermission):
		advice = "let this process's user read and write that directory, and what is in it"
	case safefile.IsLockUnsupported(err):
		advice = "its file system has no file locks: use a directory on a local disk"
	case errors.Is(err, errGone), errors.Is(err, fs.ErrNotExist):
		advice = "the directory was removed, moved or replaced while it was open: put it back, or start the program again"
	default:
		return fmt.Errorf("storage: can't %s %s: %w", doing, path, err)
	}
	return fmt.Errorf("storage: can't %s %s: %w (%s)", doing, path, err, advice)
}

// damaged is the error for a record file that isn't usable.
func (d *Dir) damaged(file string, reason error) error {
	return fmt.Errorf("%w: the file %s isn't usable: %w; restore it from a backup, or discard it and have the user log in again",
		ErrOpen, filepath.Join(d.path, file), reason)
}

// conflictError is an error that is also ErrConflict: nothing was written, and
// reading again tells more.
type conflictError struct{ error }

func (e conflictError) Unwrap() []error { return []error{e.error, ErrConflict} }
