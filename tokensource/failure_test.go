package tokensource

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestRevokedGrantRequiresALogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		assert.EqualError(f, err, `tokensource: login required for connection "k": the grant was revoked or has expired (invalid_grant)`)
		var retrieve *oauth2.RetrieveError
		assert.ErrorAs(f, err, &retrieve, "for whoever wants to see all of it")
		e := f.lastEvent(EventLoginRequired)
		assert.Equal(f, "k", e.Connection)
		assert.Equal(f, ReasonRevoked, e.Reason)
		assert.ErrorIs(f, e.Err, ErrLoginRequired)
		st := f.status(m)
		assert.Equal(f, StateLoginRequired, st.State)
		assert.Equal(f, ReasonRevoked, st.Reason)
		assert.Equal(f, "invalid_grant", st.ErrorCode)
		assert.True(f, st.FailedAt.Equal(time.Now()))
		assert.Zero(f, st.NextTry)
		assert.False(f, f.stored().MayBeSpent)
	})
}

// Its access token is dead too, at most providers, whatever its expiry says.
func TestTokenOfARevokedGrantIsNotServed(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		f.latency = after(time.Second) // and so the token is served before it is known
		time.Sleep(56 * time.Minute)
		assert.Equal(f, "access-1", f.access(m), "nobody knows yet")
		require.NoError(f, m.Flush(f.Context()))
		for _, m := range []*Manager{m, f.process()} {
			for range 3 {
				_, err := m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				time.Sleep(recheck)
			}
			assert.Equal(f, StateLoginRequired, f.status(m).State)
		}
		assert.Equal(f, 1, f.count())
		assert.Equal(f, 1, f.seen(EventLoginRequired))
	})
}

func TestFinalFailureIsRememberedByEveryProcessUntilALogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		restarted := f.process()
		for range 5 {
			for _, m := range []*Manager{m, restarted, f.process()} {
				_, err := m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.ErrorContains(f, err, "revoked or has expired (invalid_grant)")
			}
			time.Sleep(time.Hour)
		}
		assert.Equal(f, 1, f.count(), "the provider isn't asked again")
		assert.Equal(f, 1, f.seen(EventLoginRequired))

		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, "access-2", f.access(m))
		time.Sleep(recheck)
		assert.Equal(f, "access-2", f.access(restarted))
		assert.Equal(f, StateHealthy, f.status(restarted).State)
		assert.Nil(f, f.stored().Failure)
	})
}

func TestLoginClearsTheErrorOfTheOneBeforeAtOnce(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		login := f.login()
		login.Expiry = time.Now().Add(-time.Second)
		require.NoError(f, m.Save(f.Context(), "k", login))
		assert.Equal(f, "access-3", f.access(m), "refreshed, and not refused like the last")
	})
}

func TestErrorIsRepeatedWithoutAskingTheStoreAtEveryCall(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		before := f.raw.count("get")
		for range 100 {
			_, err = m.Source("k").Token()
			assert.ErrorIs(f, err, ErrLoginRequired)
		}
		assert.Equal(f, before, f.raw.count("get"))
	})
}

func TestInvalidGrantAdoptsTheTokenThatAnotherProcessSaved(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error {
			f.fault = nil
			login := f.login()
			login.Expiry = time.Now().Add(time.Hour)
			next := f.stored().refreshed(login, time.Now())
			f.put(next) // another process was first
			return answer(400, "invalid_grant")
		}
		time.Sleep(time.Hour)
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
		assert.Nil(f, f.stored().Failure)
		assert.Zero(f, f.seen(EventLoginRequired))
		assert.Equal(f, 1, f.seen(EventAdopted))
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestMisconfiguredApplicationNeverEndsAGrant(t *testing.T) {
	for _, code := range []string{"invalid_client", "unauthorized_client", "invalid_request", "invalid_scope", "invalid_target", "unsupported_grant_type", "access_denied"} {
		t.Run(code, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.connected()
				wrong := f.processWith(func(context.Context, string) (*oauth2.Token, error) { return nil, answer(401, code) })
				time.Sleep(time.Hour)
				_, err := wrong.Source("k").Token()
				require.Error(f, err)
				assert.NotErrorIs(f, err, ErrLoginRequired)
				assert.ErrorContains(f, err, "the application is misconfigured ("+code+")")
				assert.Equal(f, ReasonMisconfigured, f.lastEvent(EventFailed).Reason)
				st := f.status(wrong)
				assert.Equal(f, StateFailing, st.State)
				assert.Equal(f, ReasonMisconfigured, st.Reason)
				assert.Equal(f, code, st.ErrorCode)
				assert.False(f, f.stored().MayBeSpent)

				right := f.process()
				assert.Equal(f, "access-2", f.access(right), "it isn't held off by its misconfigured sibling")
				time.Sleep(2 * time.Second)
				assert.Equal(f, "access-2", f.access(wrong))
			})
		})
	}
}

func TestMisconfiguredApplicationBacksOffByItself(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return answer(401, "invalid_client") }
		time.Sleep(time.Hour)
		for range 200 {
			_, err := m.Source("k").Token()
			require.Error(f, err)
			time.Sleep(3 * time.Second)
		}
		assert.Less(f, f.count(), 14)
		assert.Greater(f, f.count(), 7)
	})
}

// transient are answers that say nothing about the grant.
var transient = map[string]error{
	"503":                      answer(503, ""),
	"500":                      answer(500, "server_error"),
	"502 with invalid_grant":   answer(502, "invalid_grant"),
	"429":                      answer(429, "too_many_requests"),
	"a firewall's 403":         answer(403, ""),
	"400 without a code":       answer(400, ""),
	"a code that nobody knows": answer(400, "purple"),
	"404":                      answer(404, ""),
	"not JSON":                 errors.New("oauth2: cannot parse json: invalid character '<' looking for beginning of value"),
	"no network":               errors.New("no route to a host whose name is a secret"),
}

func TestTransientFailureServesTheOldTokenWhileItIsValid(t *testing.T) {
	for name, failure := range transient {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				f.fault = func() error { return failure }
				time.Sleep(55 * time.Minute)
				for range 4 {
					assert.Equal(f, "access-1", f.access(m))
					time.Sleep(time.Minute)
				}
				assert.Greater(f, f.count(), 1)
				assert.Positive(f, f.seen(EventFailed))
				assert.Zero(f, f.seen(EventLoginRequired))
				time.Sleep(time.Minute)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				var own *Error
				require.ErrorAs(f, err, &own)
				assert.Equal(f, f.status(m).Reason, own.Reason)
				var answered, told *oauth2.RetrieveError
				if errors.As(failure, &answered) {
					require.ErrorAs(f, err, &told)
					assert.Equal(f, answered.Response.StatusCode, told.Response.StatusCode)
					assert.NotEqual(f, "invalid_grant", told.ErrorCode)
					assert.Empty(f, told.Body)
				}
				assert.NotErrorIs(f, err, ErrLoginRequired)
				assert.NotContains(f, err.Error(), "secret")
				assert.Equal(f, StateFailing, f.status(m).State)

				f.fault = nil
				time.Sleep(maxBackoff)
				assert.Equal(f, "access-2", f.access(m))
				assert.Equal(f, StateHealthy, f.status(m).State)
				assert.Empty(f, f.status(m).Reason)
			})
		})
	}
}

func TestBackoffIsSharedBetweenProcesses(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	onEvery(t, func(f *fixture) {
		m := f.connected()
		others := []*Manager{f.process(), f.process(), f.process()}
		f.fault = func() error { return answer(503, "") }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		st := f.status(others[0])
		assert.Equal(f, StateFailing, st.State)
		assert.Equal(f, ReasonUnavailable, st.Reason)
		assert.True(f, st.NextTry.After(time.Now()))
		for _, other := range others {
			_, err := other.Source("k").Token()
			require.Error(f, err)
			assert.ErrorContains(f, err, "the provider is unavailable")
		}
		assert.Equal(f, 1, f.count())

		for range 60 {
			for _, m := range append(others, m) {
				_, err := m.Source("k").Token()
				require.Error(f, err)
			}
			time.Sleep(10 * time.Second)
		}
		assert.Less(f, f.count(), 14, "by all of them together")
		assert.Greater(f, f.stored().Failure.Count, 7)

		f.fault = nil
		time.Sleep(maxBackoff)
		for _, m := range append(others, m) {
			assert.Equal(f, "access-2", f.access(m), "the next try may be another process's")
		}
	})
}

func TestFailureElsewhereHoldsOffTheBackgroundRefreshToo(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		other := f.process()
		f.access(other)
		f.fault = func() error { return answer(429, "", "Retry-After", "100") }
		time.Sleep(55 * time.Minute)
		f.access(m)
		require.NoError(f, m.Flush(f.Context()))
		require.Equal(f, 1, f.count())
		f.fault = nil
		gets := f.raw.count("get")
		for range 98 {
			assert.Equal(f, "access-1", f.access(other))
			time.Sleep(time.Second)
		}
		assert.Equal(f, 1, f.count())
		assert.LessOrEqual(f, f.raw.count("get"), gets+2, "nor is the record looked at")
		time.Sleep(3 * time.Second)
		f.access(other)
		require.NoError(f, other.Flush(f.Context()))
		assert.Equal(f, "access-2", f.access(other))
	})
}

// Perhaps another process has a newer token.
func TestInvalidGrantIsFinalOnlyOnceItIsRecorded(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.revoke()
		f.fault = func() error { f.raw.fail("put"); return nil }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, errStoreDown)
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Zero(f, f.seen(EventLoginRequired))
		f.fault = nil
		f.raw.mended()
		time.Sleep(recheck)
		_, err = m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, ReasonRevoked, f.stored().Failure.Reason, "no answer was lost")
		assert.Equal(f, 1, f.seen(EventLoginRequired))
	})
}

func TestRetryAfterIsObeyedByEveryProcess(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return answer(429, "", "Retry-After", "100") }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		assert.ErrorContains(f, err, "asked to slow down")
		assert.Equal(f, ReasonRateLimited, f.stored().Failure.Reason)
		f.fault = nil
		for range 98 {
			time.Sleep(time.Second)
			for _, m := range []*Manager{m, f.all[0]} {
				_, err := m.Source("k").Token()
				require.Error(f, err)
			}
		}
		assert.Equal(f, 1, f.count())
		time.Sleep(4 * time.Second)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestRetryAfterIsObeyedForAnHourAtMost(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return answer(429, "", "Retry-After", "1000000") }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		f.fault = nil
		time.Sleep(maxRetryAfter - time.Minute)
		_, err = m.Source("k").Token()
		require.Error(f, err)
		time.Sleep(time.Minute + recheck)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestConfigThatReturnsNothingIsAFailure(t *testing.T) {
	for name, tok := range map[string]*oauth2.Token{"nil": nil, "empty": {RefreshToken: "refresh-9"}} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				f.connected()
				m := f.processWith(func(context.Context, string) (*oauth2.Token, error) { return tok, nil })
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				require.Error(f, err)
				assert.Equal(f, ReasonUnavailable, f.stored().Failure.Reason)
				assert.Equal(f, "access-1", f.stored().AccessToken)
			})
		})
	}
}

func TestLoginSavedByAnotherProcessIsSeenDuringABackoff(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.fault = func() error { return answer(429, "", "Retry-After", "3000") }
		m := f.connected()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		require.NoError(f, f.process().Save(f.Context(), "k", f.login()))
		time.Sleep(2 * recheck)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestHoldOffWrittenByAClockThatIsADayAheadEnds(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		time.Sleep(time.Hour)
		rec := f.stored()
		ahead := time.Now().Add(24 * time.Hour)
		f.put(rec.with(nil, &failure{Reason: ReasonUnavailable, At: ahead, Count: 1, Next: ahead.Add(time.Second)}))
		m := f.process()
		var err error
		for range 3 { // no wait is longer than an hour
			if _, err = m.Source("k").Token(); err == nil {
				break
			}
			time.Sleep(31 * time.Minute)
		}
		assert.NoError(f, err)
	})
}

func TestLoginIsNotReplacedByTheTokenThatWasServedBefore(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(58 * time.Minute)
		putFails := true
		f.raw.set(func(op string) error {
			if op == "put" && putFails {
				return errStoreDown
			}
			return nil
		}, nil)
		saved := false
		m.testRandom = func() float64 { // asked between the failure and its consequence
			if !saved && f.raw.count("put") == 2 {
				saved, putFails = true, false
				require.NoError(f, m.Save(f.Context(), "k", f.login()))
			}
			return 0
		}
		f.access(m)
		require.NoError(f, m.Flush(f.Context()))
		require.True(f, saved)
		assert.Equal(f, "access-2", f.access(m))
	})
}
