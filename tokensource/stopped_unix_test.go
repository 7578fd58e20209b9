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
	m := &tokensource.Manager{
		Config: &oauth2.Config{
			ClientID: strconv.Itoa(os.Getpid()),
			Endpoint: oauth2.Endpoint{TokenURL: url, AuthStyle: oauth2.AuthStyleInParams},
		},
		Store:          storage.Encrypt(new(storage.Memory), keys),
		RefreshTimeout: refreshTimeout,
	}
	if err := m.Save(context.Background(), "k", &oauth2.Token{AccessToken: "old", RefreshToken: "secret", Expiry: time.Now().Add(-time.Hour)}); err != nil {
		panic(err)
	}
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
