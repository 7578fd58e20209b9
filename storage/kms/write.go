package kms

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// Beside a File.
const (
	lockName  = ".lock"
	temporary = ".tmp"
)

// write replaces the file. When it returns nil, the file outlasts a power cut. Its
// caller holds the lock, which makes the temporary file its own.
func (f File) write(text string) error {
	path := string(f)
	mode := fs.FileMode(0o600)
	before, err := os.Lstat(path)
	if err == nil {
		if !before.Mode().IsRegular() {
			return fmt.Errorf("kms: %s isn't a file (mode %s): give the path of the file itself", f, before.Mode())
		}
		mode = before.Mode().Perm() // whoever may read it shall go on doing so
	}
	temp := path + temporary
	os.Remove(temp) // of a process that was killed
	err = func() error {
		file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = file.WriteString(text)
		err = errors.Join(err, keepOwner(file, before), file.Chmod(mode)) // Chown may take bits of the mode away
		if err == nil {
			err = file.Sync() // before the rename: the name must never lead to half a file
		}
		if err := errors.Join(err, file.Close()); err != nil {
			return err
		}
		return os.Rename(temp, path)
	}()
	if err != nil {
		os.Remove(temp)
		return fmt.Errorf("kms: can't write the key file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err == nil {
		defer dir.Close()
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("kms: can't flush the directory of the key file: %w", err)
	}
	return nil
}

// longestPause is between two looks at the lock.
const longestPause = 32 * time.Millisecond

// lock excludes every other process, and every other goroutine of this one. The file
// is never deleted, because two processes could come to hold different ones.
func (f File) lock(ctx context.Context) (unlock func(), err error) {
	if f == "" {
		return nil, errors.New("kms: this File is no path")
	}
	file, err := os.OpenFile(string(f)+lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("kms: can't lock the key file: %w", err)
	}
	if err := waitLock(ctx, file); err != nil {
		file.Close()
		return nil, fmt.Errorf("kms: can't lock the key file %s: %w", f, err)
	}
	return func() {
		// Closing alone would leave the lock to a child process that was forked and
		// hasn't closed its copy yet.
		unlockFile(file)
		file.Close()
	}, nil
}

// waitLock polls because a blocked flock can't be called off when ctx is done.
func waitLock(ctx context.Context, f *os.File) error {
	for pause := longestPause / 16; ; pause = min(2*pause, longestPause) {
		if err := ctx.Err(); err != nil {
			return err
		}
		ok, err := tryLock(f)
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
