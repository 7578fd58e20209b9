package tokensource

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// tardy is a store whose answers come late: something else can happen between what was read
// or written and the answer that says so.
type tardy struct {
	storage.Store
	get, put atomic.Int64 // by how much; nanoseconds
}

func (s *tardy) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	late := s.get.Load()
	value, v, err := s.Store.Get(ctx, name)
	time.Sleep(time.Duration(late))
	return value, v, err
}

func (s *tardy) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	late := s.put.Load()
	v, err := s.Store.Put(ctx, name, value, old)
	time.Sleep(time.Duration(late))
	return v, err
}

func (s *tardy) Names(ctx context.Context) iter.Seq2[string, error] {
	return s.Store.(storage.Lister).Names(ctx)
}

const (
	late       = 200 * time.Millisecond
	meanwhile  = 100 * time.Millisecond
	afterwards = 300 * time.Millisecond
)

// tardily returns a Manager of a process that has just started, and its way to the store.
func (f *fixture) tardily() (*Manager, *tardy) {
	m, slow := f.process(), &tardy{Store: f.raw}
	m.Store = encrypted(slow)
	return m, slow
}

// isServedFromNowOn checks that m serves this token now, and when late answers have come.
func (f *fixture) isServedFromNowOn(m *Manager, access string) {
	f.Helper()
	assert.Equal(f, access, f.access(m))
	time.Sleep(afterwards)
	assert.Equal(f, access, f.access(m), "also after a late answer")
}

func TestLoginThatIsSavedDuringALookThatFindsNothingIsServed(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, slow := f.tardily()
		slow.get.Store(int64(late))
		r := later(m.Source("k").Token)
		time.Sleep(meanwhile)
		slow.get.Store(0)
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		f.isServedFromNowOn(m, "access-1")
		<-r
	})
}

func TestLoginThatIsSavedWhileTheEndOfTheOneBeforeIsWrittenIsServed(t *testing.T) {
	for name, end := range map[string]func(f *fixture, login *oauth2.Token){
		"revoked": func(f *fixture, _ *oauth2.Token) { f.revoke() },
		"expired": func(f *fixture, login *oauth2.Token) { login.RefreshToken = "" },
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m, slow := f.tardily()
				login := f.login()
				end(f, login)
				require.NoError(f, m.Save(f.Context(), "k", login))
				time.Sleep(time.Hour)
				if login.RefreshToken == "" {
					slow.put.Store(int64(late))
				} else {
					f.fault = func() error { slow.put.Store(int64(late)); return nil } // not the claim
				}
				r := later(m.Source("k").Token)
				time.Sleep(meanwhile)
				require.True(f, f.stored().Failure.Final, "written, and not answered yet")
				slow.put.Store(0)
				require.NoError(f, m.Save(f.Context(), "k", f.login()))
				f.isServedFromNowOn(m, "access-2")
				<-r
			})
		})
	}
}

func TestUnsavedTokenOutlivesASaveOfAnEarlierLoginThatIsAnsweredLate(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, slow := f.tardily()
		slow.put.Store(int64(late))
		first := make(chan error)
		go func() { first <- m.Save(f.Context(), "k", f.login()) }()
		time.Sleep(meanwhile)
		slow.put.Store(0)
		second := f.login()
		second.Expiry = time.Now() // due at once
		require.NoError(f, m.Save(f.Context(), "k", second))
		f.unsavedFrom("get", "put")
		assert.Equal(f, "access-3", f.access(m))
		require.Equal(f, StateUnsaved, f.status(m).State)
		require.NoError(f, <-first)
		f.isServedFromNowOn(m, "access-3")
		assert.Equal(f, StateUnsaved, f.status(m).State, "it is the only copy")
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-3", f.stored().AccessToken)
	})
}

func TestUnsavedTokenOutlivesASweepThatReadTheLoginBefore(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		s := m.Source("k")
		basis, began := m.knownOf("k"), time.Now()
		c, err := m.read(f.Context(), "k") // the sweep, which waits for a worker then
		require.NoError(f, err)
		second := f.login()
		second.Expiry = time.Now() // due at once
		require.NoError(f, m.Save(f.Context(), "k", second))
		f.unsavedFrom("get", "put")
		assert.Equal(f, "access-3", f.access(m))
		require.Equal(f, StateUnsaved, f.status(m).State)
		synctest.Wait()
		s.keepAlive(f.Context(), basis, c.record, began) // a worker is free
		f.isServedFromNowOn(m, "access-3")
		assert.Equal(f, StateUnsaved, f.status(m).State, "it is the only copy")
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-3", f.stored().AccessToken)
	})
}

// A sweep has read one record more than it has workers.
func TestSweepDoesNotBringBackALoginThatWasReplacedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3 * runWorkers
		p := &fakeProvider{life: -1, latency: after(20 * time.Second)}
		slow := &tardy{Store: new(storage.Memory)}
		slow.get.Store(int64(50 * time.Millisecond))
		m := &Manager{Store: encrypted(slow), KeepAlive: time.Hour, Config: p}
		var sources []*Source
		before := make(map[string]bool)
		for i := range n {
			login := p.login()
			before[login.AccessToken] = true
			require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), login))
			sources = append(sources, m.Source(fmt.Sprint(i)))
		}
		time.Sleep(2 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(2 * time.Second)
		for i := range n {
			require.NoError(t, m.Save(t.Context(), fmt.Sprint(i), p.login()))
		}
		old := 0
		every := 10 * time.Millisecond
		if testing.Short() {
			every *= 5
		}
		for range 100 * time.Second / every {
			for _, s := range sources {
				token, err := s.Token()
				assert.NoError(t, err)
				if err == nil && before[token.AccessToken] {
					old++
				}
			}
			time.Sleep(every)
		}
		assert.Zero(t, old, "calls that served a token of the login before")
		cancel()
		assert.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, m.Flush(t.Context()))
	})
}

// The first use of a process reads the record while the same process ends the connection.
func TestNothingIsServedAfterDisconnectOrForgetReturned(t *testing.T) {
	for name, end := range map[string]func(*Manager, context.Context, string) error{
		"disconnect": (*Manager).Disconnect,
		"forget":     (*Manager).Forget,
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				f.connected()
				m, slow := f.tardily()
				m.Config = &revoker{fakeProvider: f.fakeProvider, act: func(context.Context) error {
					time.Sleep(2 * meanwhile)
					return nil
				}}
				if name == "forget" {
					slow.get.Store(int64(late))
				}
				ended := make(chan error, 1)
				go func() { ended <- end(m, f.Context(), "k") }()
				time.Sleep(meanwhile)
				slow.get.Store(0)
				assert.Equal(f, "access-1", f.access(m))
				require.NoError(f, <-ended)
				f.gone(m)
				time.Sleep(afterwards)
				f.gone(m)
			})
		})
	}
}
