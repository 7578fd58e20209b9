package testprocess

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

const variable = "OAUTH2KEEP_TESTPROCESS"

func TestMain(m *testing.M) {
	switch os.Getenv(variable) {
	case "echo":
		fmt.Println("ready")
		io.Copy(os.Stdout, os.Stdin)
		os.Exit(0)
	case "fail":
		fmt.Println("some output")
		fmt.Fprintln(os.Stderr, "the reason")
		os.Exit(3)
	}
	os.Exit(m.Run())
}

func TestProcessEndsWithItsInput(t *testing.T) {
	p := Start(t, variable+"=echo")
	out := bufio.NewReader(p.Stdout)
	for _, want := range []string{"ready\n", "one\n", "two\n"} {
		line, err := out.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
		switch want {
		case "ready\n":
			io.WriteString(p.Stdin, "one\n")
		case "one\n":
			io.WriteString(p.Stdin, "two\n")
			p.Stdin.Close()
			require.NoError(t, p.Wait()) // and the rest is still there to be read
		}
	}
	_, err := out.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

func TestKilledProcessHasEnded(t *testing.T) {
	p := Start(t, variable+"=echo")
	select {
	case <-p.Ended():
		t.Fatal("it ended by itself")
	default:
	}
	p.Kill()
	<-p.Ended()
	require.Error(t, p.Wait())
	p.Kill() // does nothing
}

func TestFailedProcessSaysWhy(t *testing.T) {
	p := Start(t, variable+"=fail")
	err := p.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.ErrorContains(t, err, "the reason")
	out, err := io.ReadAll(p.Stdout)
	require.NoError(t, err)
	require.Equal(t, "some output\n", string(out))
}

func TestTestRunsTests(t *testing.T) {
	out, err := Test(t, []string{"-test.run=^TestKilled", "-test.v"})
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestKilledProcessHasEnded")
	out, err = Test(t, nil, variable+"=fail")
	require.Error(t, err)
	require.Contains(t, out, "the reason")
}
