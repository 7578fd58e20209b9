package tokensource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const year = 365 * 24 * time.Hour

// shifted moves all times of a record, as if a clock that is off by d had written them.
func shifted(d time.Duration) func(*record) {
	return func(r *record) {
		for _, at := range []*time.Time{&r.Expiry, &r.Obtained} {
			if !at.IsZero() {
				*at = at.Add(d)
			}
		}
		for _, at := range []*instant{&r.Login, &r.Rotated, &r.RefreshExpiry, &r.Recovered} {
			if *at != 0 {
				*at = instantOf(at.time().Add(d))
			}
		}
		if r.Failure != nil {
			f := *r.Failure
			f.At = f.At.Add(d)
			if !f.Next.IsZero() {
				f.Next = f.Next.Add(d)
			}
			r.Failure = &f
		}
		if r.Attempt != nil {
			a := *r.Attempt
			a.Started = a.Started.Add(d)
			r.Attempt = &a
		}
	}
}

// writtenBy has a connection of which a clock that is off by d wrote the record, with edits
// as that clock saw them.
func (f *fixture) writtenBy(d time.Duration, edits ...func(*record)) *Manager {
	f.Helper()
	f.connected()
	rec := f.stored()
	for _, edit := range append(edits, shifted(d)) {
		edit(rec)
	}
	f.put(rec)
	return f.process()
}

func eachClock(t *testing.T, run func(f *fixture, off time.Duration)) {
	for name, off := range map[string]time.Duration{"a year ahead": year, "a year behind": -year} {
		t.Run(name, func(t *testing.T) { onSwap(t, func(f *fixture) { run(f, off) }) })
	}
}

func TestTokenWrittenByAWrongClockIsRefreshed(t *testing.T) {
	eachClock(t, func(f *fixture, off time.Duration) {
		m := f.writtenBy(off)
		assert.Equal(f, StateExpiring, f.status(m).State)
		_, err := m.Source("k").Token() // the old one or the new one
		require.NoError(f, err)
		f.seen("")
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, StateHealthy, f.status(m).State)
		assert.WithinDuration(f, time.Now(), f.stored().Obtained, time.Second)
		for range 30 {
			time.Sleep(time.Minute)
			f.access(m)
		}
		assert.Equal(f, 1, f.count(), "once")
	})
}

func TestWaitOfAWrongClockIsNotBelieved(t *testing.T) {
	eachClock(t, func(f *fixture, off time.Duration) {
		m := f.writtenBy(off, func(r *record) {
			r.Failure = &failure{Reason: ReasonUnavailable, At: wall(time.Now()), Count: 5, Next: wall(time.Now().Add(30 * time.Minute))}
		})
		time.Sleep(time.Hour)
		st := f.status(m)
		assert.False(f, st.NextTry.After(time.Now()))
		assert.Equal(f, StateFailing, st.State)
		f.access(m)
		f.seen("")
		assert.Equal(f, "access-2", f.access(m))
	})
}

// TestWaitIsMeasuredByTheOwnClock: a failure of this minute keeps others off though the clocks
// are two minutes apart.
func TestWaitIsMeasuredByTheOwnClock(t *testing.T) {
	for _, off := range []time.Duration{-2 * time.Minute, 0, 2 * time.Minute} {
		onSwap(t, func(f *fixture) {
			f.connected()
			time.Sleep(time.Hour)
			rec := f.stored()
			rec.Failure = &failure{Reason: ReasonRateLimited, At: wall(time.Now().Add(off)), Next: wall(time.Now().Add(off + 10*time.Minute))}
			f.put(rec)
			m := f.process()
			_, err := m.Source("k").Token()
			assert.True(f, isReason(err, ReasonRateLimited), "%v", err)
			time.Sleep(12*time.Minute + time.Second)
			assert.Equal(f, "access-2", f.access(m))
		})
	}
}

func TestAttemptOfAWrongClockIsTakenOver(t *testing.T) {
	eachClock(t, func(f *fixture, off time.Duration) {
		m := f.writtenBy(off, func(r *record) { r.Attempt = &attempt{ID: "dead", Started: wall(time.Now())} })
		time.Sleep(time.Hour)
		assert.NotEqual(f, StateRefreshing, f.status(m).State)
		assert.True(f, idle(f.stored(), time.Now(), time.Minute), "Run deals with it")
		f.access(m) // perhaps the old one
		time.Sleep(2 * leaseTime)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestEndOfAWrongClockIsAnEnd(t *testing.T) {
	eachClock(t, func(f *fixture, off time.Duration) {
		m := f.writtenBy(off, func(r *record) {
			r.Failure = &failure{Reason: ReasonRevoked, Code: "invalid_grant", At: wall(time.Now()), Final: true}
		})
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, StateLoginRequired, f.status(m).State)
		assert.False(f, idle(f.stored(), time.Now(), time.Minute))
		assert.Zero(f, f.count())
	})
}

// The provider has said nothing here: only the clock did.
func TestExpiryOfAClockThatWasAheadIsNoEnd(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.writtenBy(0, func(r *record) {
			r.RefreshToken = ""
			r.Failure = &failure{Reason: ReasonExpired, At: wall(time.Now().Add(year)), Final: true}
		})
		assert.Equal(f, "access-1", f.access(m))
		assert.Equal(f, StateHealthy, f.status(m).State)
		assert.Zero(f, f.seen(EventLoginRequired))

		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired, "by this clock it has expired, too")
		assert.Equal(f, ReasonExpired, f.lastEvent(EventLoginRequired).Reason)
		require.NotNil(f, f.stored().Failure)
		assert.WithinDuration(f, time.Now(), f.stored().Failure.At, time.Minute)
	})
}

func TestRunKeepsAliveWhatAWrongClockWrote(t *testing.T) {
	eachClock(t, func(f *fixture, off time.Duration) {
		f.life = -1
		f.writtenBy(off)
		assert.True(f, idle(f.stored(), time.Now(), defaultKeepAlive))
		rec := f.stored()
		rec.RefreshExpiry = instantOf(rec.Obtained.Add(100 * 24 * time.Hour))
		assert.True(f, idle(rec, time.Now(), defaultKeepAlive))
	})
}

// Of a token that doesn't expire, nothing else says that it has to be replaced.
func TestTokenOfAWrongClockIsReplacedWhenTheAPIRefusesIt(t *testing.T) {
	for how, refuse := range map[string]func(s *Source, t *oauth2.Token){
		"Reject":              func(s *Source, t *oauth2.Token) { s.Reject(t) },
		"ResetTokenOlderThan": func(s *Source, _ *oauth2.Token) { s.ResetTokenOlderThan(time.Now()) },
	} {
		t.Run(how, func(t *testing.T) {
			eachClock(t, func(f *fixture, off time.Duration) {
				f.life = -1
				m := f.connected()
				first, err := m.Source("k").Token()
				require.NoError(f, err)
				m.Source("k").Reject(first)
				replaced := f.sibling() // by another process, for the same reason
				shifted(off)(replaced)
				f.put(replaced)
				second, err := m.Source("k").Token()
				require.NoError(f, err)
				assert.Equal(f, "access-2", second.AccessToken)
				time.Sleep(time.Hour)
				refuse(m.Source("k"), second)
				assert.Equal(f, "access-3", f.access(m))
			})
		})
	}
}
