package redisstore_test

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/storage/redisstore"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// The tests in this file run this test program again. roles are what such a process
// does instead of testing.
var roles = map[string]func(*redisstore.Store) error{
	"increment": increment,
	"call":      call,
}

const roleVariable = "OAUTH2KEEP_REDISSTORE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		flag.Set("test.parallel", "5") // unless told otherwise: tests wait for servers more than they compute
		os.Exit(m.Run())
	}
	c := redis.NewClient(&redis.Options{Addr: os.Getenv("CHILD_ADDR")})
	if err := roles[role](&redisstore.Store{Client: c}); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func child(t *testing.T, role, addr string, env ...string) *exec.Cmd {
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), roleVariable+"="+role, "CHILD_ADDR="+addr), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

const increments = 200

func increment(s *redisstore.Store) error {
	for range increments {
		for {
			value, v, err := s.Get(ctx, "counter")
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(value))
			if err != nil {
				return err
			}
			_, err = s.Put(ctx, "counter", []byte(strconv.Itoa(n+1)), v)
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

func TestTwoProcessesLoseNoUpdate(t *testing.T) {
	t.Parallel()
	s := start(t, durable...)
	store := &redisstore.Store{Client: client(t, s.addr)}
	mustPut(t, store, "counter", "0", "")
	var wg sync.WaitGroup
	var errs [2]error
	for i := range errs {
		wg.Go(func() { errs[i] = child(t, "increment", s.addr).Run() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	requireValue(t, store, "counter", strconv.Itoa(len(errs)*increments))
}

const (
	processes   = 4
	goroutines  = 16 // in each process
	connections = 8
	expiries    = 60
	tokenLife   = 2 * time.Second
)

func connection(i int) string { return fmt.Sprint("connection ", i) }

// TestProcessesRefreshOnce has processes on several machines, for all that they
// know, call an API for the same connections while tokens expire. The provider
// rotates refresh tokens and ends the grant if a spent one comes back.
func TestProcessesRefreshOnce(t *testing.T) {
	t.Parallel()
	s := start(t, durable...)
	server := endpointstest.New(t)
	policy := server.Policy(endpoints.TaxRock)
	policy.AccessLifetime, policy.Rotate = tokenLife, true
	server.SetPolicy(endpoints.TaxRock, policy)
	config := server.Config(endpoints.TaxRock, "http://localhost/callback")
	provider := server.Provider(endpoints.TaxRock)
	key := storage.NewKey()
	keys, err := storage.NewKeyring(key)
	require.NoError(t, err)
	m := &tokensource.Manager{Config: provider.Config(config),
		Store: storage.Encrypt(&redisstore.Store{Client: client(t, s.addr)}, keys)}
	for i := range connections {
		require.NoError(t, m.Save(ctx, connection(i), server.Connect(endpoints.TaxRock, "offline_access", "read:client-accounts")))
	}

	var inputs []io.Closer
	var wg sync.WaitGroup
	var outs [processes]strings.Builder
	var errs [processes]error
	for i := range processes {
		cmd := child(t, "call", s.addr, "CHILD_KEY="+base64.StdEncoding.EncodeToString(key),
			"CHILD_TOKEN_URL="+provider.Endpoint.TokenURL, "CHILD_API_URL="+provider.APIURL,
			"CHILD_ID="+config.ClientID, "CHILD_SECRET="+config.ClientSecret)
		in, err := cmd.StdinPipe()
		require.NoError(t, err)
		cmd.Stdout = &outs[i]
		require.NoError(t, cmd.Start())
		inputs = append(inputs, in)
		wg.Go(func() { errs[i] = cmd.Wait() })
	}
	for deadline := time.Now().Add(time.Minute); server.Stats(endpoints.TaxRock).Refreshed < expiries && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	for _, in := range inputs {
		in.Close()
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs[:]...))
	stats := server.Stats(endpoints.TaxRock)
	t.Logf("%d refreshes, %d posts, %d reused, %d API calls, %d refused", stats.Refreshed, stats.RefreshRequests, stats.Reused, stats.APIAnswered, stats.APIRefused)
	for i := range outs {
		require.Contains(t, outs[i].String(), ", 0 failed", outs[i].String())
	}
	require.GreaterOrEqual(t, stats.Refreshed, expiries)
	require.Equal(t, stats.Refreshed, stats.RefreshRequests, "one post for each expiry")
	require.Zero(t, stats.Reused)
}

// call calls the API until standard input ends.
func call(s *redisstore.Store) error {
	key, err := storage.ParseKey(os.Getenv("CHILD_KEY"))
	if err != nil {
		return err
	}
	keys, err := storage.NewKeyring(key)
	if err != nil {
		return err
	}
	p := endpoints.TaxRock
	p.Endpoint.TokenURL, p.APIURL = os.Getenv("CHILD_TOKEN_URL"), os.Getenv("CHILD_API_URL")
	m := &tokensource.Manager{
		Config: p.Config(oauth2.Config{ClientID: os.Getenv("CHILD_ID"), ClientSecret: os.Getenv("CHILD_SECRET")}),
		Store:  storage.Encrypt(s, keys),
	}
	var over atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		over.Store(true)
	}()
	var calls, failed atomic.Int64
	var first atomic.Value
	var wg sync.WaitGroup
	for i := range goroutines {
		wg.Go(func() {
			c := m.Client(connection(i % connections))
			for !over.Load() {
				time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
				calls.Add(1)
				resp, err := c.Get(p.APIURL + "/client-accounts")
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						err = errors.New(resp.Status)
					}
				}
				if err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err.Error())
				}
			}
		})
	}
	wg.Wait()
	if err := m.Flush(ctx); err != nil {
		return err
	}
	fmt.Printf("%d calls, %d failed %v\n", calls.Load(), failed.Load(), first.Load())
	return nil
}
