//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package storage

import (
	"errors"
	"os"
)

// Systems without a lock that ends with its process, where a Dir can be read but
// not written.

func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
func unlockFile(*os.File)            {}
func syncDir(*os.File) error         { return nil }
func isDiskFull(error) bool          { return false }
func isReadOnly(error) bool          { return false }
func isNoLock(err error) bool        { return errors.Is(err, errors.ErrUnsupported) }
