package tokensource

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestIncompleteManagerSaysWhatIsMissing(t *testing.T) {
	p := new(fakeProvider)
	for want, m := range map[string]*Manager{
		"tokensource: Manager.Config is not set":                            {Store: newMemory()},
		"tokensource: Manager.Config is a nil *oauth2.Config":               {Config: (*oauth2.Config)(nil), Store: newMemory()},
		"tokensource: Manager.Config is a nil *tokensource.fakeProvider":    {Config: (*fakeProvider)(nil), Store: newMemory()},
		"tokensource: Endpoint.AuthStyle of Manager.Config is not set: aut": {Config: new(oauth2.Config), Store: newMemory()},
		"set oauth2.AuthStyleInParams or oauth2.AuthStyleInHeader":          {Config: new(oauth2.Config), Store: newMemory()},
		"tokensource: Manager.Store is not set":                             {Config: p},
		"tokensource: Manager.Registration has no Issuer":                   {Config: p, Store: newMemory(), Registration: Registration{ClientID: testClient}},
		"Encrypt was given no Store":                                        {Config: p, Store: storage.Encrypt(nil, testKeyset)},
		"Encrypt was given no Sealer":                                       {Config: p, Store: storage.Encrypt(new(storage.Memory), nil)},
	} {
		m.APIURLs = []string{apiURL}
		for doing, act := range map[string]func() error{
			"Save":       func() error { return m.Save(t.Context(), "k", &oauth2.Token{AccessToken: "a"}) },
			"Token":      func() error { _, err := m.Source("k").Token(); return err },
			"Status":     func() error { _, err := m.Status(t.Context(), "k"); return err },
			"Disconnect": func() error { return m.Disconnect(t.Context(), "k") },
			"Client": func() error {
				resp, err := m.Client("k").Get(apiURL)
				if err == nil {
					resp.Body.Close()
				}
				return err
			},
		} {
			assert.ErrorContains(t, act(), want, doing)
		}
	}
	assert.Zero(t, p.count())
}

func TestAZeroSourceSaysWhereOneIsMade(t *testing.T) {
	s := new(Source)
	s.Reject(&oauth2.Token{AccessToken: "a"})
	s.ResetTokenOlderThan(time.Now())
	for doing, act := range map[string]func() error{
		"Token":        func() error { _, err := s.Token(); return err },
		"TokenContext": func() error { _, err := s.TokenContext(t.Context()); return err },
		"Stored":       func() error { _, err := s.Stored(t.Context()); return err },
		"RequireLogin": func() error { return s.RequireLogin(t.Context(), &oauth2.Token{AccessToken: "a"}, "") },
	} {
		assert.ErrorContains(t, act(), "a Source is made by Manager.Source", doing)
	}
}

// A worker that only ever asks for tokens must not probe, either.
func TestAuthStyleIsCheckedBeforeARefreshTokenIsSpent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		web := &Manager{Config: new(fakeProvider), Store: store}
		expired := &oauth2.Token{AccessToken: "a", RefreshToken: "r", Expiry: time.Now().Add(-time.Hour)}
		require.NoError(t, web.Save(t.Context(), "k", expired))
		sent := 0
		worker := &Manager{
			Config: &oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: "https://login.example.com"}},
			Store:  store,
			Base: roundTripper(func(*http.Request) (*http.Response, error) {
				sent++
				return reply(400, ""), nil
			}),
		}
		_, err := worker.Source("k").Token()
		assert.ErrorContains(t, err, "auto-detection would spend a refresh token twice")
		assert.Zero(t, sent)
	})
}

func TestSaveNeedsAToken(t *testing.T) {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	assert.ErrorContains(t, m.Save(t.Context(), "k", nil), `no token to save for connection "k"`)
	assert.ErrorContains(t, m.Save(t.Context(), "k", new(oauth2.Token)), "no token")
	assert.ErrorContains(t, m.Save(t.Context(), "", &oauth2.Token{AccessToken: "a"}), "needs a name")
	unstorable := (&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{"f": func() {}})
	assert.ErrorContains(t, m.Save(t.Context(), "k", unstorable), `connection "k": what came beside the token can't be stored as JSON`)
	_, err := m.Status(t.Context(), "k")
	assert.ErrorIs(t, err, storage.ErrNotFound)
}

func TestSaveServesTheTokenAndTellsIt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		gets := f.raw.count("get")
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, gets, f.raw.count("get"), "from memory")
		e := f.lastEvent(EventSaved)
		assert.Equal(f, "k", e.Connection)
		assert.True(f, e.Expiry.Equal(time.Now().Add(time.Hour)))
		assert.NoError(f, e.Err)
	})
}

func TestSaveIsGivenUpWithItsContext(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		f.raw.set(func(string) error { return errHang }, nil)
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		before := time.Now()
		assert.ErrorIs(f, m.Save(ctx, "k", f.login()), context.DeadlineExceeded)
		assert.Equal(f, time.Second, time.Since(before))
	})
}

func TestConnectionsAreKeptApart(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		keys := []string{" ", "k", "K", "a/b", "../k", "ключ\x00", "k "}
		for _, key := range keys {
			require.NoError(f, m.Save(f.Context(), key, f.login()))
		}
		require.NoError(f, m.Forget(f.Context(), "k"))
		for i, key := range keys {
			tok, err := f.process().Source(key).Token()
			if key == "k" {
				assert.ErrorIs(f, err, storage.ErrNotFound)
				continue
			}
			require.NoError(f, err)
			assert.Equal(f, f.issued[i], tok.AccessToken)
		}
	})
}

func TestThereIsOneSourcePerKey(t *testing.T) {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	s := m.Source("k")
	assert.Same(t, s, m.Source("k"))
	assert.NotSame(t, s, m.Source("l"))
	assert.Same(t, s, m.Client("k").Transport.(*apiTransport).source)

	var wg sync.WaitGroup
	sources := make([]*Source, 50)
	for i := range sources {
		wg.Go(func() { sources[i] = m.Source("new") })
	}
	wg.Wait()
	for _, s := range sources {
		assert.Same(t, sources[0], s)
	}
}

// A program has many connections and uses few of them at any time.
func TestUnusedSourcesAreCollected(t *testing.T) {
	p := new(fakeProvider)
	m := &Manager{Config: p, Store: newMemory()}
	const n = 100
	var sources []weak.Pointer[Source]
	used := m.Source("used")
	for i := range n {
		key := string(rune('A' + i))
		require.NoError(t, m.Save(t.Context(), key, p.login()))
		_, err := m.Source(key).Token()
		require.NoError(t, err)
		sources = append(sources, weak.Make(m.Source(key)))
	}
	assert.Eventually(t, func() bool {
		runtime.GC()
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.sources) == 1
	}, 10*time.Second, time.Millisecond)
	for _, s := range sources {
		assert.Nil(t, s.Value())
	}
	assert.Same(t, used, m.Source("used"))

	tok, err := m.Source("A").Token() // from the store
	require.NoError(t, err)
	assert.Equal(t, "access-1", tok.AccessToken)
}

// A program may have a Manager for each tenant.
func TestUnusedManagerIsCollectedWithTheSourcesThatItPins(t *testing.T) {
	manager := func() weak.Pointer[Manager] {
		m := &Manager{Config: new(fakeProvider), Store: newMemory()}
		s := m.Source("k")
		m.pin(s, &view{record: aRecord(), lastFailure: &lastFailure{holdOff: time.Now().Add(time.Hour)}})
		require.Contains(t, m.pinned, s)
		return weak.Make(m)
	}()
	assert.Eventually(t, func() bool {
		runtime.GC()
		return manager.Value() == nil
	}, 10*time.Second, time.Millisecond)
}

func TestForgettingASourceSparesItsSuccessor(t *testing.T) {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	s := m.Source("k")
	m.collected("k") // as the cleanup of an earlier source would, late
	assert.Same(t, s, m.Source("k"))
	assert.Nil(t, m.existing("l"))
	m.collected("l")
}

// What leaves a goroutine behind would make synctest panic.
func TestNothingRunsAfterFlush(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(8 * time.Second)
		m := f.connected()
		other := f.process()
		for range 5 {
			time.Sleep(time.Hour)
			ctx, cancel := context.WithTimeout(f.Context(), time.Second)
			_, _ = m.Source("k").TokenContext(ctx)
			_, _ = other.Source("k").TokenContext(ctx)
			cancel()
		}
		require.NoError(f, m.Flush(f.Context()))
		require.NoError(f, other.Flush(f.Context()))
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		require.NoError(f, other.Flush(f.Context()))
	})
}

func TestCallbackMayUseTheManager(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(nil)
		told := make(map[EventKind]int)
		var mu sync.Mutex
		m.OnEvent = func(ctx context.Context, e Event) {
			mu.Lock()
			told[e.Kind]++
			n := told[e.Kind]
			mu.Unlock()
			_, _ = m.Status(ctx, e.Connection)
			m.Source(e.Connection)
			if n > 1 {
				return
			}
			switch e.Kind {
			case EventSaved, EventRefreshed, EventAdopted, EventUnsaved:
				_, err := m.Source(e.Connection).Token() // there is a valid one
				assert.NoError(f, err, e.Kind)
			case EventLoginRequired:
				assert.NoError(f, m.Save(ctx, e.Connection, f.login()))
			case EventDisconnected:
				assert.NoError(f, m.Disconnect(ctx, e.Connection))
				assert.NoError(f, m.Save(ctx, e.Connection, f.login()))
			}
		}
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		time.Sleep(time.Hour)
		f.access(m)
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		time.Sleep(30 * time.Minute)
		f.put(f.sibling())
		time.Sleep(40 * time.Minute)
		f.access(m)
		f.revoke()
		time.Sleep(time.Hour)
		f.access(m) // of the new login
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		f.access(m)
		assert.NotEmpty(f, r.revoked)
		for _, kind := range []EventKind{EventSaved, EventRefreshed, EventAdopted, EventUnsaved, EventLoginRequired, EventDisconnected} {
			assert.Positive(f, told[kind], kind)
		}
	})
}

func TestManagerWithoutOnEventTellsNobody(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		m.OnEvent = nil
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		f.access(m)
		f.raw.mended()
	})
}

func TestInflightWaitsForEveryRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c inflight
		for range 3 {
			c.add()
			c.add()
			done := make(chan error, 2)
			for range 2 {
				go func() { done <- c.wait(t.Context()) }()
			}
			synctest.Wait()
			c.done()
			synctest.Wait()
			assert.Empty(t, done)
			c.done()
			assert.NoError(t, <-done)
			assert.NoError(t, <-done)
		}
	})
}
