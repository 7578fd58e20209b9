package tokensource

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestFastPathIsOpenForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := steady(t)
		_, err := s.get(t.Context())
		require.NoError(t, err)
		first := s.fastPath.Load()
		require.NotNil(t, first)

		time.Sleep(secondLength - 1)
		_, err = s.get(t.Context())
		require.NoError(t, err)
		assert.Same(t, first, s.fastPath.Load())

		time.Sleep(2)
		_, err = s.get(t.Context())
		require.NoError(t, err)
		assert.NotSame(t, first, s.fastPath.Load())
	})
}

// TestConnectionsOfAManagerShareASecond: a timer for each would take more memory than a connection.
func TestConnectionsOfAManagerShareASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := steady(t)
		require.NoError(t, first.m.Save(t.Context(), "other", &oauth2.Token{AccessToken: "b", Expiry: time.Now().Add(time.Hour)}))
		other := first.m.Source("other")
		_, err := first.get(t.Context())
		require.NoError(t, err)
		time.Sleep(secondLength / 2)
		_, err = other.get(t.Context())
		require.NoError(t, err)
		assert.Same(t, first.fastPath.Load().second, other.fastPath.Load().second)
	})
}

// TestFastPathIsNotOpenedShortlyBeforeATokenIsDue: its timer may be late.
func TestFastPathIsNotOpenedShortlyBeforeATokenIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := steady(t)
		v, err := s.get(t.Context())
		require.NoError(t, err)
		open := func(left time.Duration) bool {
			s.fastPath.Store(nil)
			s.openFastPath(v, v.looked.Add(s.m.set.stale-left))
			return s.fastPath.Load() != nil
		}
		assert.True(t, open(2*secondLength+1))
		assert.False(t, open(2*secondLength))
		assert.False(t, open(0))
		assert.False(t, open(-time.Hour))
	})
}

// TestSecondWhoseTimerIsLateIsNotJoined: as in a process that was stopped.
func TestSecondWhoseTimerIsLateIsNotJoined(t *testing.T) {
	m := steady(t).m
	now := time.Now()
	late := &second{ends: now}
	m.second.Store(late)
	next := m.currentSecond(now)
	assert.NotSame(t, late, next)
	assert.True(t, next.ends.After(now))
	assert.Same(t, next, m.currentSecond(now))
}

// TestChangeClosesTheFastPath: of a token that was rejected, replaced or deleted.
func TestChangeClosesTheFastPath(t *testing.T) {
	for name, change := range map[string]func(s *Source) error{
		"Save": func(s *Source) error {
			return s.m.Save(context.Background(), "k", &oauth2.Token{AccessToken: "b", RefreshToken: "r2", Expiry: time.Now().Add(time.Hour)})
		},
		"Reject": func(s *Source) error { s.Reject(&oauth2.Token{AccessToken: "a"}); return nil },
		"Forget": func(s *Source) error { return s.m.Forget(context.Background(), "k") },
	} {
		t.Run(name, func(t *testing.T) {
			s := steady(t)
			_, err := s.get(t.Context())
			require.NoError(t, err)
			require.NotNil(t, s.fastPath.Load())
			require.NoError(t, change(s))
			assert.Nil(t, s.fastPath.Load())
		})
	}
}
