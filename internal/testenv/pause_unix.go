//go:build unix

package testenv

import (
	"syscall"
	"testing"
)

// Pause stops the process until GoOn is called, as a machine does that is suspended. The
// test is skipped where the system can't.
func (s *Server) Pause(testing.TB) { s.cmd.Process.Signal(syscall.SIGSTOP) }

// GoOn ends a Pause.
func (s *Server) GoOn() { s.cmd.Process.Signal(syscall.SIGCONT) }
