package tokensource

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/storage"
)

// TestForgetDeletesWhatCannotBeOpened, so that the user can connect again.
func TestForgetDeletesWhatCannotBeOpened(t *testing.T) {
	lost, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	for name, damage := range map[string]func(f *fixture){
		"key lost": func(f *fixture) {
			_, v, err := f.raw.Store.Get(f.Context(), "k")
			require.NoError(f, err)
			require.NoError(f, f.raw.Store.Delete(f.Context(), "k", v))
			_, err = storage.Encrypt(f.raw.Store, lost).Put(f.Context(), "k", []byte("{}"), "")
			require.NoError(f, err)
		},
		"damaged": func(f *fixture) {
			_, v, err := f.raw.Store.Get(f.Context(), "k")
			require.NoError(f, err)
			_, err = f.raw.Store.Put(f.Context(), "k", []byte("garbage"), v)
			require.NoError(f, err)
		},
		"no record":   func(f *fixture) { f.overwrite(`[]`) },
		"a later one": func(f *fixture) { f.overwrite(`{"format":2}`) },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.connected()
				damage(f)
				m := f.process()
				_, err := m.Source("k").Token()
				_, statusErr := m.Status(f.Context(), "k")
				for _, err := range []error{err, statusErr, m.Save(f.Context(), "k", f.login())} {
					assert.True(f, isReason(err, ReasonStore), "%v", err)
					assert.ErrorContains(f, err, "Forget")
				}
				require.Error(f, m.Disconnect(f.Context(), "k"))
				require.NoError(f, m.Forget(f.Context(), "k"))
				assert.Equal(f, 1, f.seen(EventDisconnected))
				require.NoError(f, m.Forget(f.Context(), "k"), "again")
				assert.Equal(f, 1, f.seen(EventDisconnected))
				token := f.login()
				require.NoError(f, m.Save(f.Context(), "k", token))
				assert.Equal(f, token.AccessToken, f.access(m))
			})
		})
	}
}

// overwrite puts text, sealed, into the place of the record.
func (f *fixture) overwrite(text string) {
	f.Helper()
	s := encrypted(f.raw.Store)
	_, v, err := s.Get(f.Context(), "k")
	require.NoError(f, err)
	_, err = s.Put(f.Context(), "k", []byte(text), v)
	require.NoError(f, err)
}

func TestForgetLeavesARecordThatIsGoodAgain(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		gets := 0
		f.raw.set(func(op string) error {
			if op == "get" {
				if gets++; gets == 1 {
					return errStoreDown
				}
			}
			return nil
		}, nil)
		assert.ErrorIs(f, m.Forget(f.Context(), "k"), errStoreDown, "that is no reason to discard it")
		f.raw.mended()
		assert.Equal(f, "access-1", f.stored().AccessToken)
		time.Sleep(maxBackoff)
		assert.Equal(f, "access-1", f.access(m))
	})
}

// It is good again when its turn has come: the user has connected in another process.
func TestForgetDoesNotDiscardWhatHasReplacedWhatCannotBeRead(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		rec := f.stored()
		f.overwrite("[]")
		m, gets := f.process(), 0
		other := *rec
		other.Registration = &moved
		f.raw.set(func(op string) error {
			if op == "get" {
				if gets++; gets == 2 {
					f.put(&other)
				}
			}
			return nil
		}, nil)
		err := m.Forget(f.Context(), "k")
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
		f.raw.mended()
		assert.Equal(f, moved, *f.stored().Registration)
		assert.Zero(f, f.seen(EventDisconnected))
	})
}

func TestForgetThatSeemedToFailIsRepeated(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.raw.set(nil, func(op string) error {
			if op == "delete" {
				return errStoreDown
			}
			return nil
		})
		for range 2 {
			err := m.Forget(f.Context(), "k")
			assert.True(f, isReason(err, ReasonStore), "that there is no record isn't durable: %v", err)
		}
		f.raw.mended()
		deletes := f.raw.count("delete")
		require.NoError(f, m.Forget(f.Context(), "k"))
		assert.Equal(f, deletes+1, f.raw.count("delete"))
		f.gone(m)
	})
}

// The application counts on one event for each connection that has ended, also if the call
// that ended it returned an error.
func TestEndOfAConnectionWhoseDeletionSeemedToFailIsToldOnce(t *testing.T) {
	calls := map[string]func(m *Manager, ctx context.Context) error{
		"Disconnect": func(m *Manager, ctx context.Context) error { return m.Disconnect(ctx, "k") },
		"Forget":     func(m *Manager, ctx context.Context) error { return m.Forget(ctx, "k") },
		"Discard":    func(m *Manager, ctx context.Context) error { return m.Forget(ctx, "k") },
	}
	for name, call := range calls {
		for _, deleted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, deleted: %v", name, deleted), func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m, _ := f.revocable(nil)
					if name == "Discard" {
						f.overwrite("[]")
					}
					failing := func(op string) error {
						if op == "delete" {
							return errStoreDown
						}
						return nil
					}
					if deleted {
						f.raw.set(nil, failing)
					} else {
						f.raw.set(failing, nil)
					}
					for range 2 {
						require.ErrorIs(f, call(m, f.Context()), errStoreDown)
						assert.Zero(f, f.seen(EventDisconnected), "it isn't certain")
					}
					f.raw.mended()
					var all sync.WaitGroup
					for range 3 {
						all.Go(func() { assert.NoError(f, call(m, f.Context())) })
					}
					all.Wait()
					assert.NoError(f, calls["Disconnect"](m, f.Context()))
					assert.Equal(f, 1, f.seen(EventDisconnected))
					assert.Empty(f, m.untold)
				})
			})
		}
	}
}

// Of two calls at once the one that deletes tells it, and the one that finds nothing doesn't,
// also where an earlier one had seemed to fail.
func TestEndOfAConnectionIsToldByWhoDeletes(t *testing.T) {
	calls := map[string]func(m *Manager, ctx context.Context) error{
		"Disconnect": func(m *Manager, ctx context.Context) error { return m.Disconnect(ctx, "k") },
		"Forget":     func(m *Manager, ctx context.Context) error { return m.Forget(ctx, "k") },
	}
	for name, call := range calls {
		for other, otherCall := range calls {
			t.Run(name+" beside "+other, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m, _ := f.revocable(nil)
					f.raw.fail("delete")
					require.ErrorIs(f, call(m, f.Context()), errStoreDown)
					deletes := f.raw.count("delete")
					f.raw.set(nil, func(op string) error {
						if op == "delete" && f.raw.count("delete") == deletes+1 {
							assert.NoError(f, otherCall(m, f.Context()), "when it is done, and before that is known")
						}
						return nil
					})
					require.NoError(f, call(m, f.Context()))
					assert.Equal(f, 1, f.seen(EventDisconnected))
					assert.Empty(f, m.untold)
				})
			})
		}
	}
}

// The deletion that had seemed to fail is done when the next is on its way.
func TestEndOfAConnectionThatIsDeletedLateIsTold(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.fail("delete")
		require.ErrorIs(f, m.Forget(f.Context(), "k"), errStoreDown)
		deletes := f.raw.count("delete")
		f.raw.set(func(op string) error {
			if op == "delete" && f.raw.count("delete") == deletes+1 {
				_, version, err := f.raw.Store.Get(f.Context(), "k")
				require.NoError(f, err)
				require.NoError(f, f.raw.Store.Delete(f.Context(), "k", version))
			}
			return nil
		}, nil)
		require.NoError(f, m.Forget(f.Context(), "k"))
		assert.Equal(f, 1, f.seen(EventDisconnected))
		assert.Empty(f, m.untold)
	})
}

func TestEndOfAConnectionIsNotToldAfterItIsConnectedAgain(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.set(nil, func(op string) error {
			if op == "delete" {
				return errStoreDown
			}
			return nil
		})
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		f.raw.mended()
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		other := f.process()
		require.NoError(f, other.Forget(f.Context(), "k"))
		require.NoError(f, m.Disconnect(f.Context(), "k"), "which the other process has told of")
		assert.Equal(f, 1, f.seen(EventDisconnected))
	})
}

func TestNothingIsToldOfWhatWasNeverConnected(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.fail("delete")
		require.ErrorIs(f, m.Disconnect(f.Context(), "never"), errStoreDown)
		require.ErrorIs(f, m.Forget(f.Context(), "never"), errStoreDown)
		f.raw.mended()
		require.NoError(f, m.Disconnect(f.Context(), "never"))
		require.NoError(f, m.Forget(f.Context(), "never"))
		assert.Zero(f, f.seen(EventDisconnected))
	})
}

// It is connected between the read that finds nothing and the deletion that makes that durable.
func TestDisconnectAndForgetOfWhatIsConnectedMeanwhile(t *testing.T) {
	for name, call := range map[string]func(m *Manager, ctx context.Context) error{
		"Disconnect": func(m *Manager, ctx context.Context) error { return m.Disconnect(ctx, "k") },
		"Forget":     func(m *Manager, ctx context.Context) error { return m.Forget(ctx, "k") },
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m, r := f.revocable(nil)
				other := f.process()
				other.Config = r
				require.NoError(f, other.Forget(f.Context(), "k"))
				f.raw.set(func(op string) error {
					if op == "delete" {
						f.raw.mended()
						return m.Save(f.Context(), "k", f.login())
					}
					return nil
				}, nil)
				require.NoError(f, call(other, f.Context()))
				f.gone(other)
			})
		})
	}
}

// The store refuses the deletion, as after a write of another process, and is down from then on.
func TestRevokedTokenIsNotServedHoweverDisconnectFails(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.access(m)
		f.raw.set(func(op string) error {
			if op == "delete" {
				f.raw.down()
				return storage.ErrConflict
			}
			return nil
		}, nil)
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		_, err := m.Source("k").Token()
		assert.True(f, isReason(err, ReasonStore), "%v", err)
	})
}

func TestLoginThatIsSavedBeforeDisconnectFailsIsServed(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.set(func(op string) error {
			if op == "delete" {
				f.raw.mended()
				require.NoError(f, m.Save(f.Context(), "k", f.login()))
				return errStoreDown
			}
			return nil
		}, nil)
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		assert.Equal(f, "access-2", f.access(m))
		assert.Zero(f, f.count(), "no refresh was needed")
	})
}
