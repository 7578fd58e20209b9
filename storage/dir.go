package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// Dir is a Store in a directory of a local disk: one file per record, for one
// process or for several on the same machine. It is also a [Locker], a [Lister] and
// a [Discarder]. Methods may be called concurrently.
//
// A record is replaced by renaming a complete file over it, so that a crash at any
// moment leaves the old record or the new one; Put and Delete return when the file
// and, on systems that can, the directory were flushed to the disk. If flushing the
// directory fails, Put and Delete return an error, and Get returns the new state.
//
// Locks are the operating system's and end with their process, however it ends. A
// process that is stopped (SIGSTOP, a debugger, a frozen container) keeps its locks:
// others that write the same sixteenth of the records, or want the lock of the same
// name, wait until it goes on or is killed, or their contexts are done. Get never
// waits.
//
// A file that isn't a whole record, or not the record that its name stands for, is
// an error that wraps [ErrOpen] and names the file; so is a directory, a pipe or a
// symbolic link of such a name. It is never taken for a missing record and never
// overwritten: restore it, or have Discard delete it.
//
// If the directory is removed, moved or replaced while it is open, every method
// returns an error: what other processes find at the path is something else.
//
// Files are created with mode 0600 and directories with 0700, if the umask leaves
// these rights to the owner, as 0022 and 0077 do. The mode of a directory that exists
// already is left as it is. What root writes in the directory of another user belongs
// to that user, as far as root is allowed to give it away. A directory on a disk that
// is mounted read-only can be read and listed. It should hold nothing else; files that
// aren't named like records are ignored.
//
// A Dir on a network file system may lose locks and writes without noticing.
type Dir struct {
	path  string
	root  *os.Root
	self  *os.File    // the directory, open for as long as root is, to flush it
	info  fs.FileInfo // of self
	turns queue       // by name of the lock file
	held  sync.Map    // lock files that are locked, each an *os.File
}

var (
	_ Store     = (*Dir)(nil)
	_ Locker    = (*Dir)(nil)
	_ Lister    = (*Dir)(nil)
	_ Discarder = (*Dir)(nil)
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
	d, err := openDir(path)
	if err != nil {
		return nil, dirError("open", path, err)
	}
	d.sweep()
	return d, nil
}

func openDir(path string) (d *Dir, err error) {
	d = new(Dir)
	if d.path, err = filepath.Abs(path); err != nil { // the process may go elsewhere
		return nil, err
	}
	if err := safefile.MakeDir(d.path); err != nil {
		return nil, err
	}
	if d.root, err = os.OpenRoot(d.path); err != nil {
		return nil, err
	}
	if d.self, err = d.root.Open("."); err == nil {
		d.info, err = d.self.Stat()
	}
	if err != nil {
		return nil, errors.Join(err, d.root.Close())
	}
	return d, nil
}

// sweep removes what writers that were killed left behind. A temporary file is
// written under the lock of its record's shard, so one whose lock is free has no
// writer. Failing is no harm: no name is used twice.
func (d *Dir) sweep() {
	tmp, err := d.root.Open(tempDir)
	if err != nil {
		return
	}
	defer tmp.Close()
	names, _ := tmp.Readdirnames(-1)
	for _, temp := range names {
		if !isTempName(temp) {
			continue
		}
		f, err := d.openLock(shardLock(temp))
		if err != nil {
			return
		}
		if ok, _ := safefile.TryLock(f); ok {
			d.root.Remove(tempDir + "/" + temp)
			safefile.Unlock(f)
		}
		f.Close()
	}
}

// Close releases the directory. Locks that are held stay held until they are
// unlocked; every other call fails from now on.
func (d *Dir) Close() error {
	if d == nil || d.root == nil {
		return errNotOpen
	}
	return errors.Join(d.self.Close(), d.root.Close())
}

var errNotOpen = errors.New("storage: this Dir isn't open: make it with OpenDir, and look at its error")

func (d *Dir) check(ctx context.Context) error {
	if d == nil || d.root == nil {
		return errNotOpen
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.inPlace()
}

// inPlace returns an error if the path leads to another directory than it did.
func (d *Dir) inPlace() error {
	now, err := os.Stat(d.path)
	switch {
	case err == nil && os.SameFile(now, d.info):
		return nil
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return dirError("use", d.path, errGone)
	}
	return nil // a process that has given up the right to look may go on
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
	if err := checkSize(name, len(value), maxSealed); err != nil {
		return "", err
	}
	r := fileRecord{name: name, value: value}
	err := d.swap(ctx, name, old, func(file string) error {
		rand.Read(r.version[:]) // never fails
		return d.write(file, r.encode())
	})
	if err != nil {
		return "", err
	}
	return r.Version(), nil
}

// Delete implements [Store]. If ctx is done after the deleting began, the record
// is deleted nevertheless.
func (d *Dir) Delete(ctx context.Context, name string, old Version) error {
	if old != "" {
		return d.swap(ctx, name, old, d.remove)
	}
	if err := d.check(ctx); err != nil {
		return err
	}
	if err := d.compare(name, old); err != nil {
		return err
	}
	return d.flush() // what deleted it before may not have come to that
}

// Discard implements [Discarder]. What stands in the place of a record and is a
// directory is deleted if it is empty.
func (d *Dir) Discard(ctx context.Context, name string) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	file := fileName(name)
	if d.isAbsent(file) {
		return d.flush()
	}
	unlock, err := d.acquire(ctx, shardLock(file), shardPoll)
	if err != nil {
		return err
	}
	defer unlock()
	_, ok, err := d.read(name)
	switch {
	case errors.Is(err, ErrOpen), err == nil && !ok:
		return d.remove(file)
	case err != nil:
		return err
	}
	return ErrConflict
}

func (d *Dir) remove(file string) error {
	if err := d.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dirError("delete a record in", d.path, err)
	}
	return d.flush()
}

// swap calls change if the record's version is old. No other process comes between
// the comparison and the change.
func (d *Dir) swap(ctx context.Context, name string, old Version, change func(file string) error) error {
	if err := d.check(ctx); err != nil {
		return err
	}
	file := fileName(name)
	if old != "" && d.isAbsent(file) {
		return ErrConflict // without a lock file, which would stay
	}
	unlock, err := d.acquire(ctx, shardLock(file), shardPoll)
	if err != nil {
		return err
	}
	defer unlock()
	if err := d.compare(name, old); err != nil {
		return err
	}
	return change(file)
}

// compare returns nil if the record's version is old.
func (d *Dir) compare(name string, old Version) error {
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
	return nil
}

func (d *Dir) isAbsent(file string) bool {
	_, err := d.root.Lstat(file)
	return errors.Is(err, fs.ErrNotExist)
}

// read returns the record under name, and false if there is none.
func (d *Dir) read(name string) (r fileRecord, ok bool, err error) {
	file := fileName(name)
	f, size, err := d.open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, d.inPlace() // it may have been moved away just now
	}
	if err != nil {
		return r, false, err
	}
	defer f.Close()
	b := make([]byte, size)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return r, false, dirError("read a record in", d.path, err)
	}
	r, err = decodeFile(b[:n])
	if err == nil && r.name != name {
		err = errFileMoved
	}
	if err != nil {
		return fileRecord{}, false, d.damaged(file, err)
	}
	return r, true, nil
}

// open opens a record file.
func (d *Dir) open(file string) (f *os.File, size int64, err error) {
	f, info, err := safefile.Open(d.root, file, os.O_RDONLY)
	if errors.Is(err, safefile.ErrNotFile) {
		return nil, 0, d.damaged(file, err)
	}
	if err != nil {
		return nil, 0, dirError("read a record in", d.path, err)
	}
	if info.Size() > maxFile {
		f.Close()
		return nil, 0, d.damaged(file, errFileLong)
	}
	return f, info.Size(), nil
}

// write replaces a record file. Its caller holds the lock of its shard.
func (d *Dir) write(file string, b []byte) error {
	temp := tempDir + "/" + file + "-" + rand.Text()
	err := func() error {
		f, err := d.create(tempDir, func() (*os.File, error) { return safefile.Create(d.root, temp) })
		if err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			if before, err := d.root.Lstat(file); err == nil {
				safefile.KeepOwner(f, before) // better root's than not written, if this can't be
			}
		}
		// Before the rename: the name must never lead to half a file.
		if err := safefile.Fill(f, b); err != nil {
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
	if err := safefile.SyncDir(d.self); err != nil {
		return dirError("flush", d.path, err)
	}
	return nil
}

// create opens a file in one of the directories below, and makes that if need be.
func (d *Dir) create(dir string, open func() (*os.File, error)) (*os.File, error) {
	f, err := open()
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := safefile.Mkdir(d.root, dir); err != nil {
		return nil, err
	}
	return open()
}

// String names the directory.
func (d *Dir) String() string { return fmt.Sprintf("storage.Dir(%q)", d.path) }

// GoString returns what String returns.
func (d *Dir) GoString() string { return d.String() }

// LogValue returns what String returns.
func (d *Dir) LogValue() slog.Value { return slog.StringValue(d.String()) }
