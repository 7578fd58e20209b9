package tokensource

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// during makes f's provider call meanwhile, once, before it answers the next request.
func (f *fixture) during(meanwhile func()) {
	f.loss = func() error {
		f.loss = nil
		meanwhile()
		return nil
	}
}

// sibling returns the record that another process would make of the one in the store.
func (f *fixture) sibling() *record {
	f.Helper()
	rec := f.stored()
	tok := f.login()
	next := rec.refreshed(tok, time.Now())
	return next
}

func TestNewLoginWinsOverARefreshInFlight(t *testing.T) {
	for name, saver := range map[string]func(*fixture, *Manager) *Manager{
		"of this process":    func(_ *fixture, m *Manager) *Manager { return m },
		"of another process": func(f *fixture, _ *Manager) *Manager { return f.process() },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.during(func() {
					require.NoError(f, saver(f, m).Save(f.Context(), "k", f.login()))
				})
				time.Sleep(time.Hour)
				assert.Equal(f, "access-3", f.access(m), "the login, not the refreshed access-2")
				assert.Equal(f, "access-3", f.stored().AccessToken)
				assert.Equal(f, "access-3", f.access(f.process()))
			})
		})
	}
}

func TestNewLoginWinsOverAFailureInFlight(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		f.during(func() {
			require.NoError(f, f.process().Save(f.Context(), "k", f.login()))
		})
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		assert.Nil(f, f.stored().Failure)
		assert.Zero(f, f.seen(EventLoginRequired))
	})
}

func TestSuccessWinsOverWhatOthersWroteAboutItsParent(t *testing.T) {
	for name, write := range map[string]func(*record) *record{
		"an attempt": func(r *record) *record { return r.with(&attempt{ID: "of another process"}, nil) },
		"a failure":  func(r *record) *record { return r.with(nil, &failure{Reason: ReasonUnavailable, Count: 3}) },
		"a final failure": func(r *record) *record {
			return r.with(nil, &failure{Reason: ReasonRevoked, Final: true})
		},
		"nothing new": func(r *record) *record { return r.with(r.Attempt, nil) }, // as Rekey does
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.during(func() { f.put(write(f.stored())) })
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m))
				rec := f.stored()
				assert.Equal(f, "access-2", rec.AccessToken)
				assert.Equal(f, "refresh-2", rec.RefreshToken)
				assert.Nil(f, rec.Attempt)
				assert.Nil(f, rec.Failure)
				assert.Equal(f, 1, f.count())
			})
		})
	}
}

// Whoever took over has spent the same refresh token.
func TestSuccessAfterATakeoverIsInDoubt(t *testing.T) {
	for name, write := range map[string]func(*record){
		"whoever took over is at it": func(r *record) { r.MayBeSpent, r.Attempt = true, &attempt{ID: "of another process"} },
		"whoever took over failed":   func(r *record) { r.MayBeSpent, r.Attempt = true, nil },
		"they know of each other":    func(r *record) { r.SentTwice = true },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.during(func() {
					rec := *f.stored()
					write(&rec)
					f.put(&rec)
				})
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m))
				assert.True(f, f.stored().MayBeSpent)
				f.revoke()
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
			})
		})
	}
}

func TestNewerSuccessWinsOverOurs(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.during(func() { f.put(f.sibling()) })
		time.Sleep(time.Hour)
		assert.Equal(f, "access-3", f.access(m))
		assert.Equal(f, "access-3", f.stored().AccessToken)
		assert.Equal(f, 1, f.seen(EventAdopted))
		assert.Zero(f, f.seen(EventRefreshed))
	})
}

func TestFailureLosesToWhatOthersWrote(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		f.during(func() { f.put(f.stored().with(&attempt{ID: "of another process"}, nil)) })
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(leaseTime / 2)
		require.NotNil(f, f.stored().Attempt, "it may have a token soon")
		f.put(f.sibling())
		r := <-c
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		assert.Equal(f, 1, f.count())
	})
}

func TestDeletedRecordIsNotCreatedAnew(t *testing.T) {
	for name, loss := range map[string]error{
		"by a success":       nil,
		"by a failure":       answer(503, ""),
		"by a final failure": answer(400, "invalid_grant"),
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				f.loss = func() error {
					_, v, err := f.raw.Store.Get(f.Context(), "k")
					require.NoError(f, err)
					require.NoError(f, f.raw.Store.Delete(f.Context(), "k", v))
					return loss
				}
				time.Sleep(time.Hour)
				for range 2 {
					_, err := m.Source("k").Token()
					assert.ErrorIs(f, err, storage.ErrNotFound)
				}
				_, _, err := f.raw.Store.Get(f.Context(), "k")
				assert.ErrorIs(f, err, storage.ErrNotFound)
				_, err = m.Status(f.Context(), "k")
				assert.ErrorIs(f, err, storage.ErrNotFound)
				assert.Equal(f, 1, f.count())
			})
		})
	}
}

func TestRecordDeletedWhileItsTokenIsServedIsNoticedAtTheNextRefresh(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		require.NoError(f, f.process().Forget(f.Context(), "k"))
		assert.Equal(f, "access-1", f.access(m), "it may still be valid")
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, storage.ErrNotFound)
		assert.Zero(f, f.count())
	})
}

// A store refuses every write for a while: whoever comes too late reads again.
func TestConflictOnTheAttemptIsReadAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.raw.set(func(op string) error {
			if op == "put" && f.raw.count("put") == 2 {
				f.put(f.sibling()) // another process came between our read and our write
			}
			return nil
		}, nil)
		assert.Equal(f, "access-2", f.access(m), "adopted")
		assert.Zero(f, f.count())
	})
}

func TestLoginIsSavedAgainstConcurrentWriters(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		conflicts := 0
		f.raw.set(func(op string) error {
			if op == "put" && conflicts < 3 {
				conflicts++
				f.put(f.sibling())
			}
			return nil
		}, nil)
		login := f.login()
		require.NoError(f, m.Save(f.Context(), "k", login))
		assert.Equal(f, 3, conflicts)
		assert.Equal(f, login.AccessToken, f.stored().AccessToken)
	})
}

// The read takes its time to return, and the login is saved meanwhile.
func TestLoginIsNotReplacedByWhatWasReadBefore(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		m := f.process()
		var gets atomic.Int32
		f.raw.set(nil, func(op string) error {
			if op == "get" && gets.Add(1) == 1 {
				time.Sleep(2 * time.Second)
			}
			return nil
		})
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		require.NoError(f, (<-c).err)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestLoginThatWasPerhapsNotSavedIsAnError(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.raw.set(nil, func(op string) error {
			if op == "put" {
				return errStoreDown
			}
			return nil
		})
		err := m.Save(f.Context(), "k", f.login())
		assert.ErrorIs(f, err, errStoreDown)
		assert.Equal(f, "access-1", f.access(m))
		f.raw.mended()
		time.Sleep(time.Hour)
		assert.Equal(f, "access-3", f.access(m), "refreshed from access-2, which is in the store")
		assert.Equal(f, 1, f.count())

		f.raw.fail("get")
		assert.ErrorIs(f, m.Save(f.Context(), "k", f.login()), errStoreDown)
		assert.True(f, errors.Is(m.Save(f.Context(), "k", f.login()), errStoreDown))
	})
}
