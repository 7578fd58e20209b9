package mcpauth_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource/mcpauth"
)

var soak = flag.Duration("mcpauth.soak", 3*time.Second, "how long five processes use one credential")

// childVariable holds, in a process that a test has started, what it is to do.
const childVariable = "OAUTH2KEEP_MCPAUTH_CHILD"

// work is what a process does: calls by several sessions at once, each over a connection of
// its own, for as long as it lasts.
type work struct {
	Server   string
	Store    string
	Key      string // base64
	Sessions int
	For      time.Duration
	Pause    time.Duration // between two calls of a session
}

// outcome is what came of it.
type outcome struct {
	Calls  int64
	Failed []string
}

// child does the work of a process, and doesn't return.
func child() {
	var w work
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &w); err != nil {
		panic(err)
	}
	key, err := base64.StdEncoding.DecodeString(w.Key)
	if err != nil {
		panic(err)
	}
	keys, err := storage.NewKeyset(key)
	if err != nil {
		panic(err)
	}
	dir, err := storage.OpenDir(w.Store)
	if err != nil {
		panic(err)
	}
	h := handler(w.Server, storage.Encrypt(dir, keys))
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n') // all begin at once
	out := w.do(h)
	if err := h.Flush(ctx); err != nil {
		out.Failed = append(out.Failed, err.Error())
	}
	json.NewEncoder(os.Stdout).Encode(out)
	os.Exit(0)
}

func (w work) do(h *mcpauth.Handler) outcome {
	var out outcome
	var mu sync.Mutex
	var calls atomic.Int64
	failed := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		out.Failed = append(out.Failed, err.Error())
	}
	end := time.Now().Add(w.For)
	var all sync.WaitGroup
	for range w.Sessions {
		all.Go(func() {
			session, err := connect(h)
			if err != nil {
				failed(err)
				return
			}
			defer session.Close()
			for first := true; first || time.Now().Before(end); first = false {
				calls.Add(1)
				if err := greet(session); err != nil {
					failed(fmt.Errorf("at %s: %w", time.Now().Format(time.StampMilli), err))
					return // the session may be over
				}
				time.Sleep(w.Pause)
			}
		})
	}
	all.Wait()
	out.Calls = calls.Load()
	return out
}

func skipIfShort(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes: runs without -short")
	}
}

// fleet has so many processes work at once, and returns what came of it in all.
func fleet(t *testing.T, processes int, w work) outcome {
	data, err := json.Marshal(w)
	require.NoError(t, err)
	type started struct {
		*testenv.Process
		out *bufio.Reader
	}
	var all []started
	for range processes {
		p := testenv.StartProcess(t, childVariable+"="+string(data))
		all = append(all, started{p, bufio.NewReader(p.Stdout)})
	}
	for _, p := range all {
		_, err := p.out.ReadString('\n')
		require.NoError(t, err)
	}
	for _, p := range all {
		fmt.Fprintln(p.Stdin, "go")
	}
	var sum outcome
	for _, p := range all {
		var out outcome
		require.NoError(t, json.NewDecoder(p.out).Decode(&out))
		require.NoError(t, p.Wait())
		sum.Calls += out.Calls
		sum.Failed = append(sum.Failed, out.Failed...)
	}
	return sum
}

// Five processes begin without anything, use one credential whose refresh token is
// rotated every few seconds, and end: the user consents once, nothing is sent twice, and
// no call fails.
func TestFiveProcessesUseOneCredential(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	as := newIssuer(t)
	as.life = max(2*time.Second, *soak/15)
	s := newServer(t, as)
	key := storage.NewKey()
	w := work{Server: s.endpoint, Store: testenv.DirInMemory(t), Key: base64.StdEncoding.EncodeToString(key), Sessions: 3, For: *soak, Pause: 80 * time.Millisecond}
	if *soak >= time.Minute {
		w.Pause = *soak / 3000
	}
	out := fleet(t, 5, w)
	consents, registrations, refreshes, reused := as.counts()
	t.Logf("%d calls in %v, %d consents, %d registrations, %d refreshes, %d tokens reused", out.Calls, *soak, consents, registrations, refreshes, reused)
	assert.Empty(t, slices.Compact(out.Failed))
	assert.Equal(t, []int{1, 1, 0}, []int{consents, registrations, reused})
	assert.GreaterOrEqual(t, refreshes, int(*soak/as.life))
	assert.LessOrEqual(t, refreshes, int(2**soak/as.life)+1, "one for each expiry, a little earlier")
}

// The grant ends while five processes use it: the user is asked in one of them.
func TestFiveProcessesAskOnce(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	as := newIssuer(t)
	s := newServer(t, as)
	key := storage.NewKey()
	w := work{Server: s.endpoint, Store: testenv.DirInMemory(t), Key: base64.StdEncoding.EncodeToString(key), Sessions: 2, For: time.Second / 2, Pause: 10 * time.Millisecond}
	require.NoError(t, call(handler(s.endpoint, openStore(t, w.Store, key))))
	ends := time.AfterFunc(200*time.Millisecond, as.end)
	defer ends.Stop()
	out := fleet(t, 5, w)
	consents, registrations, _, reused := as.counts()
	assert.Empty(t, slices.Compact(out.Failed))
	assert.Equal(t, []int{2, 1, 0}, []int{consents, registrations, reused})
}
