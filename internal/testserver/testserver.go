// Package testserver runs the servers that tests of the stores need, as processes of
// their own that a test kills and stops.
package testserver

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// Find returns the path of a program. Where it isn't installed the test is skipped, or
// fails if the environment has CI=true; install says what to do then.
func Find(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	missing := program + " isn't installed: " + install
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Server is a process that keeps data in a directory, so that it can be started again.
type Server struct {
	args  []string
	ready func() error

	mu     sync.Mutex // guards what follows, and is held while the process starts or ends
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
	killed bool          // by Kill
	output bytes.Buffer
}

// Start starts a server and waits until ready returns nil. The process ends with the test.
func Start(t testing.TB, ready func() error, args ...string) *Server {
	t.Helper()
	s := &Server{args: args, ready: ready}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Run starts the process again after Kill, and waits until it is ready. One that ends by
// itself, as when something had its port, is started again.
func (s *Server) Run() error {
	if err := s.start(); err != nil {
		return err
	}
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = s.ready(); err == nil {
			return nil
		}
		if err := s.startIfEnded(); err != nil {
			return err
		}
	}
	s.Kill()
	return fmt.Errorf("%s isn't ready: %w\n%s", s.args[0], err, &s.output)
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output.Reset()
	cmd, ended := exec.Command(s.args[0], s.args[1:]...), make(chan struct{})
	cmd.Stdout, cmd.Stderr = &s.output, &s.output
	dieWithParent(cmd)
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		cmd.Wait()
		close(ended)
	}()
	s.cmd, s.ended, s.killed = cmd, ended, false
	return nil
}

func (s *Server) startIfEnded() error {
	s.mu.Lock()
	ended, killed := s.ended, s.killed
	s.mu.Unlock()
	select {
	case <-ended:
	default:
		return nil
	}
	if killed {
		return errors.New(s.args[0] + " was killed")
	}
	time.Sleep(100 * time.Millisecond)
	return s.start()
}

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	s.cmd.Process.Kill()
	<-s.ended
}
