package storage

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// A writer holds its shard for as long as two flushes take, the holder of a name's
// lock for as long as a provider needs to answer: the longest pauses between two
// looks at a file that another process has locked.
const (
	shardPoll = 4 * time.Millisecond
	lockPoll  = 32 * time.Millisecond
)

// Writers of one record exclude each other by locking one of these sixteen files,
// which stand for the first digits of a record file's name. A lock file can't be
// deleted without two processes coming to hold different files of one name, and so
// their number has to be fixed.
const shards = "0123456789abcdef"

func shardLock(file string) string { return "write-" + file[:1] }

// Lock implements [Locker]. The lock of a name is a file lock on a file of its own,
// apart from the locks that writers use. It ends with the process at the latest.
// Waiters in one process get it in the order in which they asked for it; a waiter
// in another process notices within 32 milliseconds that it is free.
//
// Each name that was ever locked leaves an empty file in the directory locks.
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
	f, err := d.create(lockDir, file, os.O_RDWR)
	if err != nil {
		leave()
		return nil, dirError("lock a record in", d.path, err)
	}
	if err := waitLock(ctx, f, longest); err != nil {
		f.Close()
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
		// Closing alone would leave the lock to a child process that was forked and
		// hasn't closed its copy yet.
		unlockFile(f)
		f.Close()
		leave()
	}), nil
}

// waitLock polls because a blocked flock can't be called off when ctx is done.
func waitLock(ctx context.Context, f *os.File, longest time.Duration) error {
	for pause := longest / 16; ; pause = min(2*pause, longest) {
		ok, err := tryLock(f)
		if ok || err != nil {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}
