package storage

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/safefile"
)

// A writer holds its shard for as long as two flushes take, the holder of a name's
// lock for as long as a provider needs to answer: the longest pauses between two
// looks at a file that another process has locked.
const (
	shardPoll = 4 * time.Millisecond
	lockPoll  = 32 * time.Millisecond
)

// Writers of one record exclude each other by locking one of these sixteen files,
// which stand for the first digits of a record file's name. They are never deleted.
const shards = "0123456789abcdef"

func shardLock(file string) string { return "write-" + file[:1] }

// Lock implements [Locker]. The lock of a name is a file lock on a file of its own,
// apart from the locks that writers use. It ends with the process at the latest.
// Waiters in one process get it in the order in which they asked for it; a waiter
// in another process notices within 32 milliseconds that it is free.
//
// The lock of a name that has a record leaves an empty file in the directory locks, as
// does a holder that is killed.
func (d *Dir) Lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := d.check(ctx); err != nil {
		return nil, err
	}
	return d.acquire(ctx, fileName(name), lockPoll)
}

// acquire locks a file in the directory of locks: against this process's other
// goroutines by queuing, against everyone else by the file system.
func (d *Dir) acquire(ctx context.Context, file string, longest time.Duration) (release func(), err error) {
	leave, err := d.turns.enter(ctx, file)
	if err != nil {
		return nil, err
	}
	f, err := d.lockFile(ctx, file, longest)
	if err != nil {
		leave()
		if err == ctx.Err() {
			return nil, err
		}
		return nil, dirError("lock a record in", d.path, err)
	}
	// If the caller forgets to unlock, garbage collection must not do it.
	d.held.Store(f, nil)
	return sync.OnceFunc(func() {
		d.held.Delete(f)
		d.forget(file, f)
		safefile.Unlock(f)
		f.Close()
		leave()
	}), nil
}

// lockFile returns a lock file that is locked.
func (d *Dir) lockFile(ctx context.Context, file string, longest time.Duration) (*os.File, error) {
	// The file is another one each time that a holder deleted it, which is as often
	// as others come first.
	for range 1000 {
		f, err := d.openLock(file)
		if err != nil {
			return nil, err
		}
		if err = safefile.WaitLock(ctx, f, longest); err == nil {
			var same bool
			if same, err = d.isLockFile(file, f); same {
				return f, nil
			}
			safefile.Unlock(f)
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("its lock files are replaced all the time")
}

func (d *Dir) openLock(file string) (*os.File, error) {
	return d.create(lockDir, func() (*os.File, error) { return safefile.OpenLock(d.root, lockDir+"/"+file) })
}

// isLockFile reports whether the name of a lock file leads to f. If it doesn't,
// another process can lock what it leads to.
func (d *Dir) isLockFile(file string, f *os.File) (bool, error) {
	named, err := d.root.Lstat(lockDir + "/" + file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	opened, err := f.Stat()
	return err == nil && os.SameFile(named, opened), err
}

// forget deletes the lock file of a name that has no record, for which nobody would
// ever need it again. Only the holder of its lock may: all that have it open still
// find, when they get the lock, that the name doesn't lead to it.
func (d *Dir) forget(file string, f *os.File) {
	if !isFileName(file) || !d.isAbsent(file) {
		return
	}
	if same, _ := d.isLockFile(file, f); same {
		d.root.Remove(lockDir + "/" + file)
	}
}
