package keystore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// dir is a directory that this process has locked against the others.
type dir struct {
	path string
	root *os.Root
	self *os.File // for flushing
	lock *os.File
}

const (
	temporary = ".tmp"  // what is being written, and is renamed when it is whole
	maxFile   = 1 << 16 // far more than MaxKeys keys
)

// openDir opens and locks the directory at path, and creates it, and those above it,
// if it doesn't exist.
func openDir(ctx context.Context, path string) (*dir, error) {
	if err := makeDir(path); err != nil {
		return nil, fmt.Errorf("keystore: can't make the directory %s: %w", path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("keystore: can't open the directory of the keys: %w", err)
	}
	d := &dir{path: path, root: root}
	if err := d.open(ctx); err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *dir) open(ctx context.Context) (err error) {
	if d.self, err = d.root.Open("."); err != nil {
		return fmt.Errorf("keystore: can't open the directory of the keys: %w", err)
	}
	info, err := d.self.Stat()
	if err != nil {
		return fmt.Errorf("keystore: can't open the directory of the keys: %w", err)
	}
	if isOpenToOthers(info) {
		return fmt.Errorf("keystore: the directory %s is open to others (mode %04o): chmod 700 %[1]s", d.path, info.Mode().Perm())
	}
	// Never deleted, because two processes could come to hold different files of its name.
	if d.lock, err = d.root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return fmt.Errorf("keystore: can't lock the directory %s: %w", d.path, err)
	}
	if err := waitLock(ctx, d.lock); err != nil {
		return fmt.Errorf("keystore: can't lock the directory %s, as another process does, or a keyring hasn't answered this one yet: %w", d.path, err)
	}
	// A process that was killed may have left a copy of the keys.
	for _, name := range []string{keysFile, markerFile} {
		d.root.Remove(name + temporary)
	}
	return nil
}

// makeDir is os.MkdirAll with each new directory flushed into the one above it: a
// key in a directory that a power cut removes would be lost.
func makeDir(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := makeDir(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil // one may pass through directories that one may not read, and then not flush
	}
	defer f.Close()
	return syncDir(f)
}

// longestPause is between two looks at the lock.
const longestPause = 32 * time.Millisecond

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

// close gives the lock up.
func (d *dir) close() {
	if d.lock != nil {
		// Closing alone would leave the lock to a child process that was forked and
		// hasn't closed its copy yet.
		unlockFile(d.lock)
		d.lock.Close()
	}
	if d.self != nil {
		d.self.Close()
	}
	d.root.Close()
}

// read returns the text of a file, and false if there is none. It doesn't take
// anything but a file that is for its owner's eyes only.
func (d *dir) read(name string) (text string, ok bool, err error) {
	path := filepath.Join(d.path, name)
	info, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("keystore: can't read %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return "", false, fmt.Errorf("keystore: %s isn't a file but %s: look who put it there, and move it away", path, kind(info.Mode()))
	}
	if isOpenToOthers(info) {
		return "", false, fmt.Errorf("keystore: the file %s is open to others (mode %04o): chmod 600 %[1]s", path, info.Mode().Perm())
	}
	f, err := d.root.Open(name)
	if err != nil {
		return "", false, fmt.Errorf("keystore: can't read %s: %w", path, err)
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		return "", false, fmt.Errorf("keystore: %s was replaced while it was opened", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return "", false, fmt.Errorf("keystore: can't read %s: %w", path, err)
	}
	return string(b), true, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "something special (" + m.String() + ")"
}

func isOpenToOthers(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// write replaces a file. When it returns nil, the file outlasts a power cut.
func (d *dir) write(name, text string) error {
	temp := name + temporary
	err := func() error {
		f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text)
		if err == nil {
			err = f.Sync() // before the rename: the name must never lead to half a file
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		if err := d.root.Rename(temp, name); err != nil {
			return err
		}
		return syncDir(d.self)
	}()
	if err != nil {
		d.root.Remove(temp)
		return fmt.Errorf("keystore: can't write %s: %w", filepath.Join(d.path, name), err)
	}
	return nil
}
