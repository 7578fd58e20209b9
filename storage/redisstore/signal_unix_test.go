//go:build unix

package redisstore_test

import (
	"syscall"
	"testing"
)

// pause stops the process until goOn is called, as a machine does that is suspended.
func (s *server) pause(testing.TB) { s.cmd.Process.Signal(syscall.SIGSTOP) }

func (s *server) goOn() { s.cmd.Process.Signal(syscall.SIGCONT) }
