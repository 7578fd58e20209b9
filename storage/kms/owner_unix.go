//go:build unix

package kms

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner and group of the one that it replaces, if there
// is one: who changes it, perhaps root, needn't be who reads it.
func keepOwner(file *os.File, before fs.FileInfo) error {
	if before == nil {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	was, is := before.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	if err := file.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("it belongs to user %d and group %d, and only root, or that user as a member of that group, may replace it: %w", was.Uid, was.Gid, err)
	}
	return nil
}
