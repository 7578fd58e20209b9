package tokensource

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

var moved = Registration{Issuer: testIssuer, ClientID: "new-client"}

// renamed returns a Manager of another process, which has the registration moved.
func (f *fixture) renamed() *Manager {
	m := f.process()
	m.Registration = moved
	return m
}

func TestMoveGivesAConnectionToAnotherRegistration(t *testing.T) {
	onEvery(t, func(f *fixture) {
		ours := f.connected()
		m := f.renamed()
		_, err := m.Source("k").Token()
		require.True(f, isReason(err, ReasonOtherClient), "%v", err)
		require.NoError(f, m.Move(f.Context(), "k", testOwner))
		assert.Equal(f, moved, *f.stored().Registration)
		assert.Nil(f, f.stored().Attempt)
		assert.False(f, f.stored().MayBeSpent)
		assert.Equal(f, "access-1", f.access(m), "at once")
		assert.Zero(f, f.posts)

		require.NoError(f, m.Move(f.Context(), "k", testOwner), "it is ours already")
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		_, err = ours.Source("k").Token()
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
		require.NoError(f, ours.Move(f.Context(), "k", moved), "and back")
		assert.Equal(f, "access-2", f.access(ours))
	})
}

func TestMoveFromAnotherThanTheOwnerSaysWhoThatIs(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.connected()
		before := f.stored()
		err := f.renamed().Move(f.Context(), "k", Registration{Issuer: "https://elsewhere.test", ClientID: testClient})
		var e *Error
		require.ErrorAs(f, err, &e)
		assert.Equal(f, ReasonOtherClient, e.Reason)
		assert.Equal(f, testOwner, e.Owner)
		assert.Equal(f, moved, e.Manager)
		assert.Contains(f, err.Error(), testOwner.String())
		assert.Contains(f, err.Error(), moved.String())
		assert.Equal(f, before, f.stored())
	})
}

func TestMoveOfWhatIsNotThereOrCannotBeRead(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.renamed()
		err := m.Move(f.Context(), "k", testOwner)
		assert.True(f, isReason(err, ReasonNotConnected), "%v", err)

		_, err = f.store.Put(f.Context(), "k", []byte("no record"), "")
		require.NoError(f, err)
		err = m.Move(f.Context(), "k", testOwner)
		assert.True(f, isReason(err, ReasonStore), "%v", err)
		assert.ErrorIs(f, err, errRecord)

		require.NoError(f, (&Manager{Config: f.fakeProvider, Store: f.store}).Save(f.Context(), "l", f.login()))
		for _, op := range []string{"get", "put"} {
			f.raw.fail(op)
			err = m.Move(f.Context(), "l", testOwner)
			assert.ErrorIs(f, err, errStoreDown, op)
			assert.True(f, isReason(err, ReasonStore), "%v", err)
		}
		f.raw.mended()
		require.NoError(f, m.Move(f.Context(), "l", testOwner), "as soon as the store is back")
	})
}

// TestMoveWaitsForARefreshInFlight: moved before, the record would hold a refresh token that
// is being spent, and the new one would be nobody's.
func TestMoveWaitsForARefreshInFlight(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = func() time.Duration { return 20 * time.Second }
		ours := f.connected()
		time.Sleep(time.Hour)
		refreshed := later(ours.Source("k").Token)
		time.Sleep(time.Second)
		m := f.renamed()
		require.NoError(f, m.Move(f.Context(), "k", testOwner))
		r := <-refreshed
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.posts)
		assert.Zero(f, f.reused)
		assert.False(f, f.stored().MayBeSpent)
	})
}

func TestMoveThatWaitsCanBeGivenUp(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = func() time.Duration { return 20 * time.Second }
		ours := f.connected()
		time.Sleep(time.Hour)
		refreshed := later(ours.Source("k").Token)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(f, f.renamed().Move(ctx, "k", testOwner), context.DeadlineExceeded)
		require.NoError(f, (<-refreshed).err)
		assert.Equal(f, testOwner, *f.stored().Registration)
	})
}

// TestMoveTakesOverFromAProcessThatDied: its refresh token may be spent.
func TestMoveTakesOverFromAProcessThatDied(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.connected()
		f.put(f.stored().claimed("dead", false, time.Now()))
		m := f.renamed()
		start := time.Now()
		require.NoError(f, m.Move(f.Context(), "k", testOwner))
		assert.Greater(f, time.Since(start), leaseTime)
		assert.True(f, f.stored().MayBeSpent)
		assert.Equal(f, "access-1", f.access(m))
	})
}

// TestRefreshWhoseConnectionIsMovedMeanwhileIsNotSaved has the owner sleep through its lease.
func TestRefreshWhoseConnectionIsMovedMeanwhileIsNotSaved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		ours := f.connected()
		time.Sleep(time.Hour)
		f.fault = func() error { // while it is under way
			rec := f.stored()
			f.put(rec.moved(moved))
			return nil
		}
		_, err := ours.Source("k").Token()
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
		assert.Equal(f, moved, *f.stored().Registration)
		assert.Equal(f, "refresh-1", f.stored().RefreshToken)
		assert.Zero(f, f.seen(EventUnsaved))
		assert.Zero(f, f.seen(EventRefreshed))
	})
}

// TestMoveOfAllConnections is what the documentation says to do.
func TestMoveOfAllConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		manager := func(client string) *Manager {
			return &Manager{Config: new(fakeProvider), Store: store, Registration: Registration{Issuer: testIssuer, ClientID: client}}
		}
		save := func(client string, names ...string) {
			for _, name := range names {
				require.NoError(t, manager(client).Save(t.Context(), name, &oauth2.Token{AccessToken: name, RefreshToken: name}))
			}
		}
		save("old", "a", "b", "c")
		save("new", "d")
		save("other", "e")
		m := manager("new")
		for name, err := range store.Names(t.Context()) {
			require.NoError(t, err)
			if err := m.Move(t.Context(), name, Registration{Issuer: testIssuer, ClientID: "old"}); err != nil {
				assert.True(t, isReason(err, ReasonOtherClient), "%v", err)
				assert.Equal(t, "e", name)
			}
		}
		ours := 0
		for _, err := range m.Connections(t.Context()) {
			require.NoError(t, err)
			ours++
		}
		assert.Equal(t, 4, ours)
		_, err := manager("other").Status(t.Context(), "e")
		assert.NoError(t, err)
		_, _, err = store.Get(t.Context(), "nobody")
		assert.ErrorIs(t, err, storage.ErrNotFound)
	})
}

func TestMoveThatCannotBeWrittenLeavesNoAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		m := f.renamed()
		puts := f.raw.count("put")
		f.raw.set(func(op string) error {
			if op == "put" && f.raw.count("put") == puts+2 { // not the attempt
				return errStoreDown
			}
			return nil
		}, nil)
		require.ErrorIs(f, m.Move(f.Context(), "k", testOwner), errStoreDown)
		assert.Nil(f, f.stored().Attempt)
		assert.Equal(f, testOwner, *f.stored().Registration)
		start := time.Now()
		require.NoError(f, m.Move(f.Context(), "k", testOwner))
		assert.Zero(f, time.Since(start), "there is nobody to wait for")
		assert.Equal(f, moved, *f.stored().Registration)
		assert.False(f, f.stored().MayBeSpent)
		assert.False(f, f.stored().SentTwice)
	})
}

// Only a write that returned nil is durable: a power cut may bring back who it was before.
func TestMoveThatSeemedToFailIsWrittenAgain(t *testing.T) {
	for name, fault := range map[string]error{"it failed": errStoreDown, "it was refused": storage.ErrConflict} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.connected()
				m := f.renamed()
				writes, failures := 0, 2
				f.raw.set(nil, func(op string) error {
					if op != "put" || *f.stored().Registration != moved {
						return nil
					}
					if writes++; writes <= failures {
						return fault
					}
					return nil
				})
				for fault == errStoreDown && failures > writes {
					require.ErrorIs(f, m.Move(f.Context(), "k", testOwner), errStoreDown)
					assert.Equal(f, moved, *f.stored().Registration)
				}
				require.NoError(f, m.Move(f.Context(), "k", testOwner))
				assert.Equal(f, failures+1, writes)
				require.NoError(f, m.Move(f.Context(), "k", testOwner))
				assert.Equal(f, failures+1, writes, "it is known to be moved")
				assert.Equal(f, "access-1", f.access(m))
				assert.Empty(f, m.untold)
			})
		})
	}
}

// The attempt of a caller who leaves while it is written, or of a write that seemed to fail, is
// in the record, and nobody has spent anything with it.
func TestAttemptThatSeemedNotToBeWrittenIsTakenBack(t *testing.T) {
	for name, call := range map[string]func(f *fixture, ctx context.Context, m *Manager) error{
		"Disconnect": func(_ *fixture, ctx context.Context, m *Manager) error { return m.Disconnect(ctx, "k") },
		"Move":       func(f *fixture, ctx context.Context, _ *Manager) error { return f.renamed().Move(ctx, "k", testOwner) },
	} {
		for why, fault := range map[string]error{"canceled": context.Canceled, "failed": errStoreDown} {
			t.Run(name+", "+why, func(t *testing.T) {
				onEvery(t, func(f *fixture) {
					m, _ := f.revocable(nil)
					time.Sleep(time.Hour)
					ctx, cancel := context.WithCancel(f.Context())
					defer cancel()
					f.raw.set(nil, func(op string) error {
						if op != "put" {
							return nil
						}
						f.raw.mended()
						if fault == context.Canceled {
							cancel()
						}
						return fault
					})
					require.ErrorIs(f, call(f, ctx, m), fault)
					synctest.Wait()
					assert.Nil(f, f.stored().Attempt)

					other, start := f.process(), time.Now()
					assert.Equal(f, "access-2", f.access(other))
					assert.Zero(f, time.Since(start), "there is nobody to wait for")
					assert.Zero(f, f.seen(EventTakenOver))
					assert.False(f, f.stored().MayBeSpent)
				})
			})
		}
	}
}

// Who gets the store's lock takes an attempt whose owner had the lock for a dead one's.
func TestAttemptIsTakenBackBeforeSomeoneElseHasTheLock(t *testing.T) {
	onLock(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		other := f.process()
		time.Sleep(time.Hour)
		var waiting <-chan result
		f.raw.set(nil, func(op string) error {
			if op != "put" {
				return nil
			}
			f.raw.mended()
			waiting = later(other.Source("k").Token)
			time.Sleep(time.Second)
			return errStoreDown
		})
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		r := <-waiting
		require.NoError(f, r.err)
		assert.Equal(f, "access-2", r.AccessToken)
		assert.Zero(f, f.seen(EventTakenOver))
		assert.False(f, f.stored().MayBeSpent)
	})
}
