package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// The tests in this file run this test program again, as processes that share a
// directory. roles are what such a process does instead of testing.
var roles = map[string]func(path string) error{
	"increment": increments,
	"exclude":   excludes,
	"hold":      holds,
	"write":     writes,
}

const roleVariable = "OAUTH2KEEP_STORAGE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := roles[role](os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// child returns a process that hasn't begun yet.
func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, path)
	cmd.Env = append(os.Environ(), roleVariable+"="+role)
	cmd.Stderr = os.Stderr
	return cmd
}

// runAll runs as many processes of a role at the same time.
func runAll(t *testing.T, n int, role, path string) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		cmd := child(t, role, path)
		wg.Go(func() { errs[i] = cmd.Run() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}

const incrementsEach = 25

func increments(path string) error {
	d, err := storage.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	for range incrementsEach {
		for {
			value, v, err := d.Get(ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return err
			}
			_, err = d.Put(ctx, "counter", []byte(strconv.Itoa(n+1)), v)
			if err == nil {
				break
			}
			if !errors.Is(err, storage.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

func TestDirLosesNoUpdateOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := openDir(t, path)
	mustPut(t, d, "counter", "0", "")
	const processes = 8
	runAll(t, processes, "increment", path)
	value, _, err := d.Get(ctx, "counter")
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(processes*incrementsEach), string(value))
}

func excludes(path string) error {
	d, err := storage.OpenDir(path)
	if err != nil {
		return err
	}
	defer d.Close()
	for range 20 {
		unlock, err := d.Lock(ctx, "key")
		if err != nil {
			return err
		}
		// The file system knows who else is here.
		marker := filepath.Join(path, "marker")
		f, err := os.OpenFile(marker, os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("another process has the lock: %w", err)
		}
		f.Close()
		time.Sleep(time.Millisecond)
		if err := os.Remove(marker); err != nil {
			return err
		}
		unlock()
	}
	return nil
}

func TestDirLockExcludesProcesses(t *testing.T) {
	t.Parallel()
	runAll(t, 5, "exclude", t.TempDir())
}

func holds(path string) error {
	d, err := storage.OpenDir(path)
	if err != nil {
		return err
	}
	unlock, err := d.Lock(ctx, "key")
	if err != nil {
		return err
	}
	defer unlock()
	fmt.Println("locked")
	time.Sleep(time.Hour)
	return errors.New("nobody killed this process")
}

func TestDirLockOfAKilledProcessIsFree(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	d := openDir(t, path)
	for range 3 {
		holder := child(t, "hold", path)
		out, err := holder.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, holder.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "locked\n", line)

		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err = d.Lock(short, "key")
		cancel()
		require.Equal(t, context.DeadlineExceeded, err)
		mustPut(t, d, "key", "value", versionIn(t, d, "key")) // no one waits for a lock to write

		waiter := make(chan error, 1)
		go func() {
			unlock, err := d.Lock(ctx, "key")
			if err == nil {
				unlock()
			}
			waiter <- err
		}()
		require.NoError(t, holder.Process.Kill())
		holder.Wait()
		select {
		case err := <-waiter:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			t.Fatal("a killed process still has its lock")
		}
	}
}

func versionIn(t *testing.T, s storage.Store, key string) storage.Version {
	_, v, err := s.Get(ctx, key)
	if !errors.Is(err, storage.ErrNotFound) {
		require.NoError(t, err)
	}
	return v
}

// pattern returns a value that says its number, and all of which depends on that.
func pattern(n uint64) []byte {
	size := 16 + n*7919%60_000
	b := make([]byte, 0, size+8)
	for i := uint64(0); uint64(len(b)) < size; i++ {
		b = binary.BigEndian.AppendUint64(b, n+i<<32)
	}
	return b
}

// number is the inverse of pattern, and fails if the value isn't a whole one.
func number(value []byte) (uint64, error) {
	if len(value) < 8 {
		return 0, errors.New("the value is too short")
	}
	n := binary.BigEndian.Uint64(value)
	if !bytes.Equal(value, pattern(n)) {
		return 0, errors.New("the value isn't whole")
	}
	return n, nil
}

// writes replaces a record for as long as the process lives, and prints the number
// of each write that was acknowledged.
func writes(path string) error {
	d, err := storage.OpenDir(path)
	if err != nil {
		return err
	}
	value, v, err := d.Get(ctx, "key")
	if err != nil {
		return err
	}
	n, err := number(value)
	if err != nil {
		return err
	}
	for {
		n++
		v, err = d.Put(ctx, "key", pattern(n), v)
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// TestDirSurvivesKill kills writers at random moments. Whatever was being written,
// the record is a whole one, and no older than the last that was acknowledged. (It
// can't tell whether anything was flushed: the operating system outlives them.)
func TestDirSurvivesKill(t *testing.T) {
	t.Parallel()
	const kills = 60
	path := t.TempDir()
	d := openDir(t, path)
	mustPut(t, d, "key", string(pattern(0)), "")
	mustPut(t, d, "beside", "value", "")
	var acknowledged, inFlight, left uint64
	for round := range kills {
		writer := child(t, "write", path)
		out, err := writer.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, writer.Start())
		lines := bufio.NewReader(out)
		last := acknowledged
		read := func() error {
			line, err := lines.ReadString('\n')
			if err == nil {
				last, err = strconv.ParseUint(strings.TrimSpace(line), 10, 64)
			}
			return err
		}
		for range rand.N(4) {
			require.NoError(t, read())
		}
		time.Sleep(rand.N(3 * time.Millisecond))
		require.NoError(t, writer.Process.Kill())
		for err == nil { // what it had printed by then
			err = read()
		}
		require.ErrorIs(t, err, io.EOF)
		writer.Wait()

		value, _, err := d.Get(ctx, "key")
		require.NoError(t, err, "kill %d", round)
		n, err := number(value)
		require.NoError(t, err, "kill %d", round)
		require.GreaterOrEqual(t, n, last, "kill %d: an acknowledged write is gone", round)
		require.LessOrEqual(t, n, last+1, "kill %d: more was written than was asked for", round)
		if n > last {
			inFlight++
		}
		acknowledged = n
		entries, err := os.ReadDir(filepath.Join(path, "tmp"))
		require.NoError(t, err)
		left += uint64(len(entries))
	}
	t.Logf("%d writes; %d kills, %d of them between a write and its acknowledgement, %d with a temporary file left", acknowledged, kills, inFlight, left)
	require.NotZero(t, acknowledged)

	again := openDir(t, path) // which sweeps
	require.Len(t, recordFiles(t, path), 2)
	mustPut(t, again, "key", "another value", versionIn(t, again, "key"))
	value, _, err := d.Get(ctx, "beside")
	require.NoError(t, err)
	require.Equal(t, "value", string(value))
}
