package safefile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/filelock"
)

// OpenLock opens a file to be locked by package filelock, and makes it if need be.
// What can only be read can be locked, too.
func OpenLock(root *os.Root, name string) (*os.File, error) {
	for {
		f, err := Create(root, name)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		f, _, err = Open(root, name, os.O_RDWR)
		if IsReadOnly(err) {
			f, _, err = Open(root, name, os.O_RDONLY)
		}
		if !errors.Is(err, fs.ErrNotExist) { // if so, it was deleted in between
			return f, err
		}
	}
}

// longestPause is between two looks at a lock.
const longestPause = 32 * time.Millisecond

// Lock locks a file, which is made if need be, and must never be deleted: two
// processes could come to hold different files of its name.
func Lock(ctx context.Context, root *os.Root, name string) (unlock func(), err error) {
	f, err := OpenLock(root, name)
	if err != nil {
		return nil, err
	}
	if err := filelock.Wait(ctx, f, longestPause); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		filelock.Unlock(f)
		f.Close()
	}, nil
}
