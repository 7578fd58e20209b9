package tokensource

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func after(d time.Duration) func() time.Duration { return func() time.Duration { return d } }

func TestOneRefreshServesAllCallersOfAllProcesses(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(time.Second)
		f.connected()
		time.Sleep(time.Hour)
		var wg sync.WaitGroup
		for range 4 {
			s := f.process().Source("k")
			for range 10 {
				wg.Go(func() {
					tok, err := s.Token()
					if assert.NoError(f, err) {
						assert.Equal(f, "access-2", tok.AccessToken)
						assert.Equal(f, "refresh-2", tok.RefreshToken)
					}
				})
			}
		}
		wg.Wait()
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.reused)
		assert.Equal(f, 1, f.seen(EventRefreshed))
		assert.Nil(f, f.stored().Attempt)
	})
}

func TestCallersOfOneProcessShareOneFlight(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(5 * time.Second) // too short for a renewal to matter
		m := f.connected()
		time.Sleep(time.Hour)
		gets, puts := f.raw.count("get"), f.raw.count("put")
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				f.access(m)
			})
		}
		wg.Wait()
		assert.LessOrEqual(f, f.raw.count("get"), gets+2)
		assert.LessOrEqual(f, f.raw.count("put"), puts+7, "the attempt, five renewals, the token")
		assert.Equal(f, 1, f.count())
	})
}

func TestCancelledCallerReturnsAtOnceAndTheRefreshIsSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(3 * time.Second)
		m := f.connected()
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(f.Context(), time.Second)
		defer cancel()
		c := later(func() (*oauth2.Token, error) { return m.Source("k").TokenContext(ctx) })
		r := <-c
		assert.ErrorIs(f, r.err, context.DeadlineExceeded)
		assert.Equal(f, time.Second, r.took)
		assert.Equal(f, "access-1", f.stored().AccessToken)

		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Equal(f, 1, f.count())
	})
}

func TestCallerWhoseContextIsDoneStillGetsAValidToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		ctx, cancel := context.WithCancel(f.Context())
		cancel()
		tok, err := m.Source("k").TokenContext(ctx)
		require.NoError(f, err)
		assert.Equal(f, "access-1", tok.AccessToken)
	})
}

func TestRefreshTakesNothingButTheHTTPClientFromTheCallersContext(t *testing.T) {
	onSwap(t, func(f *fixture) {
		type key struct{}
		m := f.processWith(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
			assert.Nil(f, ctx.Value(key{}), "others wait for the same request")
			assert.NotNil(f, ctx.Value(oauth2.HTTPClient))
			deadline, ok := ctx.Deadline()
			assert.True(f, ok)
			assert.Equal(f, defaultRefreshTimeout, time.Until(deadline), "the caller's own deadline doesn't count")
			return f.refresh(ctx, refresh)
		})
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(context.WithValue(f.Context(), key{}, "value"), time.Second)
		defer cancel()
		_, err := m.Source("k").TokenContext(ctx)
		require.NoError(f, err)
	})
}

func TestValidTokenIsServedWhileItIsRefreshedInTheBackground(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(5 * time.Second)
		m := f.connected()
		time.Sleep(58 * time.Minute)
		for range 3 {
			r := <-later(m.Source("k").Token)
			require.NoError(f, r.err)
			assert.Equal(f, "access-1", r.AccessToken)
			assert.Zero(f, r.took)
			time.Sleep(time.Second)
		}
		require.NoError(f, m.Flush(f.Context()))
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
	})
}

func TestTokenSavedByAnotherProcessIsAdopted(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		other := f.process()
		assert.Equal(f, "access-1", f.access(other))
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, "access-2", f.access(other))
		assert.Equal(f, 1, f.count())
		assert.Equal(f, 1, f.seen(EventAdopted))
		assert.Equal(f, f.stored().Expiry, f.lastEvent(EventAdopted).Expiry)
	})
}

func TestAttemptIsWrittenBeforeTheRefreshTokenIsSent(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error {
			rec := f.stored()
			if assert.NotNil(f, rec.Attempt) {
				assert.NotEmpty(f, rec.Attempt.ID)
				assert.WithinDuration(f, time.Now(), rec.Attempt.Started, time.Second)
			}
			assert.Equal(f, "refresh-1", rec.RefreshToken)
			assert.False(f, rec.MayBeSpent)
			return nil
		}
		time.Sleep(time.Hour)
		f.access(m)
		assert.Equal(f, 1, f.count())
	})
}

func TestNothingIsSentIfTheAttemptCannotBeWritten(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.raw.fail("put")
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, errStoreDown)
		assert.Zero(f, f.count())
		f.raw.mended()
		time.Sleep(recheck)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
	})
}

func TestTokenIsSavedBeforeItIsHandedOut(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		answered := false
		f.loss = func() error { answered = true; return nil }
		f.raw.set(func(op string) error {
			if op == "put" && answered {
				time.Sleep(2500 * time.Millisecond)
			}
			return nil
		}, nil)
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		early := later(m.Source("k").Token)
		time.Sleep(2 * time.Second)
		select {
		case <-c:
			assert.Fail(f, "handed out before it was saved")
		case <-early:
			assert.Fail(f, "handed out before it was saved")
		default:
		}
		r := <-c
		require.NoError(f, r.err)
		assert.Equal(f, r.AccessToken, f.stored().AccessToken)
		assert.Equal(f, 2500*time.Millisecond, r.took)
		<-early
	})
}

// x/oauth2 counts a lifetime from when it reads the answer.
func TestTimeThatTheAnswerTookIsPartOfATokensLife(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		sent := time.Now()
		f.loss = func() error { time.Sleep(20 * time.Second); return nil }
		tok, err := m.Source("k").Token()
		require.NoError(f, err)
		assert.Equal(f, 20*time.Second, time.Since(sent))
		assert.True(f, tok.Expiry.Before(sent.Add(time.Hour+time.Second)))
		assert.False(f, tok.Expiry.Before(sent.Add(time.Hour-21*time.Second)))
	})
}

func TestNonExpiringTokenIsNeverRefreshed(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.life = -1
		m := f.connected()
		other := f.process()
		for range 10 {
			time.Sleep(1000 * time.Hour)
			assert.Equal(f, "access-1", f.access(m))
			assert.Equal(f, "access-1", f.access(other))
		}
		assert.Zero(f, f.count())
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestExpiredTokenWithoutRefreshTokenRequiresALogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		tok := f.login()
		tok.RefreshToken = ""
		require.NoError(f, m.Save(f.Context(), "k", tok))
		time.Sleep(59 * time.Minute)
		assert.Equal(f, "access-1", f.access(m), "to its end, since nothing better will come")
		time.Sleep(time.Minute)
		for range 3 {
			_, err := m.Source("k").Token()
			assert.ErrorIs(f, err, ErrLoginRequired)
			time.Sleep(time.Minute)
		}
		assert.Zero(f, f.count())
		assert.Equal(f, 1, f.seen(EventLoginRequired), "told once")
		assert.Equal(f, ReasonExpired, f.lastEvent(EventLoginRequired).Reason)
		st := f.status(f.process())
		assert.Equal(f, StateLoginRequired, st.State)
		assert.Equal(f, ReasonExpired, st.Reason)
		assert.False(f, st.Refreshable)
	})
}

func TestWhatTheProviderDoesNotSendAgainIsKept(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.processWith(func(context.Context, string) (*oauth2.Token, error) {
			t := &oauth2.Token{AccessToken: "new", Expiry: time.Now().Add(time.Hour)}
			return t.WithExtra(map[string]any{"scope": "write"}), nil
		})
		login := &oauth2.Token{AccessToken: "old", RefreshToken: "the refresh token", TokenType: "DPoP", Expiry: time.Now().Add(time.Hour)}
		require.NoError(f, m.Save(f.Context(), "k", login.WithExtra(map[string]any{"scope": "read", "company_id": "c-1"})))
		issued := time.Now()
		time.Sleep(time.Hour)
		tok, err := m.Source("k").Token()
		require.NoError(f, err)
		for _, tok := range []*oauth2.Token{tok, f.stored().token()} {
			assert.Equal(f, "new", tok.AccessToken)
			assert.Equal(f, "the refresh token", tok.RefreshToken)
			assert.Equal(f, "DPoP", tok.TokenType)
			assert.Equal(f, "write", tok.Extra("scope"))
			assert.Equal(f, "c-1", tok.Extra("company_id"))
		}
		st := f.status(m)
		assert.True(f, st.Login.Equal(issued))
		assert.True(f, st.RefreshTokenIssued.Equal(issued), "it is as old as before")
		assert.True(f, st.Obtained.Equal(time.Now()))
	})
}

func TestEveryCallerGetsACopyOfTheToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		saved := f.login().WithExtra(map[string]any{"list": []any{"a"}, "object": map[string]any{"b": "c"}})
		require.NoError(f, m.Save(f.Context(), "k", saved))
		spoil := func(tok *oauth2.Token) {
			tok.AccessToken, tok.RefreshToken, tok.Expiry = "spoilt", "spoilt", time.Time{}
			tok.Extra("list").([]any)[0] = "spoilt"
			tok.Extra("object").(map[string]any)["b"] = "spoilt"
		}
		spoil(saved)
		for range 2 {
			tok, err := m.Source("k").Token()
			require.NoError(f, err)
			assert.Equal(f, "access-1", tok.AccessToken)
			assert.Equal(f, "refresh-1", tok.RefreshToken)
			assert.False(f, tok.Expiry.IsZero())
			assert.Equal(f, []any{"a"}, tok.Extra("list"))
			assert.Equal(f, map[string]any{"b": "c"}, tok.Extra("object"))
			spoil(tok)
		}
	})
}
