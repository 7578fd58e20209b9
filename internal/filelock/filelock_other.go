//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filelock

import (
	"errors"
	"os"
)

// Systems without a lock that ends with its process.

// Try returns errors.ErrUnsupported.
func Try(*os.File) (bool, error) { return false, errors.ErrUnsupported }

// Unlock does nothing.
func Unlock(*os.File) {}

// IsUnsupported reports whether err says that there are no locks.
func IsUnsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
