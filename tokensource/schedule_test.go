package tokensource

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// issued returns the record of a token that lives for so long from now.
func issued(life time.Duration) *record {
	now := time.Now()
	return &record{Obtained: now.Round(0).UTC(), Expiry: now.Add(life).Round(0).UTC()}
}

func TestTokenIsRefreshedByAShareOfItsLife(t *testing.T) {
	const day = 24 * time.Hour
	for _, test := range []struct {
		life                time.Duration
		latest, earliest    time.Duration // before the end, to be refreshed, by jitter
		over                time.Duration // before the end, no longer served
		early               time.Duration // EarlyExpiry
		earlyFrom, earlyTil time.Duration
	}{
		{5 * time.Second, 1250 * time.Millisecond, 1750 * time.Millisecond, 250 * time.Millisecond, time.Second, time.Second, 1500 * time.Millisecond},
		{time.Minute, 15 * time.Second, 21 * time.Second, 3 * time.Second, 15 * time.Minute, 24 * time.Second, 30 * time.Second},
		{10 * time.Minute, 150 * time.Second, 210 * time.Second, 10 * time.Second, 15 * time.Minute, 4 * time.Minute, 5 * time.Minute},
		{time.Hour, 5 * time.Minute, 11 * time.Minute, 10 * time.Second, 15 * time.Minute, 15 * time.Minute, 21 * time.Minute},
		{30 * day, 5 * time.Minute, 65 * time.Minute, 10 * time.Second, day, day, day + time.Hour},
	} {
		t.Run(test.life.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := issued(test.life)
				now := time.Now()
				check := func(early time.Duration, jitter float64, due time.Duration) {
					times := timesOf(r, now, early, jitter)
					for at, want := range map[time.Duration]bool{
						0:                            false,
						test.life - due - 1:          false,
						test.life - due:              true,
						test.life - test.over:        true,
						test.life - test.over - 1:    true,
						test.life + 1000*time.Hour:   true,
						(test.life - test.over) / 10: false,
					} {
						assert.Equal(t, want, times.due(now.Add(at)), "due after %v with EarlyExpiry %v and jitter %v", at, early, jitter)
					}
					assert.False(t, times.over(now.Add(test.life-test.over-1)))
					assert.True(t, times.over(now.Add(test.life-test.over)))
				}
				check(0, 0, test.latest)
				check(0, 1, test.earliest)
				check(-time.Hour, 0, test.latest)
				check(test.early, 0, test.earlyFrom)
				check(test.early, 1, test.earlyTil)
			})
		})
	}
}

func TestTokenWithoutExpiryIsNeverDue(t *testing.T) {
	r := &record{Obtained: time.Now()}
	times := timesOf(r, time.Now(), time.Hour, 0.5)
	for _, at := range []time.Time{{}, time.Now(), time.Now().Add(math.MaxInt64)} {
		assert.False(t, times.due(at))
		assert.False(t, times.over(at))
	}
}

func TestTokenThatExpiredBeforeItCameIsOver(t *testing.T) {
	times := timesOf(issued(-time.Hour), time.Now(), 0, 0)
	assert.True(t, times.due(time.Now()))
	assert.True(t, times.over(time.Now()))
}

// Another process reads the record later, and knows the same times.
func TestTimesDoNotDependOnWhenTheRecordIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := issued(time.Hour)
		first := timesOf(r, time.Now(), 0, 0)
		time.Sleep(40 * time.Minute)
		again := timesOf(r, time.Now(), 0, 0)
		assert.True(t, first.refresh.Equal(again.refresh))
		assert.True(t, first.end.Equal(again.end))
	})
}

// writtenAhead returns the record of a token that was issued just now by a clock that
// is d ahead of ours. No test can set the clock.
func writtenAhead(life, d time.Duration) *record {
	r := issued(life)
	r.Obtained, r.Expiry = r.Obtained.Add(d), r.Expiry.Add(d)
	return r
}

func TestClockThatWasSetBackDoesNotMakeATokenOlderThanItCanGet(t *testing.T) {
	r := writtenAhead(time.Hour, 24*time.Hour) // as if our wall clock were a day late
	now := time.Now()
	times := timesOf(r, now, 0, 0)
	assert.False(t, times.over(now))
	assert.True(t, times.due(now), "nobody knows how old it is")
	assert.True(t, times.over(now.Add(time.Hour-maxSlack)))
}

func TestClockThatWasSetForwardEndsATokenEarly(t *testing.T) {
	r := writtenAhead(time.Hour, -2*time.Hour)
	now := time.Now()
	times := timesOf(r, now, 0, 0)
	assert.True(t, times.over(now), "it may really have expired while the machine slept")
}

// While a machine is suspended its wall clock runs on and its monotonic clock doesn't.
func TestSuspendedMachineNoticesThatATokenHasExpired(t *testing.T) {
	r := issued(time.Hour)
	now := time.Now()
	times := timesOf(r, now, 0, 0)
	woken := now.Round(0).Add(2 * time.Hour) // no monotonic reading: the wall clock alone
	assert.True(t, times.due(woken))
	assert.True(t, times.over(woken))
	assert.False(t, times.due(now.Add(time.Minute)))
}

func TestBackoffDoublesUpToFiveMinutesAndIsHalfRandom(t *testing.T) {
	for count, longest := range map[int]time.Duration{
		-1: time.Second, 0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 8 * time.Second,
		8: 128 * time.Second, 9: 256 * time.Second, 10: maxBackoff, 11: maxBackoff, 1000: maxBackoff, math.MaxInt: maxBackoff,
	} {
		assert.Equal(t, longest/2, backoff(count, 0, 0), "%d failures", count)
		assert.InDelta(t, longest, backoff(count, 0, math.Nextafter(1, 0)), 1, "%d failures", count)
		assert.Equal(t, longest*3/4, backoff(count, 0, 0.5), "%d failures", count)
	}
}

func TestBackoffIsAtLeastWhatTheProviderAskedForUpToAnHour(t *testing.T) {
	assert.Equal(t, time.Minute, backoff(1, time.Minute, 0.5))
	assert.Equal(t, time.Hour, backoff(1, time.Hour, 0.5))
	assert.Equal(t, time.Hour, backoff(1, 1000*time.Hour, 0.5))
	assert.Equal(t, maxBackoff/2, backoff(20, time.Second, 0), "but no less than ours")
	assert.Equal(t, time.Second/2, backoff(1, -time.Hour, 0))
}

func TestRandomIsBetweenZeroAndOneAndVaries(t *testing.T) {
	m := new(Manager)
	seen := make(map[float64]bool)
	for range 100 {
		r := m.random()
		assert.True(t, r >= 0 && r < 1)
		seen[r] = true
	}
	assert.Greater(t, len(seen), 90)
}

// With the margin alone it would be due as soon as it comes, and so at every call.
func TestFixedMarginDoesNotRefreshShortLivedTokensAtEveryCall(t *testing.T) {
	for _, early := range []time.Duration{15 * time.Minute, math.MaxInt64} {
		onEvery(t, func(f *fixture) {
			f.life = 10 * time.Minute
			m := f.process()
			m.EarlyExpiry = early
			require.NoError(f, m.Save(f.Context(), "k", f.login()))
			for range 200 {
				time.Sleep(18 * time.Second)
				f.access(m)
			}
			assert.LessOrEqual(f, f.count(), 12, "in an hour")
			assert.GreaterOrEqual(f, f.count(), 9)
		})
	}
}

func TestEveryLifetimeIsKeptFreshWithAboutOneRefreshPerLife(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	lives, times := []time.Duration{5 * time.Second, 30 * 24 * time.Hour, time.Minute, 10 * time.Minute, time.Hour}, 10
	if testing.Short() {
		lives, times = lives[:2], 4
	}
	for _, life := range lives {
		t.Run(life.String(), func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				f.life = life
				f.latency = after(min(life/100, 10*time.Second))
				m := f.connected()
				for range times * 50 {
					time.Sleep(life / 50)
					tok, err := m.Source("k").Token()
					require.NoError(f, err)
					assert.True(f, time.Now().Before(tok.Expiry))
				}
				assert.GreaterOrEqual(f, f.count(), times)
				assert.LessOrEqual(f, f.count(), times*8/5)
				assert.Zero(f, f.reused)
			})
		})
	}
}

// A million records that were made together aren't refreshed together, however early.
func TestTokensIssuedTogetherAreRefreshedApart(t *testing.T) {
	for _, early := range []time.Duration{0, 25 * time.Minute, 30 * time.Minute, math.MaxInt64} {
		synctest.Test(t, func(t *testing.T) {
			r := issued(time.Hour)
			m := new(Manager)
			perMinute := make(map[int]int)
			const n = 10000
			for range n {
				times := timesOf(r, time.Now(), early, m.random())
				perMinute[int(time.Until(times.refresh)/time.Minute)]++
			}
			assert.GreaterOrEqual(t, len(perMinute), 6, "EarlyExpiry %v", early)
			for minute, count := range perMinute {
				assert.Less(t, count, n/4, "EarlyExpiry %v, minute %d", early, minute)
			}
		})
	}
}

func TestLoginThatHasExpiredAlreadyIsRefreshedAtTheFirstCall(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		tok := f.login()
		tok.Expiry = time.Now().Add(-time.Hour)
		require.NoError(f, m.Save(f.Context(), "k", tok))
		assert.Equal(f, "access-2", f.access(m))
		assert.Equal(f, 1, f.count())
	})
}

var _ oauth2.TokenSource = (*Source)(nil)
