//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package safefile

import (
	"errors"
	"os"
)

// Systems without a lock that ends with its process.

// TryLock returns errors.ErrUnsupported.
func TryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// Unlock does nothing.
func Unlock(*os.File) {}

// IsLockUnsupported reports whether err says that there are no locks.
func IsLockUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
