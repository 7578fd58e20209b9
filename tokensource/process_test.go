package tokensource_test

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

var expiries = flag.Int("expiries", 200, "how many tokens TestProcesses lets expire")

const (
	processes   = 8
	goroutines  = 64 // in each process
	connections = 16
	tokenLife   = 3 * time.Second
)

// TestProcesses has 8 processes with 64 goroutines each call an API for the same
// connections, from one directory, while tokens expire all the time; and the same
// with processes that are killed at random moments and started again. The provider
// rotates refresh tokens and ends the grant if a spent one comes back.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; run without -short")
	}
	for _, tt := range []struct {
		name  string
		kill  bool
		grace time.Duration
	}{
		{name: "undisturbed"},
		{name: "killed", kill: true},
		{name: "killed, with a grace window", kill: true, grace: 30 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, tt.grace)
			kills, lost := f.run(t, tt.kill)
			stats := f.server.Stats(endpoints.TaxRock)
			t.Logf("%d refreshes, %d posts, %d reused, %d repeated in the grace window, %d API calls, %d refused, %d failed; %d kills, %d grants lost: %v",
				stats.Refreshed-stats.Graced, stats.RefreshRequests, stats.Reused, stats.Graced, stats.APIAnswered, stats.APIRefused, f.failed.Load(), kills, len(lost), lost)
			assert.GreaterOrEqual(t, stats.Refreshed, *expiries)
			for _, reason := range lost {
				assert.Equal(t, tokensource.ReasonResponseLost, reason)
			}
			switch {
			case !tt.kill:
				assert.Equal(t, stats.Refreshed, stats.RefreshRequests, "one post for each expiry")
				assert.Zero(t, stats.Reused)
				assert.Zero(t, f.failed.Load(), "API calls failed")
				assert.Empty(t, lost)
			case tt.grace > 0:
				assert.Empty(t, lost)
				assert.Zero(t, stats.Reused)
				assert.Positive(t, kills)
			default:
				assert.LessOrEqual(t, len(lost), kills)
				assert.Positive(t, kills)
			}
		})
	}
}

// fleet is a directory, a provider, and the processes that use both.
type fleet struct {
	dir     string
	key     string
	server  *endpointstest.Server
	client  oauth2.Config
	manager *tokensource.Manager // the parent's, which logs in again
	failed  atomic.Int64         // calls
}

func newFleet(t *testing.T, grace time.Duration) *fleet {
	f := &fleet{dir: t.TempDir(), server: endpointstest.New(t)}
	policy := f.server.Policy(endpoints.TaxRock)
	policy.AccessLifetime, policy.Rotate, policy.Grace = tokenLife, true, grace
	f.server.SetPolicy(endpoints.TaxRock, policy)
	f.client = f.server.Config(endpoints.TaxRock, "http://localhost/callback")
	key := storage.NewKey()
	f.key = base64.StdEncoding.EncodeToString(key)
	f.manager = open(t, f.dir, key, f.server.Provider(endpoints.TaxRock), f.client)
	for i := range connections {
		f.login(t, i)
	}
	return f
}

func open(t *testing.T, path string, key []byte, p endpoints.Provider, client oauth2.Config) *tokensource.Manager {
	keys, err := storage.NewKeyring(key)
	require.NoError(t, err)
	dir, err := storage.OpenDir(path)
	require.NoError(t, err)
	t.Cleanup(func() { dir.Close() })
	return &tokensource.Manager{Config: p.Config(client), Store: storage.Encrypt(dir, keys)}
}

func connection(i int) string { return fmt.Sprint("connection ", i) }

func (f *fleet) login(t *testing.T, i int) {
	token := f.server.Connect(endpoints.TaxRock, "offline_access", "read:client-accounts")
	require.NoError(t, f.manager.Save(context.Background(), connection(i), token))
}

// run lets the fleet work until enough tokens have expired. It returns how many
// processes were killed, and why grants were lost.
func (f *fleet) run(t *testing.T, kill bool) (kills int, lost []tokensource.Reason) {
	var wg sync.WaitGroup
	stopped := make(chan struct{})
	victims := make([]chan struct{}, processes)
	for i := range victims {
		victims[i] = make(chan struct{})
		wg.Go(func() { f.slot(t, victims[i], stopped) })
	}
	deadline := time.Now().Add(5 * time.Minute)
	for f.server.Stats(endpoints.TaxRock).Refreshed < *expiries && time.Now().Before(deadline) {
		time.Sleep(100 * time.Millisecond)
		if kill && rand.IntN(2) == 0 {
			victims[rand.IntN(processes)] <- struct{}{}
			kills++
		}
		for i := range connections {
			st, err := f.manager.Status(context.Background(), connection(i))
			if assert.NoError(t, err) && st.State == tokensource.StateLoginRequired {
				lost = append(lost, st.Reason)
				f.login(t, i)
			}
		}
	}
	close(stopped)
	wg.Wait()
	return kills, lost
}

// slot runs a process, and another when it is killed, until stopped is closed.
func (f *fleet) slot(t *testing.T, kill, stopped <-chan struct{}) {
	for {
		p := f.server.Provider(endpoints.TaxRock)
		cmd := exec.Command(os.Args[0], "-test.run=^TestChildProcess$", "-test.v")
		cmd.Env = append(os.Environ(), "OAUTH2KEEP_CHILD=1", "CHILD_DIR="+f.dir, "CHILD_KEY="+f.key,
			"CHILD_TOKEN_URL="+p.Endpoint.TokenURL, "CHILD_API_URL="+p.APIURL,
			"CHILD_ID="+f.client.ClientID, "CHILD_SECRET="+f.client.ClientSecret)
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		select {
		case <-kill:
			cmd.Process.Kill()
			cmd.Wait()
			continue
		case <-stopped:
		}
		stdin.Close()
		err = cmd.Wait()
		var calls, failed int64
		_, line, ok := strings.Cut(out.String(), "CHILD: ")
		if assert.NoError(t, err, out.String()) && assert.True(t, ok, out.String()) {
			_, err := fmt.Sscanf(line, "%d calls, %d failed", &calls, &failed)
			assert.NoError(t, err)
			f.failed.Add(failed)
			if failed > 0 {
				t.Log(line)
			}
		}
		return
	}
}

// TestChildProcess is a process of TestProcesses. It ends when its standard input
// does.
func TestChildProcess(t *testing.T) {
	if os.Getenv("OAUTH2KEEP_CHILD") == "" {
		t.Skip("it is run by TestProcesses")
	}
	key, err := storage.ParseKey(os.Getenv("CHILD_KEY"))
	require.NoError(t, err)
	p := endpoints.TaxRock
	p.Endpoint.TokenURL, p.APIURL = os.Getenv("CHILD_TOKEN_URL"), os.Getenv("CHILD_API_URL")
	m := open(t, os.Getenv("CHILD_DIR"), key, p, oauth2.Config{ClientID: os.Getenv("CHILD_ID"), ClientSecret: os.Getenv("CHILD_SECRET")})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var calls, failed atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			client := m.Client(connection(i % connections))
			for ctx.Err() == nil {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
				calls.Add(1)
				if err := call(client, p.APIURL+"/client-accounts"); err != nil && !errors.Is(err, tokensource.ErrLoginRequired) {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	flush, done := context.WithTimeout(context.Background(), time.Minute)
	defer done()
	require.NoError(t, m.Flush(flush))
	why := ""
	if e := first.Load(); e != nil {
		why = (*e).Error()
	}
	fmt.Printf("CHILD: %d calls, %d failed %s\n", calls.Load(), failed.Load(), why)
}

func call(client *http.Client, url string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}
