package testenv

import (
	"bufio"
	"io"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcessEndsWithItsInput(t *testing.T) {
	p := StartProcess(t, processVariable+"=echo")
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
	p := StartProcess(t, processVariable+"=echo")
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
	p := StartProcess(t, processVariable+"=fail")
	err := p.Wait()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.ExitCode())
	require.ErrorContains(t, err, "the reason")
	out, err := io.ReadAll(p.Stdout)
	require.NoError(t, err)
	require.Equal(t, "some output\n", string(out))
}

func TestRunTests(t *testing.T) {
	out, err := RunTests(t, []string{"-test.run=^TestKilled", "-test.v"})
	require.NoError(t, err, out)
	require.Contains(t, out, "--- PASS: TestKilledProcessHasEnded")
	out, err = RunTests(t, nil, processVariable+"=fail")
	require.Error(t, err)
	require.Contains(t, out, "the reason")
}
