package tokensource

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cut is how a connection that was cut shows.
var cut = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}

// once returns err at the first call and nil from then on.
func once(err error) func() error {
	return func() error {
		e := err
		err = nil
		return e
	}
}

func TestLostAnswerIsRecoveredInAGraceWindowBySendingAgainAtOnce(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.grace = time.Second
		f.loss = once(cut)
		n := 0
		f.fault = func() error {
			if n++; n == 2 {
				assert.True(f, f.stored().MayBeSpent, "recorded before it is sent again")
			}
			return nil
		}
		m := f.connected()
		time.Sleep(time.Hour)
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Equal(f, "access-3", r.AccessToken)
		assert.Zero(f, r.took, "at once")
		assert.Equal(f, 2, f.count())
		assert.Equal(f, "refresh-3", f.stored().RefreshToken)
		assert.False(f, f.stored().MayBeSpent)
	})
}

func TestLostAnswerOfAStrictProviderIsReportedAsSuch(t *testing.T) {
	for name, lost := range map[string]error{
		"cut":       cut,
		"cut short": io.ErrUnexpectedEOF,
		"closed":    io.EOF,
	} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.loss = once(lost)
				m := f.connected()
				time.Sleep(time.Hour)
				_, err := m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.ErrorContains(f, err, "answer was lost")
				assert.Equal(f, 2, f.count())
				assert.Equal(f, ReasonResponseLost, f.lastEvent(EventLoginRequired).Reason)
				st := f.status(f.process())
				assert.Equal(f, StateLoginRequired, st.State)
				assert.Equal(f, ReasonResponseLost, st.Reason)
				assert.Equal(f, "invalid_grant", st.ErrorCode)
			})
		})
	}
}

func TestRefreshTokenIsSentTwiceAtMostWithOneAttempt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.rotate = false
		f.loss = func() error { return cut }
		m := f.connected()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		assert.NotErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, 2, f.count())
		rec := f.stored()
		assert.True(f, rec.MayBeSpent)
		assert.Nil(f, rec.Attempt)
		assert.Equal(f, ReasonUnavailable, rec.Failure.Reason)
	})
}

func TestDoubtOutlastsFurtherFailures(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.loss = func() error { return cut }
		m := f.connected()
		time.Sleep(time.Hour)
		m.RefreshTimeout = time.Second
		f.spent("refresh-1")
		_, err := m.Source("k").Token()
		require.NotErrorIs(f, err, ErrLoginRequired)
		f.loss = nil
		f.fault = func() error { return answer(503, "") }
		time.Sleep(5 * time.Second)
		_, err = f.process().Source("k").Token()
		require.NotErrorIs(f, err, ErrLoginRequired)
		f.fault = nil
		time.Sleep(time.Minute)
		_, err = f.process().Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
	})
}

// spent marks a refresh token as spent long ago.
func (f *fixture) spent(refresh string) {
	f.fakeProvider.mu.Lock()
	defer f.fakeProvider.mu.Unlock()
	f.tokens[refresh].spent = time.Now().Add(-time.Hour)
}

func TestGatewaysAnswerLeavesADoubt(t *testing.T) {
	for status, inDoubt := range map[int]bool{500: true, 502: true, 504: true, 503: false, 501: false, 429: false, 403: false, 400: false} {
		onSwap(t, func(f *fixture) {
			f.loss = once(answer(status, ""))
			m := f.connected()
			time.Sleep(time.Hour)
			_, err := m.Source("k").Token()
			require.Error(f, err)
			assert.Equal(f, 1, f.count(), "an answer came, so it isn't sent again at once")
			assert.Equal(f, inDoubt, f.stored().MayBeSpent, "HTTP status %d", status)
		})
	}
}

func TestRequestThatWasNeverSentLeavesNoDoubt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.fault = func() error {
			return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
		}
		m := f.connected()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		assert.ErrorContains(f, err, "connection refused")
		assert.Equal(f, 1, f.count())
		assert.False(f, f.stored().MayBeSpent)
		assert.Nil(f, f.stored().Failure, "others have a network, perhaps")
		assert.Nil(f, f.stored().Attempt)
		assert.Equal(f, ReasonUnavailable, f.status(m).Reason)
		f.fault = nil
		assert.Equal(f, "access-2", f.access(f.process()), "and don't wait")
	})
}

func TestNothingIsSentAgainWhenTheAttemptWasTakenOver(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.grace = time.Hour
		m := f.connected()
		other := f.processWith(nil)
		other.Config = m.Config
		f.loss = once(cut)
		f.fault = once(nil)
		taken := false
		f.latency = func() time.Duration {
			if !taken {
				taken = true
				f.put(f.stored().with(&attempt{ID: "of another process"}, nil))
			}
			return 0
		}
		time.Sleep(time.Hour)
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Greater(f, r.took, leaseTime, "it is no longer ours to send")
		assert.Equal(f, 2, f.count())
	})
}

// A flight whose attempt was taken over, by a process that died, goes on with another one.
func TestRefreshTokenMayBeSentAgainWithAnAttemptAfterOneThatWasTakenOver(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.rotate = false
		m := f.connected()
		time.Sleep(time.Hour)
		var flights []*flight
		f.loss = func() error {
			switch flights = append(flights, m.Source("k").start(f.Context())); len(flights) {
			case 1:
				return cut
			case 2:
				f.put(f.stored().with(&attempt{ID: "of another process"}, nil))
				return cut
			}
			return nil
		}
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Greater(f, r.took, leaseTime)
		assert.Equal(f, 1, f.seen(EventTakenOver))
		require.Len(f, flights, 3)
		assert.Same(f, flights[0], flights[2])
	})
}

func TestHangingRequestEndsAfterRefreshTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Second} {
		onEvery(t, func(f *fixture) {
			f.rotate = false
			f.latency = after(time.Hour)
			m := f.connected()
			m.RefreshTimeout = timeout
			time.Sleep(time.Hour)
			r := <-later(m.Source("k").Token)
			require.Error(f, r.err)
			want := 2 * m.refreshTimeout() // it is sent again
			assert.Equal(f, want, r.took)
			assert.ErrorContains(f, r.err, "timeout")
			assert.True(f, f.stored().MayBeSpent)
		})
	}
}

func TestDoubtThatIsCastDuringARefreshIsKept(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error {
			rec := *f.stored()
			rec.MayBeSpent = true
			f.put(&rec)
			f.revoke()
			return nil
		}
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
	})
}

// A write that seemed to fail is no note: whoever takes over has to know.
func TestNothingIsSentAgainWithoutANoteThatTheAnswerWasLost(t *testing.T) {
	for name, noted := range map[string]bool{"no doubt before": false, "a doubt from before": true} {
		t.Run(name, func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				m := f.connected()
				rec := *f.stored()
				rec.MayBeSpent = noted
				f.put(&rec)
				time.Sleep(time.Hour)
				f.loss = func() error { f.raw.down(); return cut }
				_, err := m.Source("k").Token()
				require.Error(f, err)
				assert.Equal(f, 1, f.count())
			})
		})
	}
}
