package storagetest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
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
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			fmt.Println(l.Addr())
			go serve(s, l)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	io.Copy(io.Discard, os.Stdin) // until its parent closes it, or ends
	os.Exit(0)
}

// Process is a store in another process. It is a [storage.Locker] and a
// [storage.Lister] if that is.
type Process struct {
	*remote
	process *testenv.Process
	killed  atomic.Bool
}

// StartProcess runs the test program again, as a process that opens the store in the
// place that at names, in whatever way the function that the program gives to [Child]
// understands. The process ends with the test.
func StartProcess(t *testing.T, at string) *Process {
	t.Helper()
	p := &Process{process: testenv.StartProcess(t, atVariable+"="+at)}
	t.Cleanup(func() {
		p.process.Stdin.Close()
		if err := p.process.Wait(); err != nil && !p.killed.Load() {
			t.Error(err)
		}
	})
	addr, err := bufio.NewReader(p.process.Stdout).ReadString('\n')
	if err != nil {
		t.Fatal("the process didn't open its store")
	}
	p.remote = &remote{addr: strings.TrimSpace(addr)}
	return p
}

// Kill ends the process at once, as SIGKILL does, and returns when it has ended and
// every call of its store has returned.
func (p *Process) Kill() {
	p.killed.Store(true)
	p.process.Kill()
	p.calls.Lock()
	defer p.calls.Unlock()
}
