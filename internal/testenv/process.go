package testenv

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Process is this program, started again. Its methods may be called concurrently.
type Process struct {
	Stdin  io.WriteCloser
	Stdout io.Reader // what has been written can be read after the process has ended, too

	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan struct{} // closed when the rest may be read
	err    error
}

// StartProcess runs this program again, without arguments. env, each "NAME=value", is added
// to its environment, by which it must find out in TestMain, before it runs any test, what
// it is to do. A process that still runs when the test ends is killed.
func StartProcess(t testing.TB, env ...string) *Process {
	t.Helper()
	p := &Process{cmd: command(t, nil, env), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	// Not StdoutPipe, which Wait would close under its reader.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdin, p.Stdout, p.cmd.Stdout = in, r, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Kill()
		r.Close()
	})
	return p
}

// Kill ends the process at once, as SIGKILL does, and returns when it has ended.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.ended
}

// Ended returns a channel that is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Wait returns when the process has ended. The error is nil if its exit status is 0, and
// otherwise has what it wrote to its standard error.
func (p *Process) Wait() error {
	<-p.ended
	if p.err != nil {
		return fmt.Errorf("a process of this test ended: %w\n%s", p.err, p.stderr.Bytes())
	}
	return nil
}

// RunTests runs this program again with arguments, such as -test.run=^TestFault$, and
// returns what it printed.
func RunTests(t testing.TB, args []string, env ...string) (out string, err error) {
	t.Helper()
	b, err := command(t, args, env).CombinedOutput()
	return string(b), err
}

// InFIPSMode is RunTests in a process where Go refuses what FIPS 140-3 doesn't approve. It
// returns what is printed there by tests that have passed. Where the build has no such mode,
// the test is skipped, or fails if CI is true.
func InFIPSMode(t testing.TB, args []string, env ...string) (out string) {
	t.Helper()
	out, err := RunTests(t, args, append(env, "GODEBUG=fips140=only")...)
	if strings.Contains(out, "panic: fips140:") && os.Getenv("CI") != "true" {
		t.Skipf("this build has no FIPS 140 mode: %s", out)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

func command(t testing.TB, args, env []string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}
