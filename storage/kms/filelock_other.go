//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package kms

import (
	"errors"
	"os"
)

// Systems without a lock that ends with its process, where a File can be read but not changed.

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
func unlockFile(*os.File)            {}
func syncDir(*os.File) error         { return nil }
