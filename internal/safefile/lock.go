package safefile

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"time"
)

// OpenLock opens a file to be locked, and makes it if need be. What can only be read can
// be locked, too.
func OpenLock(root *os.Root, name string) (*os.File, error) {
	for {
		f, _, err := Open(root, name, os.O_RDWR)
		if IsReadOnly(err) {
			f, _, err = Open(root, name, os.O_RDONLY)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
		f, err = Create(root, name)
		if !errors.Is(err, fs.ErrExist) { // if so, another process was first
			return f, err
		}
	}
}

// WaitLock locks f, or returns the error of ctx when that is done. Between two looks at
// a file that is locked, it waits for longest at most: a blocked flock couldn't be
// called off.
func WaitLock(ctx context.Context, f *os.File, longest time.Duration) error {
	for pause := longest / 16; ; pause = min(2*pause, longest) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := TryLock(f)
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C:
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
	if err := WaitLock(ctx, f, longestPause); err != nil {
		f.Close()
		return nil, err
	}
	return func() {
		Unlock(f)
		f.Close()
	}, nil
}
