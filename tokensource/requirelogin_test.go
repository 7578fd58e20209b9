package tokensource

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// A webhook says that the connection has ended, at one of two processes.
func TestRequireLoginIsSeenByAll(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m, other := f.process(), f.process()
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, "access-1", f.access(other))
		stored, err := m.Source("k").Stored(f.Context())
		require.NoError(f, err)
		require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "reauth"))
		e := f.lastEvent(EventLoginRequired)
		assert.Equal(f, ReasonRejected, e.Reason)
		require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "reauth"), "it is delivered twice")

		time.Sleep(2 * time.Minute) // other looks
		_, _ = other.Source("k").Token()
		time.Sleep(time.Second)
		for _, m := range []*Manager{m, other, f.process()} {
			_, err := m.Source("k").Token()
			assert.ErrorIs(f, err, ErrLoginRequired)
			st := f.status(m)
			assert.Equal(f, StateLoginRequired, st.State)
			assert.Equal(f, "reauth", st.ErrorCode)
		}
		assert.Zero(f, f.count(), "nobody spent the refresh token")
		require.NoError(f, other.Save(f.Context(), "k", f.login()))
		assert.Equal(f, "access-2", f.access(other))
	})
}

// It is late: the user has connected again, or the token was refreshed.
func TestRequireLoginForATokenThatWasReplacedDoesNothing(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		old, err := m.Source("k").Stored(f.Context())
		require.NoError(f, err)
		again := f.login()
		require.NoError(f, m.Save(f.Context(), "k", again))
		for _, token := range []*oauth2.Token{nil, {}, old, {AccessToken: again.AccessToken}, {RefreshToken: again.RefreshToken}} {
			require.NoError(f, m.Source("k").RequireLogin(f.Context(), token, "reauth"))
		}
		assert.Equal(f, "access-2", f.access(m))
		assert.Nil(f, f.stored().Failure)
		err = m.Source("nobody").RequireLogin(f.Context(), old, "reauth")
		assert.True(f, isReason(err, ReasonNotConnected), "%v", err)
		err = f.renamed().Source("k").RequireLogin(f.Context(), again, "reauth")
		assert.True(f, isReason(err, ReasonOtherClient), "%v", err)
		assert.Nil(f, f.stored().Failure)
	})
}

func TestRequireLoginSaysThatItCouldNotBeWritten(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		stored, err := m.Source("k").Stored(f.Context())
		require.NoError(f, err)
		f.raw.fail("put")
		err = m.Source("k").RequireLogin(f.Context(), stored, "reauth")
		assert.True(f, isReason(err, ReasonStore), "%v", err)
		f.raw.mended()
		assert.Equal(f, "access-1", f.access(m))
		for _, code := range []string{"a sentence, or " + stored.AccessToken, stored.AccessToken, stored.RefreshToken} {
			require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, code))
			assert.Equal(f, StateLoginRequired, f.status(m).State)
			assert.Equal(f, "", f.status(m).ErrorCode, "it could be anything")
			require.NoError(f, m.Save(f.Context(), "k", stored))
		}
	})
}

// A webhook is delivered again after an error. Only then is it known that the end is durable.
func TestRequireLoginThatSeemedToFailIsWrittenAgainAndToldOnce(t *testing.T) {
	for _, used := range []bool{false, true} { // between the deliveries
		onEvery(t, func(f *fixture) {
			m := f.connected()
			stored, err := m.Source("k").Stored(f.Context())
			require.NoError(f, err)
			f.raw.set(nil, func(op string) error {
				if op == "put" {
					return errStoreDown
				}
				return nil
			})
			for range 2 {
				err = m.Source("k").RequireLogin(f.Context(), stored, "reauth")
				assert.True(f, isReason(err, ReasonStore), "%v", err)
				if used {
					time.Sleep(2 * time.Minute)
					_, _ = m.Source("k").Token()
					time.Sleep(2 * time.Second)
					_, err = m.Source("k").Token()
					assert.ErrorIs(f, err, ErrLoginRequired)
				}
			}
			assert.Zero(f, f.seen(EventLoginRequired))
			f.raw.mended()
			puts := f.raw.count("put")
			require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "reauth"))
			assert.Equal(f, puts+1, f.raw.count("put"))
			assert.Equal(f, "reauth", f.status(m).ErrorCode)
			for range 3 {
				_, err = m.Source("k").Token()
				assert.ErrorIs(f, err, ErrLoginRequired)
				require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "reauth"))
				time.Sleep(time.Minute)
			}
			assert.Equal(f, puts+1, f.raw.count("put"))
			assert.Equal(f, 1, f.seen(EventLoginRequired))
		})
	}
}

// What is told of an end that a refresh has found is why that came, whoever tells it.
func TestRequireLoginTellsOfAnEarlierEndWhyItCame(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		stored, err := m.Source("k").Stored(f.Context())
		require.NoError(f, err)
		f.revoke()
		time.Sleep(time.Hour)
		f.raw.set(nil, func(op string) error {
			if op == "put" && f.stored().Failure != nil {
				return errStoreDown
			}
			return nil
		})
		_, err = m.Source("k").Token()
		assert.True(f, isReason(err, ReasonStore), "%v", err)
		f.raw.mended()
		require.NoError(f, m.Source("k").RequireLogin(f.Context(), stored, "reauth"))
		assert.Equal(f, 1, f.seen(EventLoginRequired))
		e := f.lastEvent(EventLoginRequired)
		assert.Equal(f, ReasonRevoked, e.Reason)
		assert.True(f, isReason(e.Err, e.Reason), "%v", e.Err)
	})
}

// A webhook is delivered twice at a time, or a call finds the end meanwhile.
func TestEndWhoseWriteSeemedToFailIsToldOnceByWhoeverWritesItAgain(t *testing.T) {
	for name, second := range map[string]func(s *Source, stored *oauth2.Token) error{
		"RequireLogin": func(s *Source, stored *oauth2.Token) error {
			return s.RequireLogin(context.Background(), stored, "reauth")
		},
		"Token": func(s *Source, _ *oauth2.Token) error {
			if _, err := s.Token(); !errors.Is(err, ErrLoginRequired) {
				return fmt.Errorf("unexpected: %w", err)
			}
			return nil
		},
	} {
		for _, isFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, first: %v", name, isFirst), func(t *testing.T) {
				onSwap(t, func(f *fixture) {
					m := f.connected()
					s := m.Source("k")
					stored, err := s.Stored(f.Context())
					require.NoError(f, err)
					f.raw.set(nil, func(op string) error {
						if op == "put" {
							return errStoreDown
						}
						return nil
					})
					require.Error(f, s.RequireLogin(f.Context(), stored, "reauth"))
					time.Sleep(time.Hour) // and the next call looks at the record
					var slow atomic.Bool
					slow.Store(true)
					f.raw.set(nil, func(op string) error {
						if op == "put" && slow.Swap(false) {
							time.Sleep(200 * time.Millisecond) // until the answer is there
						}
						return nil
					})
					first := func() error { return s.RequireLogin(f.Context(), stored, "reauth") }
					then := func() error { return second(s, stored) }
					if isFirst {
						first, then = then, first
					}
					ended := make(chan error)
					go func() { ended <- first() }()
					time.Sleep(50 * time.Millisecond)
					require.NoError(f, then())
					require.NoError(f, <-ended)
					assert.Equal(f, 1, f.seen(EventLoginRequired))
				})
			})
		}
	}
}

// The write of one seems to fail again, and by then the other has written and told the end.
func TestEndThatIsToldIsNotToldAgainAfterALateError(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.connected()
		s := m.Source("k")
		stored, err := s.Stored(f.Context())
		require.NoError(f, err)
		var puts atomic.Int32
		f.raw.set(nil, func(op string) error {
			if op != "put" {
				return nil
			}
			switch puts.Add(1) {
			case 2:
				time.Sleep(200 * time.Millisecond)
				return errStoreDown
			case 1:
				return errStoreDown
			}
			return nil
		})
		require.Error(f, s.RequireLogin(f.Context(), stored, "reauth"))
		late := make(chan error)
		go func() { late <- s.RequireLogin(f.Context(), stored, "reauth") }()
		time.Sleep(50 * time.Millisecond)
		require.NoError(f, s.RequireLogin(f.Context(), stored, "reauth"))
		require.Error(f, <-late)
		require.NoError(f, s.RequireLogin(f.Context(), stored, "reauth"))
		assert.Equal(f, 1, f.seen(EventLoginRequired))
	})
}
