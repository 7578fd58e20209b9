package tokensourcetest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestStoreHangsThenSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &weather{Store: new(storage.Memory), latency: map[string]time.Duration{"name": time.Second}}
		begun := time.Now()
		v, err := w.Put(t.Context(), "name", []byte("value"), "")
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(begun))

		var wg sync.WaitGroup
		wg.Go(func() { // it is under way when the store begins to hang
			begun := time.Now()
			_, _, err := w.Get(t.Context(), "name") // before or after what is given up below: both go on at once
			assert.NoError(t, err)
			assert.Equal(t, 7750*time.Millisecond, time.Since(begun))
		})
		time.Sleep(250 * time.Millisecond)
		w.hang(7 * time.Second)
		time.Sleep(time.Second)
		begun = time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		_, err = w.Put(ctx, "name", []byte("given up"), v)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(begun))
		wg.Wait()
		time.Sleep(time.Second)
		value, _, err := w.Get(t.Context(), "name")
		require.NoError(t, err)
		assert.Equal(t, "given up", string(value), "the request was on its way")
	})
}

func TestStoreTakesAFewCallsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &weather{Store: new(storage.Memory), latency: map[string]time.Duration{"name": time.Second}, slots: make(chan struct{}, 2)}
		begun := time.Now()
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() { assert.NoError(t, w.Delete(t.Context(), "name", "")) })
		}
		wg.Wait()
		assert.Equal(t, 3*time.Second, time.Since(begun))

		w.slots <- struct{}{}
		w.slots <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := w.Put(ctx, "name", nil, "")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, err = w.Store.Get(t.Context(), "name")
		assert.ErrorIs(t, err, storage.ErrNotFound, "it never had its turn")
	})
}

func TestStoreHidesItsLock(t *testing.T) {
	w := &weather{Store: new(storage.Memory)}
	_, err := w.Lock(t.Context(), "name")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	w.locks = true
	unlock, err := w.Lock(t.Context(), "name")
	require.NoError(t, err)
	unlock()
}
