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

		time.Sleep(maxFastPath - 1)
		_, err = s.get(t.Context())
		require.NoError(t, err)
		assert.Same(t, first, s.fastPath.Load())

		time.Sleep(2 * time.Nanosecond)
		_, err = s.get(t.Context())
		require.NoError(t, err)
		assert.NotSame(t, first, s.fastPath.Load())
	})
}

// TestFastPathIsOverByTheClock: no timer has to run first, as one has after a process was stopped.
func TestFastPathIsOverByTheClock(t *testing.T) {
	s := steady(t)
	v, err := s.get(t.Context())
	require.NoError(t, err)
	old := *v
	s.fastPath.Store(&fastPath{view: &old, until: monotonic() + int64(time.Minute)})
	got, err := s.get(t.Context())
	require.NoError(t, err)
	assert.Same(t, &old, got)
	s.fastPath.Store(&fastPath{view: &old, until: monotonic()})
	got, err = s.get(t.Context())
	require.NoError(t, err)
	assert.Same(t, v, got)
}

func TestFastPathIsNotOpenLongerThanTheTokenIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := steady(t)
		v, err := s.get(t.Context())
		require.NoError(t, err)
		for left, open := range map[time.Duration]time.Duration{
			time.Hour:       maxFastPath,
			maxFastPath / 2: maxFastPath / 2,
			0:               0,
			-time.Hour:      0,
		} {
			s.fastPath.Store(nil)
			s.openFastPath(v, v.looked.Add(s.m.set.stale-left))
			if open == 0 {
				assert.Nil(t, s.fastPath.Load(), left)
				continue
			}
			assert.Equal(t, monotonic()+int64(open), s.fastPath.Load().until, left)
		}
	})
}

// TestFastPathEndsWithTheToken: also when it is to be refreshed.
func TestFastPathEndsWithTheToken(t *testing.T) {
	for name, set := range map[string]func(v *view, at time.Time){
		"refresh": func(v *view, at time.Time) { v.times.refresh = at },
		"end":     func(v *view, at time.Time) { v.times.end = at },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := steady(t)
				_, err := s.get(t.Context())
				require.NoError(t, err)
				open := func(left time.Duration) *fastPath {
					v := s.change(func(v *view) *view {
						next := *v
						next.looked = time.Now()
						set(&next, time.Now().Add(left))
						return &next
					})
					s.openFastPath(v, time.Now())
					return s.fastPath.Load()
				}
				assert.Equal(t, monotonic()+int64(maxFastPath/2), open(maxFastPath/2).until)
				assert.Nil(t, open(0))
			})
		})
	}
}

// TestFastPathIsNotOpenedForAViewThatWasReplaced: after the call that opens it had looked.
func TestFastPathIsNotOpenedForAViewThatWasReplaced(t *testing.T) {
	s := steady(t)
	v, err := s.get(t.Context())
	require.NoError(t, err)
	s.Reject(&oauth2.Token{AccessToken: "a"})
	s.openFastPath(v, time.Now())
	assert.Nil(t, s.fastPath.Load())
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
