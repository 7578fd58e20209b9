package sqlstore_test

import (
	"context"
	"encoding/base64"
	"errors"
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

const (
	processes   = 4
	goroutines  = 16 // in each process
	connections = 8
	tokenLife   = 2 * time.Second
	expiries    = 60
)

// TestRefresh has processes call an API for the same connections, from one table,
// while tokens expire all the time. The provider rotates refresh tokens and ends the
// grant if a spent one comes back.
func TestRefresh(t *testing.T) {
	onEach(t, func(t *testing.T, to target) {
		server := endpointstest.New(t)
		policy := server.Policy(endpoints.TaxRock)
		policy.AccessLifetime, policy.Rotate = tokenLife, true
		server.SetPolicy(endpoints.TaxRock, policy)
		client := server.Config(endpoints.TaxRock, "http://localhost/callback")
		p := server.Provider(endpoints.TaxRock)

		key := storage.NewKey()
		keys, err := storage.NewKeyring(key)
		require.NoError(t, err)
		m := &tokensource.Manager{Config: p.Config(client), Store: storage.Encrypt(to.open(t), keys)}
		for i := range connections {
			token := server.Connect(endpoints.TaxRock, "offline_access", "read:client-accounts")
			require.NoError(t, m.Save(ctx, connection(i), token))
		}

		var wg sync.WaitGroup
		stop := make(chan struct{})
		var calls, failed atomic.Int64
		for range processes {
			cmd := child(t, "refresh", to)
			cmd.Env = append(cmd.Env, "CHILD_KEY="+base64.StdEncoding.EncodeToString(key),
				"CHILD_TOKEN_URL="+p.Endpoint.TokenURL, "CHILD_API_URL="+p.APIURL,
				"CHILD_ID="+client.ClientID, "CHILD_SECRET="+client.ClientSecret)
			wg.Go(func() {
				c, f := follow(t, cmd, stop)
				calls.Add(c)
				failed.Add(f)
			})
		}
		deadline := time.Now().Add(time.Minute)
		for server.Stats(endpoints.TaxRock).Refreshed < expiries && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
		}
		close(stop)
		wg.Wait()

		stats := server.Stats(endpoints.TaxRock)
		t.Logf("%d refreshes, %d posts, %d reused; %d calls, %d failed", stats.Refreshed, stats.RefreshRequests, stats.Reused, calls.Load(), failed.Load())
		assert.GreaterOrEqual(t, stats.Refreshed, expiries)
		assert.Equal(t, stats.Refreshed, stats.RefreshRequests, "one post for each expiry")
		assert.Zero(t, stats.Reused)
		assert.Zero(t, failed.Load(), "API calls failed")
		for i := range connections {
			st, err := m.Status(ctx, connection(i))
			assert.NoError(t, err)
			assert.NotEqual(t, tokensource.StateLoginRequired, st.State)
		}
	})
}

func connection(i int) string { return fmt.Sprint("connection ", i) }

// follow runs a process until stop is closed, and returns what it counted.
func follow(t *testing.T, cmd *exec.Cmd, stop <-chan struct{}) (calls, failed int64) {
	stdin, err := cmd.StdinPipe()
	if !assert.NoError(t, err) {
		return 0, 1
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if !assert.NoError(t, cmd.Start()) {
		return 0, 1
	}
	<-stop
	stdin.Close()
	if !assert.NoError(t, cmd.Wait(), out.String()) {
		return 0, 1
	}
	_, err = fmt.Sscanf(out.String(), "%d calls, %d failed", &calls, &failed)
	assert.NoError(t, err, out.String())
	if failed > 0 {
		t.Log(out.String())
	}
	return calls, failed
}

// refreshes is a process of TestRefresh. It ends when its standard input does.
func refreshes(to target) error {
	key, err := storage.ParseKey(os.Getenv("CHILD_KEY"))
	if err != nil {
		return err
	}
	keys, err := storage.NewKeyring(key)
	if err != nil {
		return err
	}
	s, err := to.store()
	if err != nil {
		return err
	}
	p := endpoints.TaxRock
	p.Endpoint.TokenURL, p.APIURL = os.Getenv("CHILD_TOKEN_URL"), os.Getenv("CHILD_API_URL")
	client := oauth2.Config{ClientID: os.Getenv("CHILD_ID"), ClientSecret: os.Getenv("CHILD_SECRET")}
	m := &tokensource.Manager{Config: p.Config(client), Store: storage.Encrypt(s, keys)}

	running, stop := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	var calls, failed atomic.Int64
	var first atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			client := m.Client(connection(i % connections))
			for running.Err() == nil {
				time.Sleep(rand.N(time.Second))
				calls.Add(1)
				if err := call(client, p.APIURL+"/client-accounts"); err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	flush, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := m.Flush(flush); err != nil {
		return err
	}
	fmt.Printf("%d calls, %d failed\n", calls.Load(), failed.Load())
	if e := first.Load(); e != nil {
		fmt.Println(*e)
	}
	return nil
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
