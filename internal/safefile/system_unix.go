//go:build unix

package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// nonblocking opens a pipe that nobody writes, which without it would take for ever.
const nonblocking = syscall.O_NONBLOCK

// KeepOwner gives f the owner and the group of another file.
func KeepOwner(f *os.File, of fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok1 := info.Sys().(*syscall.Stat_t)
	was, ok2 := of.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("it belongs to user %d and group %d, and only root, or that user as a member of that group, may replace it: %w", was.Uid, was.Gid, err)
	}
	return nil
}

// SyncDir makes the renames and deletions in a directory last.
func SyncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a file system that can't, and has its own way to be safe, or none
	}
	return err
}

// IsDiskFull reports whether err says that there is no room.
func IsDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// IsReadOnly reports whether err says that a disk is mounted read-only.
func IsReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }
