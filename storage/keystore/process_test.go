package keystore

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// The tests in this file run this test program again. roles are what such a process
// does instead of testing.
var roles = map[string]func(App) error{
	"open":   opens,
	"rotate": rotates,
}

var kills = flag.Int("kills", 0, "how often each test kills a process that changes keys; 0 for 4, or 1 with -short")

const roleVariable = "OAUTH2KEEP_KEYSTORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		flag.Set("test.parallel", "4") // unless told otherwise: tests may wait for disks more than they compute
		os.Exit(m.Run())
	}
	a := App{Name: os.Getenv("CHILD_NAME"), Dir: os.Getenv("CHILD_DIR"), File: os.Getenv("CHILD_FILE") != ""}
	if err := roles[role](a); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process is a child that hasn't ended yet.
type process struct {
	*testenv.Process
	out *bufio.Reader
}

func child(t testing.TB, role string, a App) process {
	t.Helper()
	env := []string{roleVariable + "=" + role, "CHILD_NAME=" + a.Name, "CHILD_DIR=" + a.Dir}
	if a.File {
		env = append(env, "CHILD_FILE=1")
	}
	started := testenv.StartProcess(t, env...)
	p := process{started, bufio.NewReader(started.Stdout)}
	require.Equal(t, "ready", p.line(t))
	return p
}

func (p process) line(t testing.TB) string {
	t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(line)
}

const goroutines = 4 // in each process

// opens waits until its parent lets it go, and prints what its goroutines get.
func opens(a App) error {
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	var wg sync.WaitGroup
	var got [goroutines]string
	var errs [goroutines]error
	for i := range got {
		wg.Go(func() {
			keys, err := a.Open(ctx)
			if errs[i] = err; err == nil {
				got[i] = keys.String()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	fmt.Println(strings.Join(got[:], " "))
	return nil
}

// testFirstKey has processes make the first key at the same time.
func testFirstKey(t *testing.T, a App) {
	t.Helper()
	var children []process
	for range 4 {
		children = append(children, child(t, "open", a))
	}
	for _, c := range children {
		c.Stdin.Close()
	}
	var got []string
	for _, c := range children {
		got = append(got, strings.Fields(c.line(t))...)
		require.NoError(t, c.Wait())
	}
	require.Len(t, got, len(children)*goroutines)
	want := open(t, a).String()
	for _, g := range got {
		require.Equal(t, want, g)
	}
}

func TestProcessesMakeOneKeyInAFile(t *testing.T) {
	t.Parallel()
	rounds := 5
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		testFirstKey(t, newFileApp(t))
	}
}

// rotates changes keys for as long as it lives, and prints what was acknowledged:
// which keys there must be, and one that may be there too or not.
func rotates(a App) error {
	keys, err := a.Open(ctx)
	if err != nil {
		return err
	}
	have := keys.Fingerprints()
	fmt.Println("ready")
	for {
		for len(have) < 4 {
			added, err := a.Add(ctx)
			if err != nil {
				return err
			}
			have = append(have, added)
			fmt.Println(strings.Join(have, " "))
		}
		if _, err := a.MakePrimary(ctx, have[3]); err != nil {
			return err
		}
		have = append([]string{have[3]}, have[:3]...)
		for len(have) > 2 {
			last := have[len(have)-1]
			have = have[:len(have)-1]
			fmt.Println(strings.Join(have, " ")) // before: from now on it can be gone
			if err := a.Remove(ctx, last); err != nil {
				return err
			}
		}
	}
}

// testKill kills processes that change the keys. Whatever they were doing, the keys
// that must be there are.
func testKill(t *testing.T, a App) {
	t.Helper()
	open(t, a)
	times := *kills
	switch {
	case times == 0 && testing.Short():
		times = 1
	case times == 0:
		times = 4
	}
	for range times {
		p := child(t, "rotate", a)
		time.AfterFunc(rand.N(20*time.Millisecond), p.Kill)
		last := open(t, a).Fingerprints()[:0]
		for {
			line, err := p.out.ReadString('\n')
			if err != nil {
				break
			}
			last = strings.Fields(line)
		}
		p.Wait()
		got := open(t, a).Fingerprints()
		assert.Subset(t, got, last)
		for _, name := range got[min(2, len(got)-1):] { // else they become too many
			if len(open(t, a).Fingerprints()) > 2 {
				require.NoError(t, a.Remove(ctx, name))
			}
		}
	}
}

func TestKilledProcessesLoseNoKeyInAFile(t *testing.T) {
	t.Parallel()
	testKill(t, newFileApp(t))
}
