package sqlstore_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

var kills = flag.Int("kills", 5, "how often tests kill each server")

// TestServerKilled kills servers with SIGKILL while several write, and starts them
// again on the same data. (It can't tell whether anything was flushed: the operating
// system outlives them.)
func TestServerKilled(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]*kind{"PostgreSQL": postgres, "MySQL": mysql} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := k.start(t)
			to := target{dialect: server.dialect, source: server.source, table: "killed"}
			s := to.open(t)
			require.NoError(t, s.CreateTable(ctx))

			stop := make(chan struct{})
			var wg sync.WaitGroup
			var acknowledged, doubted atomic.Int64
			for i := range 4 {
				w := writer{s: s, key: fmt.Sprint("key ", i), acknowledged: &acknowledged, doubted: &doubted}
				wg.Go(func() { w.run(t, stop) })
			}
			for range *kills {
				time.Sleep(50*time.Millisecond + rand.N(150*time.Millisecond))
				server.kill()
				if !assert.NoError(t, server.start()) {
					break
				}
			}
			before := acknowledged.Load()
			deadline := time.Now().Add(20 * time.Second)
			for acknowledged.Load() < before+20 && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
			close(stop)
			wg.Wait()
			assert.GreaterOrEqual(t, acknowledged.Load(), before+20, "writes after the last restart")
			t.Logf("%d kills; %d writes were acknowledged, %d were in doubt", *kills, acknowledged.Load(), doubted.Load())
		})
	}
}

// writer counts up under one key that is its own, and knows what it may find there.
type writer struct {
	s                     storage.Store
	key                   string
	acknowledged, doubted *atomic.Int64
}

func (w writer) run(t *testing.T, stop <-chan struct{}) {
	var last, tried int // the last number that was acknowledged, and that was sent
	var v storage.Version
	known := true // the record is as this writer left it
	for {
		select {
		case <-stop:
			return
		default:
		}
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		if !known {
			value, found, err := w.s.Get(short, w.key)
			n := 0
			switch {
			case err == nil:
				n, err = strconv.Atoi(string(value))
			case errors.Is(err, storage.ErrNotFound):
				err = nil
			}
			if err != nil {
				cancel()
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if !assert.True(t, last <= n && n <= tried, "%s holds %d; %d was acknowledged, %d was sent", w.key, n, last, tried) {
				cancel()
				return
			}
			last, v, known = n, found, true
		}
		tried++
		next, err := w.s.Put(short, w.key, []byte(strconv.Itoa(tried)), v)
		cancel()
		switch {
		case err == nil:
			last, v = tried, next
			w.acknowledged.Add(1)
			if rand.IntN(4) == 0 {
				known = false // have a look
			}
		case errors.Is(err, storage.ErrConflict):
			// Right only if a write in doubt took effect after the last look. It is
			// gone with its server, as each was started anew before it answered.
			assert.Fail(t, "a conflict without anyone to conflict with")
			return
		default:
			known = false
			w.doubted.Add(1)
		}
	}
}

// writes replaces a record for as long as the process lives, and prints the number
// of each write that was acknowledged.
func writes(to target) error {
	s, err := to.store()
	if err != nil {
		return err
	}
	value, v, err := s.Get(ctx, "key")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(value[:10]))
	if err != nil {
		return err
	}
	for {
		n++
		v, err = s.Put(ctx, "key", numbered(n), v)
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

// numbered returns a value of several pages that says its number, again and again.
func numbered(n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%010d", n), 100+n%1000))
}

// TestSQLiteWriterKilled is TestServerKilled where the process that writes is also
// the one that keeps the data.
func TestSQLiteWriterKilled(t *testing.T) {
	t.Parallel()
	to := newSQLite(t)
	s := to.open(t)
	mustPut(t, s, "key", string(numbered(0)), "")
	acknowledged, inFlight := 0, 0
	for round := range 4 * *kills {
		cmd := child(t, "write", to)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewReader(out)
		last := acknowledged
		read := func() error {
			line, err := lines.ReadString('\n')
			if err == nil {
				last, err = strconv.Atoi(strings.TrimSpace(line))
			}
			return err
		}
		for range 1 + rand.N(4) {
			require.NoError(t, read())
		}
		time.Sleep(rand.N(5 * time.Millisecond))
		require.NoError(t, cmd.Process.Kill())
		for err == nil { // what it had printed by then
			err = read()
		}
		require.ErrorIs(t, err, io.EOF)
		cmd.Wait()

		value, _, err := s.Get(ctx, "key")
		require.NoError(t, err, "kill %d", round)
		n, err := strconv.Atoi(string(value[:10]))
		require.NoError(t, err, "kill %d", round)
		require.Equal(t, string(numbered(n)), string(value), "kill %d: the record isn't whole", round)
		require.GreaterOrEqual(t, n, last, "kill %d: an acknowledged write is gone", round)
		require.LessOrEqual(t, n, last+1, "kill %d: more was written than was asked for", round)
		if n > last {
			inFlight++
		}
		acknowledged = n
	}
	t.Logf("%d writes; %d kills, %d of them between a write and its acknowledgement", acknowledged, 4**kills, inFlight)
}
