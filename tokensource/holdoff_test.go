package tokensource

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// forgetful returns a Manager whose sources nobody holds, with a login, and has every
// garbage be collected at each call of collect.
func (f *fixture) forgetful() *Manager {
	m := &Manager{Config: f.fakeProvider, Store: f.store, OnEvent: f.record, APIURLs: []string{"https://api.test"}}
	f.all = append(f.all, m)
	require.NoError(f, m.Save(f.Context(), "k", f.login()))
	return m
}

// collect has the garbage collected, with all sources that nobody holds.
func collect() { runtime.GC() }

// collect does so when no flight holds its source any more.
func (f *fixture) collect() {
	synctest.Wait()
	collect()
}

func TestAPIThatRefusesEveryTokenCostsARefreshAMinuteThoughSourcesAreCollected(t *testing.T) {
	notShort(t, "collects garbage ten times")
	onSwap(t, func(f *fixture) {
		m := f.forgetful()
		m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 401, Body: http.NoBody, Header: http.Header{}}, nil
		})
		for range 10 {
			resp, err := m.Client("k").Get("https://api.test")
			require.NoError(f, err)
			assert.Equal(f, 401, resp.StatusCode)
			f.collect()
			time.Sleep(20 * time.Second)
		}
		assert.LessOrEqual(f, f.count(), 5, "in 200 seconds")
		assert.GreaterOrEqual(f, f.count(), 2)
	})
}

// Each process finds the token of another in the record, when the API has refused its own.
func TestAPIThatRefusesEveryTokenCostsEachProcessARefreshAMinute(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.connected()
		processes := []*Manager{f.process(), f.process(), f.process()}
		for _, m := range processes {
			withAPI(m).respond = func(*http.Request, string, string) *http.Response { return reply(401, "") }
		}
		const minutes = 5
		for i := range 20 * minutes {
			resp, err := processes[i%3].Client("k").Get(apiURL)
			require.NoError(f, err)
			resp.Body.Close()
			time.Sleep(3 * time.Second)
		}
		assert.LessOrEqual(f, f.count(), len(processes)*(minutes+1))
		assert.GreaterOrEqual(f, f.count(), minutes)
	})
}

func TestRefreshesThatFailAreHeldOffThoughSourcesAreCollected(t *testing.T) {
	notShort(t, "collects garbage forty times")
	for _, fault := range []error{answer(401, "invalid_client"), answer(503, "")} {
		t.Run(fault.Error(), func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.forgetful()
				f.fault = func() error { return fault }
				time.Sleep(time.Hour)
				for range 20 {
					_, err := m.Source("k").Token()
					require.Error(f, err)
					f.collect()
					time.Sleep(6 * time.Second)
				}
				assert.LessOrEqual(f, f.count(), 10, "in two minutes")
				assert.GreaterOrEqual(f, f.count(), 4)
				assert.Equal(f, f.count(), f.seen(EventFailed))
				f.fault = nil
				time.Sleep(maxBackoff)
				assert.Equal(f, "access-2", f.access(m))
			})
		})
	}
}

func TestLoginIsRequiredOnceThoughSourcesAreCollected(t *testing.T) {
	for name, end := range map[string]func(f *fixture, m *Manager){
		"revoked": func(f *fixture, m *Manager) { f.revoke() },
		"expired": func(f *fixture, m *Manager) {
			require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "alone", Expiry: time.Now().Add(time.Minute)}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.forgetful()
				end(f, m)
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				require.ErrorIs(f, err, ErrLoginRequired)
				f.collect()
				time.Sleep(2 * time.Minute)
				_, err = m.Source("k").Token()
				require.ErrorIs(f, err, ErrLoginRequired)
				assert.Equal(f, 1, f.seen(EventLoginRequired))
				assert.LessOrEqual(f, f.count(), 1)
			})
		})
	}
}

// TestNamesThatNobodyConnectedCostNothing: there is no end of them.
func TestNamesThatNobodyConnectedCostNothing(t *testing.T) {
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	for i := range 100 {
		if _, err := m.Source(fmt.Sprintf("nobody-%d", i)).Token(); !isReason(err, ReasonNotConnected) {
			t.Fatal(err)
		}
	}
	require.NoError(t, m.Flush(t.Context()))
	assert.Eventually(t, func() bool {
		collect()
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.sources) == 0
	}, 10*time.Second, 10*time.Millisecond)
	assert.Empty(t, m.pinned)
	assert.Empty(t, m.unsaved)
}

func TestSourcesThatHoldOffAreBounded(t *testing.T) {
	notShort(t, "makes thousands of sources")
	synctest.Test(t, func(t *testing.T) {
		m := &Manager{Config: new(fakeProvider), Store: newMemory()}
		hold := func(n int, d time.Duration) {
			for i := range n {
				m.pin(m.Source(fmt.Sprint(i, d)), &view{record: aRecord(), lastFailure: &lastFailure{holdOff: time.Now().Add(d)}})
			}
		}
		hold(maxPinned-10, time.Minute)
		assert.Equal(t, maxPinned-10, len(m.pinned))
		hold(20, time.Hour)
		assert.LessOrEqual(t, len(m.pinned), maxPinned)
		assert.Greater(t, len(m.pinned), maxPinned/2, "of those that still hold off, most are kept")
		time.Sleep(2 * time.Minute)
		hold(maxPinned/2, 2*time.Hour)
		assert.LessOrEqual(t, len(m.pinned), maxPinned/2+20, "those whose time is over make room first")
		assert.Greater(t, len(m.pinned), maxPinned/2)

		s := m.Source("one")
		m.pin(s, &view{record: aRecord(), lastFailure: &lastFailure{holdOff: time.Now().Add(time.Hour)}})
		assert.Contains(t, m.pinned, s)
		m.pin(s, &view{record: aRecord()})
		assert.NotContains(t, m.pinned, s, "it works again")
	})
}
