//go:build unix

package tokensource_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// refreshAt is set, in the environment of a process that refreshes one token, to the token
// endpoint. Its client ID there is the process's.
const refreshAt = "OAUTH2KEEP_TEST_REFRESH_AT"

// stopIn is set, in the environment of such a process, to the call of the store in which it
// stops, "get" or "put". It prints its ID before.
const stopIn = "OAUTH2KEEP_TEST_STOP_IN"

const refreshTimeout = 500 * time.Millisecond

func init() {
	url := os.Getenv(refreshAt)
	if url == "" {
		return
	}
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		panic(err)
	}
	store := &stoppingStore{Store: new(storage.Memory)}
	m := &tokensource.Manager{
		Config: &oauth2.Config{
			ClientID: strconv.Itoa(os.Getpid()),
			Endpoint: oauth2.Endpoint{TokenURL: url, AuthStyle: oauth2.AuthStyleInParams},
		},
		Store:          storage.Encrypt(store, keys),
		RefreshTimeout: refreshTimeout,
	}
	if err := m.Save(context.Background(), "k", &oauth2.Token{AccessToken: "old", RefreshToken: "secret", Expiry: time.Now().Add(-time.Hour)}); err != nil {
		panic(err)
	}
	store.op = os.Getenv(stopIn)
	token, err := m.Source("k").Token()
	if err != nil {
		fmt.Print(err)
		os.Exit(0)
	}
	fmt.Print(token.AccessToken)
	os.Exit(0)
}

// The answer is there when the process goes on, and so is the end of its time: without care
// it is up to chance which counts, and a grant is lost with the answer. It goes on a moment
// after the end of its time, after that of the Refresher that is late, or still later.
func TestAnswerThatCameWhileTheProcessWasStoppedIsRead(t *testing.T) {
	if testing.Short() {
		t.Skip("stops processes for seconds: runs without -short")
	}
	t.Parallel() // it waits
	late := []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 2500 * time.Millisecond}
	var requests atomic.Int32
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		stopped := refreshTimeout + late[int(requests.Add(1))%len(late)]
		pid, err := strconv.Atoi(r.FormValue("client_id"))
		if err != nil || syscall.Kill(pid, syscall.SIGSTOP) != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		time.AfterFunc(stopped, func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "new", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "next"}`)
	}))
	defer provider.Close()
	processes := make([]*testenv.Process, 4*len(late))
	for i := range processes {
		processes[i] = testenv.StartProcess(t, refreshAt+"="+provider.URL)
	}
	for _, p := range processes {
		require.NoError(t, p.Wait())
		out, err := io.ReadAll(p.Stdout)
		require.NoError(t, err)
		assert.Equal(t, "new", string(out))
	}
	assert.EqualValues(t, len(processes), requests.Load())
}

// stoppingStore stops the process in the next call of that name, and knows nothing but its
// context when the process goes on.
type stoppingStore struct {
	storage.Store
	op string
}

func (s *stoppingStore) stop(ctx context.Context, op string) error {
	if s.op != op {
		return nil
	}
	s.op = ""
	fmt.Println(os.Getpid())
	_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	time.Sleep(50 * time.Millisecond) // for timers that are over
	return ctx.Err()
}

func (s *stoppingStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	if err := s.stop(ctx, "get"); err != nil {
		return nil, "", err
	}
	return s.Store.Get(ctx, name)
}

func (s *stoppingStore) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if err := s.stop(ctx, "put"); err != nil {
		return "", err
	}
	return s.Store.Put(ctx, name, value, old)
}

// A process that was stopped for longer than a flight waits for its turn has its turn all the
// same.
func TestFlightGoesOnAfterItsProcessWasStopped(t *testing.T) {
	if testing.Short() {
		t.Skip("stops processes for seconds: runs without -short")
	}
	t.Parallel() // it waits
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token": "new", "token_type": "Bearer", "expires_in": 3600}`)
	}))
	t.Cleanup(provider.Close)
	for _, op := range []string{"get", "put"} {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			p := testenv.StartProcess(t, refreshAt+"="+provider.URL, stopIn+"="+op)
			var pid int
			_, err := fmt.Fscanln(p.Stdout, &pid)
			require.NoError(t, err)
			time.Sleep(12 * time.Second)
			require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
			require.NoError(t, p.Wait())
			out, err := io.ReadAll(p.Stdout)
			require.NoError(t, err)
			assert.Equal(t, "new", string(out))
		})
	}
}
