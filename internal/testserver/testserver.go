// Package testserver runs the servers that tests of the stores need, as processes of
// their own that a test kills and stops.
package testserver

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
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

// Run starts the process again after Kill, and waits until it is ready.
func (s *Server) Run() error {
	if err := s.start(); err != nil {
		return err
	}
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = s.ready(); err == nil {
			return nil
		}
	}
	s.Kill()
	return fmt.Errorf("%s isn't ready: %w\n%s", s.args[0], err, &s.output)
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output.Reset()
	s.cmd = exec.Command(s.args[0], s.args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	dieWithParent(s.cmd)
	return s.cmd.Start()
}

// Kill ends the process at once, as a crash does.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

var ports struct {
	sync.Mutex
	given map[int]bool
}

// Addr returns an address of loopback whose port is free, and below those that
// connections get, which could take it while its server is dead.
func Addr(t testing.TB) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = make(map[int]bool)
	}
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", addr); err == nil && !ports.given[port] {
			l.Close()
			ports.given[port] = true
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}
