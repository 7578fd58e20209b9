package safefile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// From winerror.h.
const (
	errorWriteProtect   = syscall.Errno(19)
	errorHandleDiskFull = syscall.Errno(39)
	errorDiskFull       = syscall.Errno(112)
)

const nonblocking = 0

// KeepOwner does nothing: a new file has the rights that its directory gives.
func KeepOwner(*os.File, fs.FileInfo) error { return nil }

// SyncDir does nothing: Windows can't flush a directory, and NTFS journals renames.
func SyncDir(*os.File) error { return nil }

// IsDiskFull reports whether err says that there is no room.
func IsDiskFull(err error) bool {
	return errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull)
}

// IsReadOnly reports whether err says that a disk is write-protected.
func IsReadOnly(err error) bool { return errors.Is(err, errorWriteProtect) }
