package keystore

import (
	"os"
	"syscall"
	"unsafe"
)

var (
	kernel32     = syscall.NewLazyDLL("kernel32.dll")
	lockFileEx   = kernel32.NewProc("LockFileEx")
	unlockFileEx = kernel32.NewProc("UnlockFileEx")
)

// From winbase.h and winerror.h.
const (
	lockfileFailImmediately = 0x1
	lockfileExclusiveLock   = 0x2

	errorLockViolation = syscall.Errno(33)
)

// tryLock locks the first byte of f against every other handle, in this process or
// another, and reports false if someone else has it locked. The byte need not
// exist.
func tryLock(f *os.File) (bool, error) {
	ok, _, err := lockFileEx.Call(f.Fd(), lockfileFailImmediately|lockfileExclusiveLock, 0, 1, 0,
		uintptr(unsafe.Pointer(new(syscall.Overlapped))))
	switch {
	case ok != 0:
		return true, nil
	case err == errorLockViolation, err == syscall.ERROR_IO_PENDING:
		return false, nil
	}
	return false, os.NewSyscallError("LockFileEx", err)
}

// unlockFile isn't left to closing f, because Windows may take its time then.
func unlockFile(f *os.File) {
	unlockFileEx.Call(f.Fd(), 0, 1, 0, uintptr(unsafe.Pointer(new(syscall.Overlapped))))
}

// syncDir does nothing: Windows can't flush a directory, and NTFS journals renames.
func syncDir(*os.File) error { return nil }
