//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package keystore

import (
	"errors"
	"os"
)

// Systems without a lock that ends with its process, where this package doesn't work.

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
func unlockFile(*os.File)            {}
func syncDir(*os.File) error         { return nil }
