package tokensource

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// listed is a faultyStore that can name its keys.
type listed struct{ *faultyStore }

func (l listed) Names(ctx context.Context) iter.Seq2[string, error] {
	return l.Store.(storage.Lister).Names(ctx)
}

// idleFor returns a Manager with many connections that nobody has used for so long.
func idleFor(t *testing.T, p *fakeProvider, d time.Duration) (*Manager, *faultyStore) {
	raw := &faultyStore{Store: new(storage.Memory)}
	m := &Manager{Config: p, Store: encrypted(listed{raw})}
	for i := range 4 * runWorkers {
		require.NoError(t, m.Save(t.Context(), fmt.Sprint("c", i), p.login()))
	}
	time.Sleep(d)
	return m, raw
}

func TestRunIsGivenUpInTheMiddleOfASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProvider{rotate: true, reuse: true, latency: after(20 * time.Second)}
		m, _ := idleFor(t, p, 8*day)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		assert.ErrorIs(t, m.Run(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(before), "it doesn't wait for refreshes")
		require.NoError(t, m.Flush(t.Context()))
		assert.Equal(t, runWorkers, p.count(), "and they are saved all the same")
		assert.Zero(t, p.reused)
		for i := range runWorkers {
			_, err := m.Source(fmt.Sprint("c", i)).Token()
			assert.NoError(t, err)
		}
	})
}

func TestRunIsGivenUpInTheMiddleOfARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, raw := idleFor(t, &fakeProvider{rotate: true}, 0)
		told := 0
		m.OnEvent = func(context.Context, Event) { told++ }
		raw.set(func(string) error { return errHang }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		assert.ErrorIs(t, m.Run(ctx), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(before))
		assert.Zero(t, told, "that isn't trouble")
	})
}

func TestRunPassesOverWhatIsDisconnectedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakeProvider{rotate: true}
		m, raw := idleFor(t, p, 8*day)
		told := 0
		m.OnEvent = func(_ context.Context, e Event) {
			if e.Kind == EventFailed {
				told++
			}
		}
		gone := false
		raw.set(func(op string) error {
			if op == "get" && !gone { // the keys are listed, and not yet read
				gone = true
				memory := raw.Store.(*storage.Memory)
				for key := range memory.Names(t.Context()) {
					_, v, err := memory.Get(t.Context(), key)
					require.NoError(t, err)
					require.NoError(t, memory.Delete(t.Context(), key, v))
				}
			}
			return nil
		}, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		assert.ErrorIs(t, m.Run(ctx), context.DeadlineExceeded)
		assert.True(t, gone)
		assert.Zero(t, told)
		assert.Zero(t, p.count())
	})
}
