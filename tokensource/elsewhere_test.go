package tokensource

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusedRequestsShareLooks: an API that refuses all that it is asked doesn't have the store asked
// as often.
func TestRefusedRequestsShareLooks(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		api := withAPI(m)
		api.respond = refusing()
		client := m.Client("k")
		f.get(client)
		before := f.raw.count("get")
		const looks = 10
		end := time.Now().Add(looks * lookPause)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					status, _ := f.get(client)
					assert.Equal(f, 401, status)
					time.Sleep(lookPause / 50)
				}
			})
		}
		wg.Wait()
		assert.LessOrEqual(f, f.raw.count("get")-before, looks)
		assert.Greater(f, len(api.calls()), 10*looks)
	})
}

// TestFlushWaitsForALookThatEveryoneHasLeft: after Flush the program may close the store.
func TestFlushWaitsForALookThatEveryoneHasLeft(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		withAPI(m).respond = refusing()
		client := m.Client("k")
		f.get(client)
		before := f.raw.count("get")
		ctx, cancel := context.WithTimeout(f.Context(), lookPause/2)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", apiURL+"/me", nil)
		require.NoError(f, err)
		resp, err := client.Do(r)
		require.NoError(f, err)
		f.read(resp)
		assert.Equal(f, before, f.raw.count("get"))
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, before+1, f.raw.count("get"))
	})
}
