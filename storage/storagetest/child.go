package storagetest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/oauth2keep/oauth2keep/storage"
)

// atVariable tells a process that it is a child, and where its store is.
const atVariable = "OAUTH2KEEP_STORAGETEST_AT"

// Child doesn't return in a process that [StartProcess] started. A package whose tests
// do that calls it in TestMain, with a function that opens the store that is in the
// place that StartProcess was told:
//
//	func TestMain(m *testing.M) {
//		storagetest.Child(func(at string) (storage.Store, error) { return mystore.Open(at) })
//		os.Exit(m.Run())
//	}
func Child(open func(at string) (storage.Store, error)) {
	at, ok := os.LookupEnv(atVariable)
	if !ok {
		return
	}
	s, err := open(at)
	if err == nil {
		err = serve(s, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Process is a store in another process. It is a [storage.Locker] and a
// [storage.Lister] if that is.
type Process struct {
	*remote
	cmd    *exec.Cmd
	killed atomic.Bool
	stderr bytes.Buffer
	wait   func() error // until the process has ended
}

// StartProcess runs the test program again, as a process that opens the store in the
// place that at names, in whatever way the function that the program gives to [Child]
// understands. The process ends with the test.
func StartProcess(t *testing.T, at string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{cmd: exec.Command(self)}
	p.cmd.Env = append(os.Environ(), atVariable+"="+at)
	p.cmd.Stderr = &p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.remote = newRemote(out, in)
	p.wait = sync.OnceValue(func() error {
		<-p.over // before that, Wait would close the pipe under its reader
		return p.cmd.Wait()
	})
	t.Cleanup(func() {
		in.Close()
		if err := p.wait(); err != nil && !p.killed.Load() {
			t.Errorf("the process with the store: %v: %s", err, &p.stderr)
		}
	})
	return p
}

// Kill ends the process at once, as SIGKILL does, and returns when it has.
func (p *Process) Kill() {
	p.killed.Store(true)
	p.cmd.Process.Kill()
	p.wait()
}
