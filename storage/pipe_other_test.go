//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package storage_test

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
