package testenv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// LookProgram returns the path of a program: of the last that matches a pattern of paths,
// or where the environment has one of its name. The error is ErrNotInstalled.
func LookProgram(program string) (string, error) {
	if strings.Contains(program, "/") {
		if found, _ := filepath.Glob(program); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	path, err := exec.LookPath(filepath.Base(program))
	if err != nil {
		return "", ErrNotInstalled
	}
	return path, nil
}

// FindProgram is LookProgram for a test. Where the program isn't installed the test is
// skipped, or fails if the environment has CI=true; install says what to do then.
func FindProgram(t testing.TB, program, install string) string {
	t.Helper()
	path, err := LookProgram(program)
	if err == nil {
		return path
	}
	missing := filepath.Base(program) + " isn't installed: " + install
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

var errKilled = errors.New("the server was killed")

// Server is a process that keeps data in a directory, so that it can be started again.
type Server struct {
	ready   func() error
	command func() *exec.Cmd

	mu     sync.Mutex // guards what follows, and is held while the process starts or ends
	cmd    *exec.Cmd
	ended  chan struct{} // closed when the process has ended
	killed bool          // by Kill or Stop
	output bytes.Buffer
}

// NewServer returns a server that isn't started yet. It is ready when that function returns
// nil; command makes its process.
func NewServer(ready func() error, command func() *exec.Cmd) *Server {
	return &Server{ready: ready, command: command}
}

// StartServer starts a server and waits until ready returns nil. The process ends with the
// test.
func StartServer(t testing.TB, ready func() error, args ...string) *Server {
	t.Helper()
	s := NewServer(ready, func() *exec.Cmd { return exec.Command(args[0], args[1:]...) })
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// Run starts the process, also after Kill, and waits until it is ready. One that ends by
// itself, as when something had its port, is started again.
func (s *Server) Run() error {
	if err := s.start(false); err != nil {
		return err
	}
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = s.ready(); err == nil {
			return nil
		}
		if err := s.startIfEnded(20 * time.Millisecond); err != nil {
			return err
		}
	}
	s.Kill()
	return fmt.Errorf("%s isn't ready: %w\n%s", s.cmd.Path, err, &s.output)
}

// start starts a process, but not again if the last one was killed.
func (s *Server) start(again bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if again && s.killed {
		return errKilled
	}
	s.output.Reset()
	cmd, ended := s.command(), make(chan struct{})
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

// Supervise starts the process again whenever it ends by itself, as an init system does.
func (s *Server) Supervise() {
	go func() {
		for {
			s.mu.Lock()
			ended := s.ended
			s.mu.Unlock()
			<-ended
			if s.startIfEnded(0) != nil {
				return
			}
		}
	}()
}

// startIfEnded starts the process again after a pause, unless it runs.
func (s *Server) startIfEnded(pause time.Duration) error {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	select {
	case <-ended:
		time.Sleep(pause)
		return s.start(true)
	default:
		return nil
	}
}

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
	s.cmd.Process.Kill()
	<-s.ended
}

// Stop asks the process to end, and kills it if it doesn't within a moment.
func (s *Server) Stop() {
	s.mu.Lock()
	s.killed = true
	s.cmd.Process.Signal(os.Interrupt)
	ended := s.ended
	s.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(300 * time.Millisecond):
		s.Kill()
	}
}

// Meanwhile calls do so many times in the background, each after a pause, but not once the
// test has ended. The test fails with an error of it.
func Meanwhile(t testing.TB, times int, pause time.Duration, do func() error) {
	over, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		defer close(stopped)
		for range times {
			select {
			case <-over:
				return
			case <-time.After(pause):
			}
			if err := do(); err != nil {
				stopped <- err
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(over)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}
