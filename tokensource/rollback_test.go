package tokensource

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// rolledBack makes a process with access-2, whose store has access-1 again, as after a
// restored backup.
func (f *fixture) rolledBack(edits ...func(*record)) (m *Manager, old *record) {
	f.Helper()
	m = f.connected()
	old = f.stored()
	time.Sleep(time.Hour)
	require.Equal(f, "access-2", f.access(m))
	for _, edit := range edits {
		edit(old)
	}
	f.put(old)
	return m, old
}

// checkKept checks that the connection lives on and nothing spent was sent.
func (f *fixture) checkKept(m *Manager, access string) {
	f.Helper()
	assert.Equal(f, access, f.access(m))
	assert.Equal(f, access, f.stored().AccessToken)
	assert.Zero(f, f.reused)
	assert.Nil(f, f.stored().Attempt)
}

func TestStoreThatWentBackIsGivenTheNewerTokenAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, old := f.rolledBack()
		f.access(m)
		assert.Equal(f, old, f.stored(), "nobody has looked yet")
		time.Sleep(defaultStale + time.Second)
		f.access(m)
		f.seen("")
		f.checkKept(m, "access-2")
		assert.False(f, f.stored().MayBeSpent)

		f.put(old) // and again, until it is refreshed
		time.Sleep(time.Hour)
		f.checkKept(m, "access-3")
		f.put(old) // two generations back
		time.Sleep(time.Hour)
		f.checkKept(m, "access-4")
		assert.Equal(f, 3, f.posts)
		assert.Equal(f, 4, f.stored().Generation)
	})
}

func TestStoreThatWentBackWithALaterFailureOfTheSpentToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.rolledBack(func(r *record) {
			r.Failure = &failure{Reason: ReasonRevoked, At: wall(time.Now()), Final: true}
		})
		time.Sleep(2 * defaultStale)
		f.access(m)
		f.seen("")
		f.checkKept(m, "access-2")
		assert.Nil(f, f.stored().Failure)
		assert.Zero(f, f.seen(EventLoginRequired))
	})
}

// remove deletes the record behind everyone's back.
func (f *fixture) remove() {
	f.Helper()
	_, v, err := f.raw.Store.Get(context.Background(), "k")
	require.NoError(f, err)
	require.NoError(f, f.raw.Store.Delete(context.Background(), "k", v))
}

// A backup that isn't restored in one transaction: for a while the table is there, and empty.
func TestStoreThatWentBackByWayOfNoRecordIsGivenTheNewerTokenAgain(t *testing.T) {
	for how, use := range map[string]func(f *fixture, m *Manager){
		"Token": func(f *fixture, m *Manager) { f.access(m) },
		"Run": func(f *fixture, m *Manager) {
			<-m.Source("k").keepAlive(f.Context(), m.knownOf("k"), f.stored(), time.Now()).done
		},
		"Reject": func(f *fixture, m *Manager) {
			m.Source("k").Reject(&oauth2.Token{AccessToken: "access-1"})
			f.access(m)
		},
	} {
		t.Run(how, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m, old := f.rolledBack()
				client := m.Client("k")
				f.remove()
				for _, fail := range [][]string{nil, {"get"}, nil} {
					time.Sleep(2 * defaultStale)
					f.raw.fail(fail...)
					_, _ = m.Source("k").Token()
					f.flush()
				}
				f.raw.mended()
				_, err := m.Source("k").Token()
				require.ErrorIs(f, err, ErrLoginRequired, "as long as there is none")

				f.put(old)
				time.Sleep(2 * recheck)
				use(f, m)
				assert.Zero(f, f.reused)
				assert.GreaterOrEqual(f, f.stored().Generation, 2)
				runtime.KeepAlive(client)
			})
		})
	}
}

func TestTokenThatComesWhileThereIsNoRecordIsNotForgotten(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		old := f.stored()
		f.loss = func() error { f.remove(); return nil } // while the provider answers
		time.Sleep(time.Hour)
		s := m.Source("k")
		_, err := s.Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		f.loss = nil

		f.put(old)
		time.Sleep(2 * recheck)
		f.checkKept(m, "access-2")
		runtime.KeepAlive(s)
	})
}

func TestUnsavedTokenOutlivesAStoreThatHasNoRecordForAWhile(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		old := f.stored()
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		require.Equal(f, "access-2", f.access(m))
		s := m.Source("k")
		f.remove()
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))

		f.put(old)
		time.Sleep(2 * recheck)
		f.checkKept(m, "access-2")
		runtime.KeepAlive(s)
	})
}

// TestStoreThatWentBackToSomeonesAttempt: whoever's that was may be about to send the spent
// token, and what comes of that is remembered.
func TestStoreThatWentBackToSomeonesAttempt(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, _ := f.rolledBack(by("another"))
		time.Sleep(time.Hour)
		f.checkKept(m, "access-3")
		assert.Equal(f, 2, f.posts)
	})
}

func TestStoreThatGoesBackDuringARefresh(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = func() time.Duration { return 5 * time.Second }
		m, old := f.rolledBack()
		time.Sleep(time.Hour)
		r := later(m.Source("k").Token)     // writes access-2 again, and begins
		time.Sleep(2500 * time.Millisecond) // between two renewals
		require.Equal(f, "access-2", f.stored().AccessToken)
		f.put(old)
		require.NoError(f, (<-r).err)
		f.seen("")
		f.checkKept(m, "access-3")
		assert.Equal(f, 2, f.posts)
	})
}

func TestStoreThatWentBackWhileATokenIsUnsaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, old := f.rolledBack()
		time.Sleep(2 * defaultStale)
		f.access(m)
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		require.Equal(f, "access-3", f.access(m))
		require.Equal(f, StateUnsaved, f.status(m).State)
		f.put(old)
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		f.checkKept(m, "access-3")
	})
}

// TestStoreThatWentBackToAnotherLoginIsBelieved: which of two logins came later, no number
// says.
func TestStoreThatWentBackToAnotherLoginIsBelieved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		old := f.stored()
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		f.put(old)
		time.Sleep(veryStale*defaultStale + time.Second)
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, old, f.stored())
	})
}

func TestStoreThatLostTheRecordIsBelieved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m, _ := f.rolledBack()
		_, v, err := f.raw.Store.Get(f.Context(), "k")
		require.NoError(f, err)
		require.NoError(f, f.raw.Store.Delete(f.Context(), "k", v))
		time.Sleep(veryStale*defaultStale + time.Second)
		_, err = m.Source("k").Token()
		assert.True(f, isReason(err, ReasonNotConnected), "%v", err)
	})
}

// TestDisconnectRevokesTheNewerTokenOfAStoreThatWentBack: revoking a spent one may end nothing.
func TestDisconnectRevokesTheNewerTokenOfAStoreThatWentBack(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.rolledBack()
		p := &revoker{fakeProvider: f.fakeProvider}
		m.Config = p
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, []string{"refresh-2"}, p.revoked)
		_, err := m.Source("k").Token()
		assert.True(f, isReason(err, ReasonNotConnected), "%v", err)
	})
}

// replicaStore returns from Get what was stored a while ago, as a replica does.
type replicaStore struct {
	storage.Store
	lag time.Duration

	mu   sync.Mutex // guards what follows
	old  []byte
	v    storage.Version
	put  time.Time
	gets int
}

func (l *replicaStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gets++
	if l.v != "" && time.Since(l.put) < l.lag {
		return l.old, l.v, nil
	}
	return l.Store.Get(ctx, name)
}

func (l *replicaStore) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.put) >= l.lag {
		l.old, l.v, _ = l.Store.Get(ctx, name)
	}
	v, err := l.Store.Put(ctx, name, value, old)
	if err == nil {
		l.put = time.Now()
	}
	return v, err
}

func TestStoreWhoseReadsLagIsNotAskedWithoutAPause(t *testing.T) {
	lagging := &replicaStore{Store: new(storage.Memory), lag: time.Second}
	on(t, func(*testing.T) storage.Store { return unlocked{lagging} }, func(f *fixture) {
		m, other := f.connected(), f.process()
		time.Sleep(2 * time.Second)
		f.access(other)
		time.Sleep(time.Hour)
		gets := lagging.gets
		a, b := later(m.Source("k").Token), later(other.Source("k").Token)
		require.NoError(f, (<-a).err)
		require.NoError(f, (<-b).err)
		assert.Less(f, lagging.gets-gets, 60)
		assert.Zero(f, f.reused)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.access(other))

		gets = lagging.gets
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		require.NoError(f, m.Save(f.Context(), "k", f.login()), "right after it")
		assert.Less(f, lagging.gets-gets, 20)
		time.Sleep(2 * defaultStale)
		f.access(other)
		f.seen("")
		assert.Equal(f, "access-4", f.access(other))
	})
}

// TestStoreThatRefusesTheVersionItReturnsIsAnError: its reads are of something else than its
// writes.
func TestStoreThatRefusesTheVersionItReturnsIsAnError(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(56 * time.Minute)
		f.raw.set(func(op string) error {
			if op == "put" {
				return storage.ErrConflict
			}
			return nil
		}, nil)
		start, gets := time.Now(), f.raw.count("get")
		err := m.Save(f.Context(), "k", f.login())
		assert.True(f, isReason(err, ReasonStore), "%v", err)
		assert.Less(f, time.Since(start), 15*time.Second)
		assert.LessOrEqual(f, f.raw.count("get")-gets, maxConflicts+1)

		assert.Equal(f, "access-1", f.access(m), "it is valid")
		time.Sleep(4 * time.Minute)
		_, err = m.Source("k").Token()
		require.Error(f, err)
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Zero(f, f.posts)
		assert.Less(f, f.raw.count("get")-gets, 2000)
		f.raw.mended()
		time.Sleep(maxBackoff)
		assert.Equal(f, "access-3", f.access(m))
	})
}

func TestEachCallOfAStoreThatRefusesTheVersionItReturnsEnds(t *testing.T) {
	for refused, calls := range map[string]map[string]func(f *fixture, m *Manager) error{
		"put": {
			"Disconnect": func(f *fixture, m *Manager) error { return m.Disconnect(f.Context(), "k") },
			"Move":       func(f *fixture, _ *Manager) error { return f.renamed().Move(f.Context(), "k", testOwner) },
			"RequireLogin": func(f *fixture, m *Manager) error {
				stored, err := m.Source("k").Stored(f.Context())
				require.NoError(f, err)
				return m.Source("k").RequireLogin(f.Context(), stored, "revoked")
			},
		},
		"delete": {
			"Disconnect": func(f *fixture, m *Manager) error { return m.Disconnect(f.Context(), "k") },
			"Forget":     func(f *fixture, m *Manager) error { return m.Forget(f.Context(), "k") },
		},
	} {
		for name, call := range calls {
			t.Run(name+", "+refused, func(t *testing.T) {
				onSwap(t, func(f *fixture) {
					m, _ := f.revocable(nil)
					f.raw.set(func(op string) error {
						if op == refused {
							return storage.ErrConflict
						}
						return nil
					}, nil)
					start := time.Now()
					err := call(f, m)
					assert.True(f, isReason(err, ReasonStore), "%v", err)
					assert.Less(f, time.Since(start), time.Minute)
					assert.LessOrEqual(f, f.raw.count(refused), 2*maxConflicts)
				})
			})
		}
	}
}
