package testenv

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAServerIsKilledAndStartedAgain(t *testing.T) {
	addr := Addr(t)
	require.NotEqual(t, addr, Addr(t))
	t.Setenv(addrVariable, addr)
	dial := func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	s := StartServer(t, dial, os.Args[0])
	s.Kill()
	require.Error(t, dial())
	require.NoError(t, s.Run())
	require.NoError(t, dial())
}

func TestAServerWhosePortIsTakenIsStartedAgain(t *testing.T) {
	addr := Addr(t)
	t.Setenv(addrVariable, addr)
	taken, err := net.Listen("tcp", addr)
	require.NoError(t, err)
	starts := 0
	StartServer(t, func() error {
		if starts++; starts < 4 {
			return errors.New("it can't be")
		}
		taken.Close()
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}, os.Args[0])

	ended := NewServer(func() error { return errors.New("never") }, func() *exec.Cmd { return exec.Command(os.Args[0]) })
	require.NoError(t, ended.start(false))
	ended.Kill()
	require.Equal(t, errKilled, ended.startIfEnded(0), "what a test killed stays dead")
}

func TestASupervisedServerIsStartedAgain(t *testing.T) {
	addr := Addr(t)
	t.Setenv(addrVariable, addr)
	answers := func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err
	}
	s := StartServer(t, answers, os.Args[0])
	cmd, ended := s.cmd, s.ended
	s.Supervise()
	cmd.Process.Kill() // not by Kill
	<-ended
	require.Eventually(t, func() bool { return answers() == nil }, 5*time.Second, time.Millisecond)
	s.Stop()
	require.Error(t, answers())
}

func TestMeanwhileEndsWithTheTest(t *testing.T) {
	failed := errors.New("failed")
	for name, test := range map[string]struct {
		err  error
		want int
	}{"all": {nil, 3}, "failed": {failed, 1}} {
		said, calls := &fake{TB: t}, make(chan int, 4)
		Meanwhile(said, 3, time.Millisecond, func() error {
			calls <- 1
			return test.err
		})
		Meanwhile(said, 3, time.Hour, func() error { panic("the test has ended") })
		require.Eventually(t, func() bool { return len(calls) == test.want }, 5*time.Second, time.Millisecond, name)
		said.cleanUp()
		require.Len(t, calls, test.want, name)
		require.Equal(t, test.err, said.err, name)
	}
}

func TestNoTwoProcessesGetOnePort(t *testing.T) {
	block.Lock()
	defer block.Unlock()
	next, end, guards := block.next, block.end, block.guards
	defer func() {
		for _, l := range block.guards {
			l.Close()
		}
		block.next, block.end, block.guards = next, end, guards
	}()
	block.guards = nil
	const from, below = lastPort, lastPort + 5*blockSize // where nobody else takes any
	given := make(map[int]bool)
	for takeBlock(from, below) {
		require.False(t, given[block.next])
		given[block.next] = true
		require.Equal(t, block.next+blockSize-1, block.end)
	}
	require.Greater(t, len(given), 2)
	block.guards[1].Close() // as the end of a process does
	require.True(t, takeBlock(from, below))
}

func TestAMissingProgramSkipsLocallyAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("CI", ci)
			said := &fake{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				FindProgram(said, "no such program", "do something")
			}()
			<-done
			require.Equal(t, want+": no such program isn't installed: do something", said.what)
		})
	}
}

// fake is a test that notes how it ended.
type fake struct {
	testing.TB
	what     string
	err      error
	cleanups []func()
}

func (f *fake) Error(args ...any)   { f.err = args[0].(error) }
func (f *fake) Cleanup(done func()) { f.cleanups = append(f.cleanups, done) }

func (f *fake) cleanUp() {
	for _, done := range f.cleanups {
		done()
	}
}

func (f *fake) Fatal(args ...any) { f.end("failed", args[0].(string)) }
func (f *fake) Skip(args ...any)  { f.end("skipped", args[0].(string)) }

func (f *fake) end(how, why string) {
	f.what = how + ": " + why
	runtime.Goexit()
}
