//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package keystore

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks f against every other opened file of the same name, in this process
// or another, and reports false if someone else has it locked.
func tryLock(f *os.File) (bool, error) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case nil:
			return true, nil
		case syscall.EWOULDBLOCK:
			return false, nil
		case syscall.EINTR:
			continue
		}
		return false, os.NewSyscallError("flock", err)
	}
}

func unlockFile(f *os.File) {
	syscall.Flock(int(f.Fd()), syscall.LOCK_UN) // at worst, closing f does it
}

// syncDir makes the renames in a directory last.
func syncDir(dir *os.File) error {
	err := dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // a file system that can't, and has its own way to be safe, or none
	}
	return err
}
