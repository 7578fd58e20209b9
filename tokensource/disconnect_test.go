package tokensource

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// revoker is a Config that can revoke tokens.
type revoker struct {
	*fakeProvider
	act func(ctx context.Context) error // before it is revoked; may be nil

	mu      sync.Mutex
	revoked []string // refresh tokens
}

func (r *revoker) Revoke(ctx context.Context, t *oauth2.Token) error {
	r.mu.Lock()
	r.revoked = append(r.revoked, t.RefreshToken)
	act := r.act
	r.mu.Unlock()
	if act != nil {
		if err := act(ctx); err != nil {
			return err
		}
	}
	r.revokeFamily(t.RefreshToken)
	return nil
}

// revokeFamily ends the grant that a refresh token belongs to.
func (p *fakeProvider) revokeFamily(refresh string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g := p.tokens[refresh]; g != nil {
		*g.family = fakeFamily{dead: true, revoked: true}
	}
}

// revocable returns a Manager with a login whose Config can revoke it.
func (f *fixture) revocable(act func(context.Context) error) (*Manager, *revoker) {
	f.Helper()
	r := &revoker{fakeProvider: f.fakeProvider, act: act}
	m := f.process()
	m.Config = r
	require.NoError(f, m.Save(f.Context(), "k", f.login()))
	return m, r
}

// gone checks that there is no connection.
func (f *fixture) gone(managers ...*Manager) {
	f.Helper()
	_, _, err := f.raw.Store.Get(f.Context(), "k")
	assert.ErrorIs(f, err, storage.ErrNotFound)
	for _, m := range managers {
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, storage.ErrNotFound)
		_, err = m.Status(f.Context(), "k")
		assert.ErrorIs(f, err, storage.ErrNotFound)
	}
}

func TestDisconnectRevokesAndThenDeletes(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(func(ctx context.Context) error {
			rec := f.stored() // it is still there
			assert.NotNil(f, rec.Attempt, "so that nobody refreshes it meanwhile")
			_, ok := ctx.Deadline()
			assert.True(f, ok)
			return nil
		})
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, []string{"refresh-1"}, r.revoked)
		f.gone(m, f.process())
		assert.Equal(f, 1, f.seen(EventDisconnected))
		assert.Equal(f, "k", f.lastEvent(EventDisconnected).Connection)

		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestDisconnectSaysWhatCannotBeRevokedAndForgetDeletesIt(t *testing.T) {
	for name, act := range map[string]func(context.Context) error{
		"unsupported": func(context.Context) error { return fmt.Errorf("no endpoint: %w", errors.ErrUnsupported) },
		"no method":   nil,
		"embedded":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m, r := f.revocable(act)
				switch name {
				case "no method":
					m.Config = f.fakeProvider
				case "embedded":
					m.Config, m.Registration = struct{ Refresher }{r}, testOwner
				}
				before := f.stored()
				err := m.Disconnect(f.Context(), "k")
				require.ErrorIs(f, err, errors.ErrUnsupported)
				assert.ErrorContains(f, err, "Manager.Forget")
				assert.Equal(f, before, f.stored(), "nothing is done")
				require.NoError(f, m.Forget(f.Context(), "k"))
				f.gone(m)
				assert.Equal(f, 1, f.seen(EventDisconnected))
				require.NoError(f, m.Disconnect(f.Context(), "k"), "there is nothing to revoke")
				require.NoError(f, m.Forget(f.Context(), "k"))
				assert.Equal(f, 1, f.seen(EventDisconnected))
			})
		})
	}
}

func TestDisconnectKeepsTheRecordIfTheRevocationFails(t *testing.T) {
	onEvery(t, func(f *fixture) {
		failure := errors.New("the provider is in trouble")
		m, r := f.revocable(func(context.Context) error { return failure })
		before := f.stored()
		err := m.Disconnect(f.Context(), "k")
		assert.EqualError(f, err, `tokensource: can't revoke the grant of connection "k": the provider is unavailable`)
		assert.Equal(f, before, f.stored(), "without an attempt")
		assert.Equal(f, "access-1", f.access(m))
		assert.Zero(f, f.seen(EventDisconnected))
		time.Sleep(time.Hour)
		q := <-later(m.Source("k").Token)
		require.NoError(f, q.err)
		assert.Zero(f, q.took, "nobody waits for a lease")

		failure = nil
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, []string{"refresh-1", "refresh-2"}, r.revoked)
		f.gone(m)
	})
}

func TestDisconnectTwiceIsLikeOnce(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(nil)
		for range 3 {
			require.NoError(f, m.Disconnect(f.Context(), "k"))
		}
		require.NoError(f, f.process().Disconnect(f.Context(), "k"))
		assert.Len(f, r.revoked, 1)
		assert.Equal(f, 1, f.seen(EventDisconnected))
		require.NoError(f, m.Disconnect(f.Context(), "never connected"))
	})
}

func TestDisconnectForgetsWhatAnotherProcessHasDeleted(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		other := f.process()
		assert.Equal(f, "access-1", f.access(other))
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		require.NoError(f, other.Disconnect(f.Context(), "k"))
		f.gone(other)
	})
}

func TestDisconnectRevokesWhatARefreshInFlightBrings(t *testing.T) {
	for _, where := range []string{"here", "elsewhere"} {
		t.Run(where, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.latency = after(15 * time.Second)
				m, r := f.revocable(nil)
				refresher := m
				if where == "elsewhere" {
					refresher = f.process()
				}
				time.Sleep(time.Hour)
				c := later(refresher.Source("k").Token)
				time.Sleep(time.Second)
				require.NoError(f, m.Disconnect(f.Context(), "k"))
				assert.Equal(f, []string{"refresh-2"}, r.revoked)
				// It was saved before, but its caller may look only after it is gone.
				if q := <-c; q.err != nil {
					assert.True(f, where == "here" && isReason(q.err, ReasonNotConnected), "%v", q.err)
				}
				f.gone(m)
				assert.Equal(f, 1, f.count())
			})
		})
	}
}

func TestDisconnectThatWaitsCanBeGivenUp(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(15 * time.Second)
		m, r := f.revocable(nil)
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(f.Context(), 3*time.Second)
		defer cancel()
		before := time.Now()
		assert.ErrorIs(f, m.Disconnect(ctx, "k"), context.DeadlineExceeded)
		assert.LessOrEqual(f, time.Since(before), 3*time.Second)
		assert.Empty(f, r.revoked)
		assert.NoError(f, (<-c).err)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestDisconnectSavesWhatIsUnsavedAndRevokesThat(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(nil)
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		assert.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		assert.Empty(f, r.revoked, "what can't be deleted isn't revoked")
		assert.Equal(f, "access-2", f.access(m))
		f.raw.mended()
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, []string{"refresh-2"}, r.revoked)
		f.gone(m)
		assert.Empty(f, m.unsaved)
	})
}

// The flight holds the store's lock, for which Disconnect waits, and leaves it to
// what saves the token later.
func TestDisconnectDoesNotKeepAnUnsavedTokenFromBeingSaved(t *testing.T) {
	onLock(t, func(f *fixture) {
		f.latency = after(5 * time.Second)
		m, r := f.revocable(nil)
		f.unsavedFrom("put")
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		time.AfterFunc(20*time.Second, f.raw.mended)
		before := time.Now()
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Less(f, time.Since(before), time.Minute)
		assert.Equal(f, []string{"refresh-2"}, r.revoked)
		assert.NoError(f, (<-c).err)
		f.gone(m)
	})
}

func TestLoginSavedDuringTheRevocationStays(t *testing.T) {
	onEvery(t, func(f *fixture) {
		var m *Manager
		m, r := f.revocable(func(context.Context) error {
			time.Sleep(time.Second)
			return m.Save(f.Context(), "k", f.login())
		})
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, []string{"refresh-1"}, r.revoked, "and the new login isn't")
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.access(f.process()))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Zero(f, f.seen(EventDisconnected))
	})
}

func TestSlowRevocationIsNotTakenForACrash(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(func(context.Context) error { time.Sleep(20 * time.Second); return nil })
		other := f.process()
		time.Sleep(time.Hour)
		done := make(chan error, 1)
		go func() { done <- m.Disconnect(f.Context(), "k") }()
		time.Sleep(time.Second)
		q := <-later(other.Source("k").Token)
		assert.ErrorIs(f, q.err, storage.ErrNotFound)
		require.NoError(f, <-done)
		assert.Zero(f, f.count(), "nobody refreshed what was being revoked")
		assert.Len(f, r.revoked, 1)
	})
}

func TestHangingRevocationEndsAfterRefreshTimeout(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		m.RefreshTimeout = 7 * time.Second
		before := time.Now()
		assert.ErrorIs(f, m.Disconnect(f.Context(), "k"), context.DeadlineExceeded)
		assert.Equal(f, 7*time.Second, time.Since(before))
		assert.Nil(f, f.stored().Attempt)
	})
}

func TestWhatWasRevokedIsDeletedThoughTheCallerHasGone(t *testing.T) {
	onEvery(t, func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		m, _ := f.revocable(func(context.Context) error { cancel(); return nil })
		require.NoError(f, m.Disconnect(ctx, "k"))
		f.gone(m)
	})
}

func TestRevocationThatFailsForACallerWhoHasGoneLeavesNoAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		ctx, cancel := context.WithCancel(f.Context())
		m, _ := f.revocable(func(ctx context.Context) error { cancel(); return ctx.Err() })
		assert.ErrorIs(f, m.Disconnect(ctx, "k"), context.Canceled)
		assert.Nil(f, f.stored().Attempt)
	})
}

// What a crashed process may have spent stays in doubt.
func TestDisconnectThatFailsKeepsTheDoubtAboutAnAbandonedAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		failure := errors.New("the provider is in trouble")
		m, _ := f.revocable(func(context.Context) error { return failure })
		f.abandon(time.Now())
		before := time.Now()
		assert.ErrorContains(f, m.Disconnect(f.Context(), "k"), "can't revoke")
		if f.locked {
			assert.Zero(f, time.Since(before))
		} else {
			assert.Greater(f, time.Since(before), leaseTime)
		}
		assert.True(f, f.stored().MayBeSpent)
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
	})
}

func TestDisconnectReadsAgainAfterAConflict(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, r := f.revocable(nil)
		conflicts := 0
		f.raw.set(func(op string) error {
			if (op == "put" || op == "delete") && conflicts < 4 {
				conflicts++
				f.put(f.stored()) // as Rekey does
			}
			return nil
		}, nil)
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		f.raw.mended()
		assert.Equal(f, 4, conflicts)
		assert.NotEmpty(f, r.revoked)
		f.gone(m)
		assert.Equal(f, 1, f.seen(EventDisconnected))
	})
}

func TestDisconnectReturnsTheStoresErrors(t *testing.T) {
	for _, op := range []string{"get", "put", "delete", "lock"} {
		t.Run(op, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				if op == "lock" && !f.locked {
					return
				}
				m, r := f.revocable(nil)
				f.raw.fail(op)
				err := m.Disconnect(f.Context(), "k")
				assert.ErrorIs(f, err, errStoreDown)
				assert.ErrorContains(f, err, `"k"`)
				assert.Equal(f, op == "delete", len(r.revoked) == 1)
				f.raw.mended()
				require.NoError(f, m.Disconnect(f.Context(), "k"), "it can be tried again")
				f.gone(m)
			})
		})
	}
}

// A record that was deleted after all, though the store said it failed.
func TestDisconnectThatSeemedToFailCanBeRepeated(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.set(nil, func(op string) error {
			if op == "delete" {
				return errStoreDown
			}
			return nil
		})
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown, "that there is no record isn't durable")
		f.raw.mended()
		deletes := f.raw.count("delete")
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Equal(f, deletes+1, f.raw.count("delete"))
		f.gone(m)
	})
}

// Someone else deletes it between the revocation and our own deletion.
func TestConcurrentDisconnectsBothSucceed(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(func(context.Context) error { time.Sleep(time.Second); return nil })
		other := f.process()
		other.Config = m.Config
		var wg sync.WaitGroup
		for _, m := range []*Manager{m, other, m} {
			wg.Go(func() { assert.NoError(f, m.Disconnect(f.Context(), "k")) })
		}
		wg.Wait()
		f.gone(m, other)
		assert.Equal(f, 1, f.seen(EventDisconnected))
	})
}

func TestRecordDeletedDuringTheRevocationCountsAsDisconnected(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(func(context.Context) error {
			_, v, err := f.raw.Store.Get(f.Context(), "k")
			require.NoError(f, err)
			return f.raw.Store.Delete(f.Context(), "k", v)
		})
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		f.gone(m)
		assert.Equal(f, 1, f.seen(EventDisconnected))
	})
}

func TestRevokedTokenThatCannotBeDeletedIsNotServedAndLeavesNoAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(nil)
		f.raw.fail("delete")
		require.ErrorIs(f, m.Disconnect(f.Context(), "k"), errStoreDown)
		assert.Nil(f, f.stored().Attempt)
		start := time.Now()
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		f.raw.mended()
		require.NoError(f, m.Disconnect(f.Context(), "k"))
		assert.Zero(f, time.Since(start), "there is nobody to wait for")
		f.gone(m)
	})
}
