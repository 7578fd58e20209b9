//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package keystore

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
