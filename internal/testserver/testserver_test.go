package testserver

import (
	"net"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

const addrVariable = "OAUTH2KEEP_TESTSERVER_ADDR"

// TestMain is the server, if the environment has an address.
func TestMain(m *testing.M) {
	if addr := os.Getenv(addrVariable); addr != "" {
		if l, err := net.Listen("tcp", addr); err == nil {
			for {
				l.Accept()
			}
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

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
	s := Start(t, dial, os.Args[0])
	s.Kill()
	require.Error(t, dial())
	require.NoError(t, s.Run())
	require.NoError(t, dial())
}

func TestAMissingProgramSkipsLocallyAndFailsInCI(t *testing.T) {
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Run(want, func(t *testing.T) {
			t.Setenv("CI", ci)
			said := &fake{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				Find(said, "no such program", "do something")
			}()
			<-done
			require.Equal(t, want+": no such program isn't installed: do something", said.what)
		})
	}
}

// fake is a test that notes how it ended.
type fake struct {
	testing.TB
	what string
}

func (f *fake) Fatal(args ...any) { f.end("failed", args[0].(string)) }
func (f *fake) Skip(args ...any)  { f.end("skipped", args[0].(string)) }

func (f *fake) end(how, why string) {
	f.what = how + ": " + why
	runtime.Goexit()
}
