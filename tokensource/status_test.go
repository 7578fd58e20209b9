package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestStatusOfAConnectionThroughItsLife(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		login := time.Now()
		watcher := f.process() // has never had the token
		check := func(want State, obtained time.Time, life time.Duration) {
			f.Helper()
			for _, m := range []*Manager{m, watcher} {
				st := f.status(m)
				assert.Equal(f, want, st.State)
				assert.True(f, st.Login.Equal(login))
				assert.True(f, st.Obtained.Equal(obtained))
				assert.True(f, st.Expiry.Equal(obtained.Add(life)))
				assert.True(f, st.Refreshable)
				assert.True(f, st.RefreshTokenIssued.Equal(obtained), "the provider rotates it")
				assert.Empty(f, st.Reason)
				assert.Empty(f, st.ErrorCode)
				assert.Zero(f, st.FailedAt)
				assert.Zero(f, st.NextTry)
			}
		}
		check(StateHealthy, login, time.Hour)
		time.Sleep(54 * time.Minute)
		check(StateHealthy, login, time.Hour)
		time.Sleep(2 * time.Minute)
		check(StateExpiring, login, time.Hour)
		time.Sleep(time.Hour)
		check(StateExpiring, login, time.Hour)
		assert.Zero(f, f.count(), "looking doesn't refresh")

		f.latency = after(10 * time.Second)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		check(StateRefreshing, login, time.Hour)
		<-c
		check(StateHealthy, time.Now(), time.Hour-10*time.Second) // it was issued ten seconds ago, at worst
	})
}

// Before the attempt is in the record, only this process knows of it.
func TestStatusOfARefreshThatHasJustBegun(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.raw.set(func(op string) error {
			if op == "put" {
				time.Sleep(2 * time.Second)
			}
			return nil
		}, nil)
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		assert.Equal(f, StateRefreshing, f.status(m).State)
		assert.Equal(f, StateExpiring, f.status(f.process()).State)
		<-c
	})
}

func TestStatusOfAFailingConnectionSaysWhyAndUntilWhen(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error { return answer(503, "temporarily_unavailable", "Retry-After", "60") }
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		for _, m := range []*Manager{m, f.process()} {
			st := f.status(m)
			assert.Equal(f, StateFailing, st.State)
			assert.Equal(f, ReasonUnavailable, st.Reason)
			assert.Equal(f, "temporarily_unavailable", st.ErrorCode)
			assert.True(f, st.FailedAt.Equal(time.Now()))
			assert.True(f, st.NextTry.Equal(time.Now().Add(time.Minute)))
			assert.True(f, st.Obtained.Equal(time.Now().Add(-time.Hour)))
		}

		f.latency = after(10 * time.Second)
		time.Sleep(time.Minute + recheck)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		st := f.status(m)
		assert.Equal(f, StateRefreshing, st.State)
		assert.Equal(f, ReasonUnavailable, st.Reason, "of the last failure, until it succeeds")
		<-c
	})
}

func TestStatusOfATokenThatWasRefusedButCanBeRefreshed(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		s := m.Source("k")
		s.reject(s.known())
		assert.Equal(f, StateExpiring, f.status(m).State)
		assert.Equal(f, StateHealthy, f.status(f.process()).State, "who doesn't know of it")
		f.access(m)
		assert.Equal(f, StateHealthy, f.status(m).State)
	})
}

func TestStatusKnowsEarlyExpiry(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		m.EarlyExpiry = 20 * time.Minute
		time.Sleep(41 * time.Minute)
		assert.Equal(f, StateExpiring, f.status(m).State)
		assert.Equal(f, StateHealthy, f.status(f.process()).State)
	})
}

func TestStatusOfAnAbandonedAttemptIsNotRefreshingForEver(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		f.abandon(time.Now())
		time.Sleep(maxAttemptAge - time.Second)
		assert.Equal(f, StateRefreshing, f.status(m).State, "it may still be going on")
		time.Sleep(time.Second)
		assert.Equal(f, StateHealthy, f.status(m).State)
		time.Sleep(time.Hour)
		assert.Equal(f, StateExpiring, f.status(m).State)
	})
}

func TestStatusOfARecordIsTheSameInEveryProcess(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		now := time.Now().UTC()
		base := record{Registration: &testOwner, Format: 1, LoginID: "l", ID: "x", AccessToken: "a", RefreshToken: "r", Login: instantOf(now), Obtained: now, Rotated: instantOf(now), Expiry: now.Add(time.Hour)}
		for _, test := range []struct {
			name   string
			change func(*record)
			state  State
			reason Reason
		}{
			{"valid", func(*record) {}, StateHealthy, ""},
			{"for ever", func(r *record) { r.Expiry = time.Time{} }, StateHealthy, ""},
			{"due", func(r *record) { r.Obtained, r.Expiry = now.Add(-time.Hour), now.Add(time.Minute) }, StateExpiring, ""},
			{"over", func(r *record) { r.Obtained, r.Expiry = now.Add(-2*time.Hour), now.Add(-time.Hour) }, StateExpiring, ""},
			{"due, without a refresh token", func(r *record) {
				r.Obtained, r.Expiry, r.RefreshToken = now.Add(-time.Hour), now.Add(time.Minute), ""
			}, StateHealthy, ""},
			{"over, without a refresh token", func(r *record) {
				r.Obtained, r.Expiry, r.RefreshToken = now.Add(-2*time.Hour), now.Add(-time.Hour), ""
			}, StateLoginRequired, ReasonExpired},
			{"refreshing", func(r *record) { r.Attempt = &attempt{ID: "a", Started: now} }, StateRefreshing, ""},
			{"failing", func(r *record) { r.Failure = &failure{Reason: ReasonRateLimited} }, StateFailing, ReasonRateLimited},
			{"trying again", func(r *record) {
				r.Failure, r.Attempt = &failure{Reason: ReasonRateLimited}, &attempt{ID: "a", Started: now}
			}, StateRefreshing, ReasonRateLimited},
			{"dead", func(r *record) { r.Failure = &failure{Reason: ReasonRevoked, Final: true} }, StateLoginRequired, ReasonRevoked},
			{"dead, with an attempt", func(r *record) {
				r.Failure, r.Attempt = &failure{Reason: ReasonRejected, Final: true}, &attempt{ID: "a", Started: now}
			}, StateLoginRequired, ReasonRejected},
		} {
			rec := base
			test.change(&rec)
			f.put(&rec)
			st := f.status(m)
			assert.Equal(f, test.state, st.State, test.name)
			assert.Equal(f, test.reason, st.Reason, test.name)
			assert.Equal(f, rec.RefreshToken != "", st.Refreshable, test.name)
			assert.Equal(f, st.Refreshable, !st.RefreshTokenIssued.IsZero(), test.name)
		}
	})
}

func TestStatusOfALoginWithoutExpiryOrRefreshToken(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "a"}))
		st := f.status(m)
		now := time.Now().UTC()
		assert.Equal(f, Status{Connection: "k", State: StateHealthy, Login: now, Obtained: now}, st)
	})
}
