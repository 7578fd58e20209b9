package tokensource

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// abandon leaves the attempt of a process that died in the record.
func (f *fixture) abandon(started time.Time) {
	f.put(f.stored().with(&attempt{ID: "of a process that died", Started: started, Locked: f.locked}, nil))
}

func TestAbandonedAttemptIsTakenOver(t *testing.T) {
	for name, started := range map[string]time.Duration{
		"by a clock that is right":       0,
		"by a clock that is a day ahead": 24 * time.Hour,
		"by a clock that is a day late":  -24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("after a lease", func(t *testing.T) {
				onSwap(t, func(f *fixture) {
					m := f.connected()
					time.Sleep(time.Hour)
					f.abandon(time.Now().Add(started))
					r := <-later(m.Source("k").Token)
					require.NoError(f, r.err)
					assert.Equal(f, "access-2", r.AccessToken)
					assert.Greater(f, r.took, leaseTime)
					assert.Less(f, r.took, leaseTime+2*pollMax)
					assert.Equal(f, 1, f.seen(EventTakenOver))
					assert.Equal(f, 1, f.count())
				})
			})
			t.Run("at once with a lock", func(t *testing.T) {
				onLock(t, func(f *fixture) {
					m := f.connected()
					time.Sleep(time.Hour)
					f.abandon(time.Now().Add(started))
					r := <-later(m.Source("k").Token)
					require.NoError(f, r.err)
					assert.Equal(f, "access-2", r.AccessToken)
					assert.Zero(f, r.took)
					assert.Equal(f, 1, f.seen(EventTakenOver))
				})
			})
		})
	}
}

// TestAbandonedAttemptIsFinishedWhileTheTokenIsValid has a process die in the middle of a
// refresh, and another begin that wouldn't refresh the token for an hour.
func TestAbandonedAttemptIsFinishedWhileTheTokenIsValid(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.connected()
		f.abandon(time.Now())
		f.latency = after(time.Second) // a free lock is taken over at once
		m := f.process()
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Equal(f, "access-1", r.AccessToken, "it is valid")
		assert.Zero(f, r.took)
		time.Sleep(leaseTime + 2*pollMax + time.Second)
		assert.Equal(f, 1, f.seen(EventTakenOver))
		assert.Equal(f, "access-2", f.stored().AccessToken)
		assert.Equal(f, 1, f.count())
		assert.Equal(f, "access-2", f.access(m))
	})
}

// TestAttemptOfALivingProcessIsLeftAlone has another process begin meanwhile.
func TestAttemptOfALivingProcessIsLeftAlone(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour - 4*time.Minute)
		f.latency = after(25 * time.Second)
		f.access(m)
		time.Sleep(time.Second)
		other := f.process()
		assert.Equal(f, "access-1", f.access(other))
		time.Sleep(25 * time.Second)
		assert.Equal(f, "access-2", f.access(other))
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.seen(EventTakenOver))
	})
}

func TestTokenIsInDoubtAfterATakeover(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		f.fault = func() error {
			assert.True(f, f.stored().MayBeSpent, "before it is sent again")
			return nil
		}
		time.Sleep(time.Hour)
		f.abandon(time.Now())
		f.access(m)
		assert.True(f, f.stored().MayBeSpent, "the new one ends if the dead process's request comes late")
		time.Sleep(time.Hour)
		f.access(m)
		assert.False(f, f.stored().MayBeSpent, "one that was refreshed since doesn't")
	})
}

// TestLateRequestOfADeadProcessIsNotARevocation has the provider get the request of a
// process that was killed after that of its successor, and take it for reuse.
func TestLateRequestOfADeadProcessIsNotARevocation(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.abandon(time.Now())
		f.access(m)
		_, err := f.refresh(t.Context(), "refresh-1")
		require.Error(f, err)
		time.Sleep(time.Hour)
		_, err = m.Source("k").Token()
		assert.ErrorIs(f, err, ErrLoginRequired)
		assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
	})
}

func TestSlowProviderIsNotTakenOver(t *testing.T) {
	for _, latency := range []time.Duration{10 * time.Second, 25 * time.Second} {
		t.Run(latency.String(), func(t *testing.T) {
			onEvery(t, func(f *fixture) {
				f.latency = after(latency)
				m := f.connected()
				other := f.process()
				time.Sleep(time.Hour)
				c := later(m.Source("k").Token)
				time.Sleep(time.Second)
				d := later(other.Source("k").Token)
				for _, c := range []<-chan result{c, d} {
					r := <-c
					require.NoError(f, r.err)
					assert.Equal(f, "access-2", r.AccessToken)
					assert.LessOrEqual(f, r.took, latency+pollMax)
				}
				assert.Equal(f, 1, f.count())
				assert.Zero(f, f.seen(EventTakenOver))
			})
		})
	}
}

func TestAttemptIsRenewedWhileTheAnswerIsAwaited(t *testing.T) {
	renewals := func(f *fixture) {
		m := f.connected()
		var renewed []int
		f.latency = func() time.Duration {
			first := f.stored().Attempt
			for range 4 {
				time.Sleep(renewal)
				time.Sleep(time.Millisecond)
				a := f.stored().Attempt
				assert.Equal(f, first.ID, a.ID)
				assert.True(f, first.Started.Equal(a.Started))
				renewed = append(renewed, a.Renewed)
			}
			return 0
		}
		time.Sleep(time.Hour)
		f.access(m)
		assert.Equal(f, []int{1, 2, 3, 4}, renewed)
	}
	t.Run("swap", func(t *testing.T) { onSwap(t, renewals) })
	t.Run("lock", func(t *testing.T) { onLock(t, renewals) })
}

func TestTwoRenewalsMayFail(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(12 * time.Second)
		m := f.connected()
		other := f.process()
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		d := later(other.Source("k").Token)
		puts := 0
		f.raw.set(func(op string) error {
			if op == "put" {
				if puts++; puts <= 2 {
					return errStoreDown
				}
			}
			return nil
		}, nil)
		require.NoError(f, (<-c).err)
		require.NoError(f, (<-d).err)
		assert.Equal(f, 1, f.count())
	})
}

func TestRenewalThatSeemedToFailDoesNotLoseTheAttempt(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(12 * time.Second)
		m := f.connected()
		other := f.process()
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		d := later(other.Source("k").Token)
		f.raw.set(nil, func(op string) error { // every write happens, and none is confirmed
			if op == "put" {
				return errStoreDown
			}
			return nil
		})
		time.Sleep(9 * time.Second)
		f.raw.mended()
		require.NoError(f, (<-c).err)
		require.NoError(f, (<-d).err)
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.seen(EventUnsaved))
		assert.Zero(f, f.seen(EventTakenOver))
	})
}

func TestOldTokenServesWhileAnotherProcessRefreshes(t *testing.T) {
	onEvery(t, func(f *fixture) {
		f.latency = after(20 * time.Second)
		m := f.connected()
		other := f.process()
		f.access(other)
		time.Sleep(58 * time.Minute)
		f.access(m) // begins a refresh
		for range 15 {
			time.Sleep(time.Second)
			r := <-later(other.Source("k").Token)
			require.NoError(f, r.err)
			assert.Equal(f, "access-1", r.AccessToken)
			assert.Zero(f, r.took)
		}
		time.Sleep(10 * time.Second)
		assert.Equal(f, "access-2", f.access(other))
		assert.Equal(f, 1, f.count())
	})
}

// A process that was asleep between the check of its lease and now must not send.
func TestRequestIsNotSentWhenLittleOfTheLeaseIsLeft(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		puts := 0
		f.raw.set(nil, func(op string) error {
			if op == "put" {
				if puts++; puts == 1 {
					time.Sleep(claimLimit + time.Second) // the claim is slow to return
				}
			}
			return nil
		})
		f.fault = func() error {
			assert.Equal(f, 2, puts, "claimed anew before it was sent")
			assert.Zero(f, f.stored().MayBeSpent, "by ourselves, so nothing was spent")
			return nil
		}
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
		assert.Zero(f, f.seen(EventTakenOver))
	})
}

// The same before it is sent a second time, after the answer was lost.
func TestRequestIsNotSentAgainWhenLittleOfTheLeaseIsLeft(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.loss = func() error {
			f.raw.set(nil, func(op string) error {
				if op == "put" {
					time.Sleep(claimLimit + time.Second) // that an answer was lost is slow to be written
					f.raw.down()                         // so that nothing renews the attempt
				}
				return nil
			})
			return io.ErrUnexpectedEOF
		}
		_, err := m.Source("k").Token()
		assert.Error(f, err)
		assert.Equal(f, 1, f.count())
		f.raw.mended()
		assert.True(f, f.stored().MayBeSpent)
	})
}

// The write of an attempt fails, but has happened: at the next try it is known as
// one that spent nothing.
func TestAttemptThatWasNeverSentIsNotMistakenForSomeoneElses(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.raw.set(nil, func(op string) error {
			if op == "put" {
				return errStoreDown
			}
			return nil
		})
		_, err := m.Source("k").Token()
		assert.ErrorIs(f, err, errStoreDown)
		require.NotNil(f, f.stored().Attempt)
		f.raw.mended()
		time.Sleep(recheck)
		f.revoke()
		r := <-later(m.Source("k").Token)
		assert.Zero(f, r.took, "no lease is waited for")
		assert.ErrorIs(f, r.err, ErrLoginRequired)
		assert.Equal(f, ReasonRevoked, f.stored().Failure.Reason, "no answer was lost")
		assert.Zero(f, f.seen(EventTakenOver))
	})
}

func TestAttemptOfAFailureThatCouldNotBeRecordedIsOurs(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.fault = func() error {
			f.raw.fail("put")
			return answer(503, "")
		}
		_, err := m.Source("k").Token()
		require.Error(f, err)
		require.NotNil(f, f.stored().Attempt)
		f.raw.mended()
		f.fault = nil
		time.Sleep(2 * time.Second)
		r := <-later(m.Source("k").Token)
		require.NoError(f, r.err)
		assert.Zero(f, r.took)
	})
}

func TestOwnerThatWasTakenOverAdoptsWhatItsSuccessorSaved(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.grace = time.Minute
		var requests atomic.Int32
		f.latency = func() time.Duration {
			if requests.Add(1) == 1 {
				return 20 * time.Second
			}
			return time.Second
		}
		m := f.connected()
		other := f.process()
		time.Sleep(time.Hour)
		c := later(m.Source("k").Token)
		time.Sleep(renewal * 3 / 2)                                     // between two renewals
		f.put(f.stored().with(&attempt{ID: "of another process"}, nil)) // took over, and died
		d := later(other.Source("k").Token)
		r, s := <-d, <-c
		require.NoError(f, r.err)
		require.NoError(f, s.err)
		assert.Equal(f, r.AccessToken, s.AccessToken, "the later answer is dropped")
		assert.Equal(f, r.AccessToken, f.stored().AccessToken)
	})
}

// Both have spent the refresh token, and the provider has ended the grant for it.
func TestReuseAfterATakeoverIsReportedAsALostResponse(t *testing.T) {
	for name, theirs := range map[string]*attempt{"after a lease": {ID: "of another process"}, "of a store that went back to before our attempt": nil} {
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.connected()
				other := f.process()
				time.Sleep(time.Hour)
				slow := m.Config
				m.Config = configFunc(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
					f.put(f.stored().with(theirs, nil))
					assert.Equal(f, "access-2", f.access(other))
					return slow.TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
				})
				assert.Equal(f, "access-2", f.access(m), "its own request failed, but another's token is there")
				require.Equal(f, 1, f.reused)
				assert.True(f, f.stored().MayBeSpent)
				time.Sleep(time.Hour)
				_, err := other.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				assert.Equal(f, ReasonResponseLost, f.stored().Failure.Reason)
			})
		})
	}
}

func TestWaitForAnotherProcessEnds(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.connected()
		time.Sleep(time.Hour)
		m := f.process()
		m.RefreshTimeout = time.Second
		stop := make(chan struct{})
		go func() { // renews its attempt for ever
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(time.Second):
					f.put(f.stored().with(&attempt{ID: "of another process", Renewed: n}, nil))
				}
			}
		}()
		f.put(f.stored().with(&attempt{ID: "of another process"}, nil))
		r := <-later(m.Source("k").Token)
		assert.ErrorIs(f, r.err, context.DeadlineExceeded)
		assert.Equal(f, 3*time.Second+leaseTime, r.took)
		assert.Zero(f, f.count())
		close(stop)
	})
}

func TestHungRenewalDoesNotCostTheLease(t *testing.T) {
	onSwap(t, func(f *fixture) {
		f.latency = after(20 * time.Second)
		f.connected()
		time.Sleep(time.Hour)
		m, other := f.process(), f.process()
		hung := false
		c := later(m.Source("k").Token)
		time.Sleep(time.Second)
		f.raw.set(func(op string) error {
			if op == "put" && !hung {
				hung = true
				return errHang
			}
			return nil
		}, nil)
		d := later(other.Source("k").Token)
		require.NoError(f, (<-c).err)
		require.NoError(f, (<-d).err)
		assert.True(f, hung)
		assert.Equal(f, 1, f.count())
	})
}
