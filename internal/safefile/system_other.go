//go:build !unix && !windows

package safefile

import (
	"io/fs"
	"os"
)

// Systems of which nothing is known.

const nonblocking = 0

// KeepOwner does nothing.
func KeepOwner(*os.File, fs.FileInfo) error { return nil }

// SyncDir does nothing.
func SyncDir(*os.File) error { return nil }

// IsDiskFull returns false.
func IsDiskFull(error) bool { return false }

// IsReadOnly returns false.
func IsReadOnly(error) bool { return false }
