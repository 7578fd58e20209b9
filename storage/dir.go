package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Dir is a Store in a directory of a local disk: one file per record, for one
// process or for several on the same machine. It is also a [Locker] and a
// [Lister]. Methods may be called concurrently.
//
// A record is replaced by renaming a complete file over it, so that a crash at any
// moment leaves the old record or the new one; Put and Delete return when the file
// and, on systems that can, the directory were flushed to the disk. Locks are the
// operating system's and end with their process, however it ends.
//
// A file that isn't a whole record, or not the record that its name stands for, is
// an error that wraps [ErrOpen] and names the file. It is never taken for a
// missing record and never overwritten: restore it, or move it away.
//
// Files are created with mode 0600 and directories with 0700. The mode of a
// directory that exists already is left as it is. The directory should hold
// nothing else; files that aren't named like records are ignored.
//
// A Dir on a network file system may lose locks and writes without noticing.
type Dir struct {
	path  string
	root  *os.Root
	self  *os.File // the directory, open for as long as root is, to flush it
	turns queue    // by name of the lock file
	held  sync.Map // lock files that are locked, each an *os.File
}

var (
	_ Store  = (*Dir)(nil)
	_ Locker = (*Dir)(nil)
	_ Lister = (*Dir)(nil)
)

// Directories below that of a Dir.
const (
	lockDir = "locks"
	tempDir = "tmp"
)

// OpenDir opens the directory at path as a Store, and creates it, and those above
// it, if it doesn't exist. Several Dirs, in one process or several, may be open on
// the same directory. The caller should call Close.
func OpenDir(path string) (*Dir, error) {
	if path == "" {
		return nil, errors.New("storage: OpenDir needs the path of a directory")
	}
	if err := makeDir(filepath.Clean(path)); err != nil {
		return nil, dirError("open", path, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, dirError("open", path, err)
	}
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, dirError("open", path, err)
	}
	d := &Dir{path: path, root: root, self: self}
	d.sweep()
	return d, nil
}

// makeDir is os.MkdirAll with each new directory flushed into the one above it: a
// durable file in a directory that a power cut removes would be no use.
func makeDir(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return errNotDir
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
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

// sweep removes what writers that were killed left behind. A temporary file is
// written under the lock of its record's shard, so one whose lock is free has no
// writer. Failing is no harm: the next Put of the same record writes over it.
func (d *Dir) sweep() {
	tmp, err := d.root.Open(tempDir)
	if err != nil {
		return
	}
	defer tmp.Close()
	names, _ := tmp.Readdirnames(-1)
	for _, name := range names {
		if !isFileName(name) {
			continue
		}
		f, err := d.create(lockDir, shardLock(name), os.O_RDWR)
		if err != nil {
			return
		}
		if ok, _ := tryLock(f); ok {
			d.root.Remove(tempDir + "/" + name)
			unlockFile(f)
		}
		f.Close()
	}
}

// Close releases the directory. Locks that are held stay held until they are
// unlocked; every other call fails from now on.
func (d *Dir) Close() error {
	if err := d.check(context.Background()); err != nil {
		return err
	}
	return errors.Join(d.self.Close(), d.root.Close())
}

func (d *Dir) check(ctx context.Context) error {
	if d == nil || d.root == nil {
		return errors.New("storage: this Dir isn't open: make it with OpenDir, and look at its error")
	}
	return ctx.Err()
}

// Get implements [Store].
func (d *Dir) Get(ctx context.Context, name string) ([]byte, Version, error) {
	if err := d.check(ctx); err != nil {
		return nil, "", err
	}
	r, ok, err := d.read(name)
	if err != nil {
		return nil, "", err
	}
	if !ok {
		return nil, "", ErrNotFound
	}
	return r.value, r.Version(), nil
}

// Put implements [Store]. If ctx is done after the writing began, the record is
// written nevertheless.
func (d *Dir) Put(ctx context.Context, name string, value []byte, old Version) (Version, error) {
	r := fileRecord{name: name, value: value}
	err := d.swap(ctx, name, old, func(file string) error {
		rand.Read(r.version[:]) // never fails
		b, err := r.encode()
		if err != nil {
			return err
		}
		return d.write(file, b)
	})
	if err != nil {
		return "", err
	}
	return r.Version(), nil
}

// Delete implements [Store]. If ctx is done after the deleting began, the record
// is deleted nevertheless.
func (d *Dir) Delete(ctx context.Context, name string, old Version) error {
	return d.swap(ctx, name, old, func(file string) error {
		if old == "" {
			return nil
		}
		if err := d.root.Remove(file); err != nil {
			return dirError("delete a record in", d.path, err)
		}
		return d.flush()
	})
}

// swap calls change if the record's version is old. No other process comes between
// the comparison and the change.
func (d *Dir) swap(ctx context.Context, name string, old Version, change func(file string) error) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	file := fileName(name)
	unlock, err := d.acquire(ctx, shardLock(file), shardPoll)
	if err != nil {
		return err
	}
	defer unlock()
	r, ok, err := d.read(name)
	if errors.Is(err, ErrOpen) {
		return conflictError{err} // whatever old is, it doesn't name this
	}
	if err != nil {
		return err
	}
	var now Version
	if ok {
		now = r.Version()
	}
	if now != old {
		return ErrConflict
	}
	return change(file)
}

// read returns the record under name, and false if there is none.
func (d *Dir) read(name string) (r fileRecord, ok bool, err error) {
	file := fileName(name)
	b, err := d.root.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, dirError("read a record in", d.path, err)
	}
	r, err = decodeFile(b)
	if err == nil && r.name != name {
		err = errFileMoved
	}
	if err != nil {
		return fileRecord{}, false, d.damaged(file, err)
	}
	return r, true, nil
}

// write replaces a record file. Its caller holds the lock of its shard,
// which makes the temporary file its own.
func (d *Dir) write(file string, b []byte) error {
	temp := tempDir + "/" + file
	err := func() error {
		f, err := d.create(tempDir, file, os.O_WRONLY|os.O_TRUNC)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err == nil {
			err = f.Sync() // before the rename: the name must never lead to half a file
		}
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		return d.root.Rename(temp, file)
	}()
	if err != nil {
		d.root.Remove(temp)
		return dirError("write a record in", d.path, err)
	}
	return d.flush()
}

// flush makes renames and deletions last.
func (d *Dir) flush() error {
	if err := syncDir(d.self); err != nil {
		return dirError("flush", d.path, err)
	}
	return nil
}

// create opens a file in one of the directories below, and makes both if need be.
func (d *Dir) create(dir, file string, flag int) (*os.File, error) {
	f, err := d.root.OpenFile(dir+"/"+file, flag|os.O_CREATE, 0o600)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := d.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return d.root.OpenFile(dir+"/"+file, flag|os.O_CREATE, 0o600)
}

func (d *Dir) damaged(file string, reason error) error {
	return fmt.Errorf("%w: the file %s isn't usable: %w; restore it from a backup, or move it away and have the user log in again",
		ErrOpen, filepath.Join(d.path, file), reason)
}
