package tokensource

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestValidTokenIsServedThroughAnOutageOfTheStore(t *testing.T) {
	for _, op := range []string{"get", "put", "lock"} {
		t.Run(op, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				if op == "lock" && !f.locked {
					return
				}
				m := f.connected()
				f.raw.fail(op)
				for range 60 {
					assert.Equal(f, "access-1", f.access(m))
					time.Sleep(59 * time.Second)
				}
				assert.Zero(f, f.count())
				assert.Less(f, f.seen(EventFailed), 25, "with a backoff")
				assert.Positive(f, f.seen(EventFailed))
				assert.Equal(f, ReasonStore, f.lastEvent(EventFailed).Reason)
				if op != "get" {
					st := f.status(m)
					assert.Equal(f, StateFailing, st.State)
					assert.Equal(f, ReasonStore, st.Reason)
				}

				time.Sleep(time.Minute)
				_, err := m.Source("k").Token()
				require.ErrorIs(f, err, errStoreDown)
				assert.ErrorContains(f, err, errStoreDown.Error())
				assert.ErrorContains(f, err, `"k"`)
				assert.NotErrorIs(f, err, ErrLoginRequired)

				f.raw.mended()
				time.Sleep(recheck)
				assert.Equal(f, "access-2", f.access(m))
				assert.Equal(f, StateHealthy, f.status(m).State)
			})
		})
	}
}

func TestErrorOfTheStoreIsRepeatedForASecondAtMost(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.raw.down()
		for range 100 { // a long outage, and so a long backoff
			_, err := m.Source("k").Token()
			require.ErrorIs(f, err, errStoreDown)
			time.Sleep(time.Minute)
		}
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, errStoreDown)
		f.raw.mended()
		time.Sleep(recheck)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestHangingStoreIsGivenUp(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.raw.set(func(string) error { return errHang }, nil)
		time.Sleep(time.Hour)
		r := <-later(m.Source("k").Token)
		require.Error(f, r.err)
		assert.Equal(f, 10*time.Second, r.took)

		login := f.login()
		before := time.Now()
		require.Error(f, m.Save(f.Context(), "k", login))
		assert.Equal(f, storeTimeout, time.Since(before))
		_, err := m.Status(f.Context(), "k")
		require.Error(f, err)
		assert.Equal(f, 2*storeTimeout, time.Since(before))
		f.raw.mended()
	})
}

func TestNobodyWaitsLongerThanTheyCanForAnotherCallOfTheStore(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		m.RefreshTimeout = 500 * time.Millisecond // and so 7.5 s for a turn
		time.Sleep(time.Hour)
		f.raw.set(func(string) error { return errHang }, nil)
		hung := make(chan error)
		go func() { hung <- m.Save(f.Context(), "k", f.login()) }()
		time.Sleep(time.Second)
		for doing, act := range map[string]func(ctx context.Context) error{
			"Save":       func(ctx context.Context) error { return m.Save(ctx, "k", f.login()) },
			"Disconnect": func(ctx context.Context) error { return m.Disconnect(ctx, "k") },
			"Token":      func(ctx context.Context) error { _, err := m.Source("k").TokenContext(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(f.Context(), time.Second/2)
			before := time.Now()
			assert.ErrorIs(f, act(ctx), context.DeadlineExceeded, doing)
			assert.Equal(f, time.Second/2, time.Since(before), doing)
			cancel()
		}
		assert.ErrorIs(f, <-hung, context.DeadlineExceeded)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, context.DeadlineExceeded)
		f.raw.mended()
	})
}

func TestUnknownConnectionRequiresALogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		for range 2 {
			_, err := m.Source("k").Token()
			assert.ErrorIs(f, err, storage.ErrNotFound)
			assert.ErrorContains(f, err, `connection "k"`)
			assert.ErrorIs(f, err, ErrLoginRequired)
			var e *Error
			require.ErrorAs(f, err, &e)
			assert.Equal(f, ReasonNotConnected, e.Reason)
			assert.Equal(f, "k", e.Connection)
			var answer *oauth2.RetrieveError
			require.ErrorAs(f, err, &answer)
			assert.Equal(f, "invalid_grant", answer.ErrorCode)
		}
		_, err := m.Status(f.Context(), "k")
		assert.ErrorIs(f, err, storage.ErrNotFound)
		assert.Empty(f, f.events)

		require.NoError(f, f.process().Save(f.Context(), "k", f.login()))
		time.Sleep(recheck)
		assert.Equal(f, "access-1", f.access(m))
	})
}

// unreadable are values that a Manager can't read, as they are in the raw store.
func unreadable(t *testing.T) map[string][]byte {
	seal := func(s string, k *storage.Keyset) []byte {
		var m storage.Memory
		_, err := storage.Encrypt(&m, k).Put(t.Context(), "k", []byte(s), "")
		require.NoError(t, err)
		sealed, _, err := m.Get(t.Context(), "k")
		require.NoError(t, err)
		return sealed
	}
	other, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return map[string][]byte{
		"sealed with a key that is missing": seal(goldenRecord, other),
		"not sealed":                        []byte(goldenRecord),
		"of a later format":                 seal(`{"format":2,"id":7,"access_token":"secret"}`, testKeyset),
		"damaged":                           seal(`{"format":1,"access_token":"secret"`, testKeyset),
		"of no format":                      seal(`{"access_token":"secret"}`, testKeyset),
	}
}

func TestRecordThatCannotBeReadIsAnErrorAndNeverOverwritten(t *testing.T) {
	for name, value := range unreadable(t) {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				v, err := f.raw.Store.Put(f.Context(), "k", value, "")
				require.NoError(f, err)
				m := f.process()
				for doing, act := range map[string]func() error{
					"Token":      func() error { _, err := m.Source("k").Token(); return err },
					"Status":     func() error { _, err := m.Status(f.Context(), "k"); return err },
					"Save":       func() error { return m.Save(f.Context(), "k", f.login()) },
					"Disconnect": func() error { return m.Disconnect(f.Context(), "k") },
				} {
					err := act()
					require.Error(f, err, doing)
					assert.NotErrorIs(f, err, storage.ErrNotFound, doing)
					assert.NotErrorIs(f, err, ErrLoginRequired, doing)
					assert.ErrorContains(f, err, `"k"`, doing)
					assert.NotContains(f, err.Error(), "secret", doing)
					switch name {
					case "sealed with a key that is missing":
						assert.ErrorIs(f, err, storage.ErrOpen, doing)
						assert.ErrorContains(f, err, "isn't in this keyset", doing)
					case "not sealed":
						assert.ErrorIs(f, err, storage.ErrOpen, doing)
					case "of a later format":
						assert.ErrorContains(f, err, "update it", doing)
					default:
						assert.ErrorContains(f, err, "damaged", doing)
					}
				}
				after, now, err := f.raw.Store.Get(f.Context(), "k")
				require.NoError(f, err)
				assert.Equal(f, v, now)
				assert.Equal(f, value, after)
				assert.Zero(f, f.count())
			})
		})
	}
}

func TestRecordThatBecomesUnreadableDuringARefreshIsNotOverwritten(t *testing.T) {
	for name, value := range unreadable(t) {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				login := f.stored()
				f.during(func() {
					_, v, err := f.raw.Store.Get(f.Context(), "k")
					require.NoError(f, err)
					_, err = f.raw.Store.Put(f.Context(), "k", value, v)
					require.NoError(f, err)
				})
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m))
				assert.Equal(f, StateUnsaved, f.status(m).State)
				time.Sleep(leaseTime)
				now, v, err := f.raw.Store.Get(f.Context(), "k")
				require.NoError(f, err)
				assert.Equal(f, value, now)

				require.NoError(f, f.raw.Store.Delete(f.Context(), "k", v)) // restored from a backup
				f.put(login)
				require.NoError(f, m.Flush(f.Context()))
				assert.Equal(f, "access-2", f.stored().AccessToken)
			})
		})
	}
}

// A store that fails to read while it has a record must not make a login look new.
func TestSaveFailsIfTheRecordCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, new(storage.Memory))
		m := f.process()
		f.raw.fail("get")
		err := m.Save(t.Context(), "k", f.login())
		assert.ErrorIs(t, err, errStoreDown)
		assert.Zero(t, f.raw.count("put"))
		assert.False(t, errors.Is(err, storage.ErrNotFound))
		assert.Empty(t, f.events)
	})
}

// unlockPanics is a store that locks, and panics when that is to end.
type unlockPanics struct{ *storage.Memory }

func (s unlockPanics) Lock(ctx context.Context, name string) (func(), error) {
	unlock, err := s.Memory.Lock(ctx, name)
	return func() { unlock(); panic(plantedPanic) }, err
}

func TestPanicOfUnlockEndsNothing(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		m.Store = encrypted(unlockPanics{new(storage.Memory)})
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
	})
}
