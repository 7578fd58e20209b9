package tokensource

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

func TestLifetimeThatARefreshLeavesOutIsTheOneBefore(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected() // for an hour
		f.life = -1
		for n := 2; n < 5; n++ {
			time.Sleep(time.Hour)
			assert.Equal(f, fmt.Sprintf("access-%d", n), f.access(m))
			assert.WithinDuration(f, time.Now().Add(time.Hour), f.stored().Expiry, time.Second)
		}
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		time.Sleep(1000 * time.Hour)
		assert.Equal(f, "access-5", f.access(m), "a login that says nothing lives for ever")
	})
}

func TestLifetimeThatNothingSaysIsAnHourIfTheLoginHadExpiredOrWasAboutTo(t *testing.T) {
	for _, left := range []time.Duration{-24 * time.Hour, 0, 3 * time.Second} {
		onEvery(t, func(f *fixture) {
			m := f.process()
			imported := f.login()
			imported.Expiry = time.Now().Add(left)
			require.NoError(f, m.Save(f.Context(), "k", imported))
			time.Sleep(left)
			f.life = -1
			for n := 2; n < 5; n++ {
				assert.Equal(f, fmt.Sprintf("access-%d", n), f.access(m))
				assert.Equal(f, time.Now().Add(time.Hour).UTC(), f.stored().Expiry)
				time.Sleep(time.Hour)
			}
		})
	}
}

func TestExpiryIsCountedFromExpiresIn(t *testing.T) {
	for _, c := range []struct {
		token oauth2.Token
		want  time.Duration // 0: never
	}{
		{oauth2.Token{ExpiresIn: 3600}, time.Hour},
		{oauth2.Token{ExpiresIn: 3600, Expiry: time.Now().Add(time.Minute)}, time.Minute},
		{oauth2.Token{}, 0},
		{oauth2.Token{ExpiresIn: -5}, 0},
		{oauth2.Token{ExpiresIn: math.MaxInt64}, time.Until(maxExpiry)},
	} {
		c.token.AccessToken = "a"
		r, err := newLogin(&c.token, testOwner, time.Now())
		require.NoError(t, err)
		if c.want == 0 {
			assert.Zero(t, r.Expiry)
			continue
		}
		assert.WithinDuration(t, time.Now().Add(c.want), r.Expiry, 5*time.Second)
	}
}

func TestLoginWithoutTheRefreshTokenOfTheOneBeforeIsTold(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		assert.Zero(f, f.seen(EventNoRefreshToken))
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "second"}))
		assert.Equal(f, 1, f.seen(EventNoRefreshToken))
		assert.Equal(f, "k", f.lastEvent(EventNoRefreshToken).Connection)
		st := f.status(f.process())
		assert.True(f, st.NoRefreshToken)
		assert.False(f, st.Refreshable)
		assert.Empty(f, f.stored().RefreshToken, "the old one belongs to another login")

		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.False(f, f.status(m).NoRefreshToken)
		assert.Equal(f, 1, f.seen(EventNoRefreshToken))
	})
}

// TestIdentifiersKeepTheirDigits: a user's id must not become another user's.
func TestIdentifiersKeepTheirDigits(t *testing.T) {
	const text = `{"user_id":9007199254740993,"small":42,"half":0.5,"huge":1e400,"minus":-9007199254740993,` +
		`"in":{"list":[9007199254740993,{"id":18446744073709551615}]}}`
	var extra map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&extra))
	check := func(f *fixture, m *Manager) {
		f.Helper()
		token, err := m.Source("k").Token()
		require.NoError(f, err)
		assert.Equal(f, json.Number("9007199254740993"), token.Extra("user_id"))
		assert.Equal(f, float64(42), token.Extra("small"), "as x/oauth2 has it")
		assert.Equal(f, 0.5, token.Extra("half"))
		back := make(map[string]any)
		for name := range extra {
			back[name] = token.Extra(name)
		}
		data, err := json.Marshal(back)
		require.NoError(f, err)
		assert.JSONEq(f, strings.ReplaceAll(text, "1e400", `"huge"`), strings.ReplaceAll(string(data), "1e400", `"huge"`))
		for _, digits := range []string{`"user_id":9007199254740993`, "-9007199254740993", "[9007199254740993,", "18446744073709551615", "1e400"} {
			assert.Contains(f, string(data), digits)
		}
	}
	onEvery(t, func(f *fixture) {
		m := f.process()
		require.NoError(f, m.Save(f.Context(), "k", f.login().WithExtra(extra)))
		check(f, m)
		check(f, f.process())
		time.Sleep(time.Hour)
		check(f, m) // refreshed, by an answer without them
		check(f, f.process())
	})
}

func TestNameThatIsNotConnectedRequiresALogin(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		_, err := m.Source("k").Token()
		_, statusErr := m.Status(f.Context(), "k")
		_, storedErr := m.Source("k").Stored(f.Context())
		for _, err := range []error{err, statusErr, storedErr} {
			require.ErrorIs(f, err, ErrLoginRequired)
			require.ErrorIs(f, err, storage.ErrNotFound)
			var e *Error
			require.ErrorAs(f, err, &e)
			assert.Equal(f, ReasonNotConnected, e.Reason)
			assert.Contains(f, err.Error(), "never saved, or was disconnected")
			var retrieve *oauth2.RetrieveError
			require.ErrorAs(f, err, &retrieve)
			assert.Equal(f, "invalid_grant", retrieve.ErrorCode)
		}
		require.NoError(f, m.Save(f.Context(), "k", f.login()))
		assert.Equal(f, "access-1", f.access(m), "at once")
	})
}

func TestNameMustNotBeEmpty(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		require.Error(f, m.Save(f.Context(), "", f.login()))
		_, err := m.Source("").Token()
		assert.Error(f, err)
		assert.Zero(f, f.seen(EventSaved))
	})
}

func TestRefreshTokenAloneMakesAConnection(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{RefreshToken: f.login().RefreshToken}))
		assert.Equal(f, StateExpiring, f.status(m).State)
		assert.Equal(f, "access-2", f.access(m))
	})
}

func TestExpiredLoginWithoutARefreshTokenIsTold(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.process()
		require.NoError(f, m.Save(f.Context(), "k", &oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(-time.Second)}))
		assert.Equal(f, 1, f.seen(EventLoginRequired))
		assert.Equal(f, ReasonExpired, f.lastEvent(EventLoginRequired).Reason)
		assert.Equal(f, StateLoginRequired, f.status(m).State)
		for _, m := range []*Manager{m, f.process()} {
			_, err := m.Source("k").Token()
			assert.ErrorIs(f, err, ErrLoginRequired)
		}
		assert.Equal(f, 1, f.seen(EventLoginRequired), "once")
	})
}

// deep nests n maps, and few with -short: ten thousand are slow.
func deep(n int) any {
	if testing.Short() {
		n = 10
	}
	var v any = "bottom"
	for range n {
		v = map[string]any{"in": v}
	}
	return v
}

// TestSaveRefusesWhatWouldNotComeBack from the store, and what it takes does.
func TestSaveRefusesWhatWouldNotComeBack(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	with := func(v any) *oauth2.Token {
		return (&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{"beside": v})
	}
	for name, c := range map[string]struct {
		token *oauth2.Token
		ok    bool
	}{
		"access token":           {&oauth2.Token{AccessToken: "a\xff"}, false},
		"refresh token":          {&oauth2.Token{AccessToken: "a", RefreshToken: "r\xff"}, false},
		"token type":             {&oauth2.Token{AccessToken: "a", TokenType: "t\xff"}, false},
		"text beside":            {with("\xff"), false},
		"text deep inside":       {with([]any{map[string]any{"x": "\xff"}}), false},
		"JSON beside":            {with(json.RawMessage("\"\xff\"")), false},
		"name beside":            {(&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{"\xff": 1}), false},
		"not a number":           {with(math.NaN()), false},
		"infinite":               {with(math.Inf(1)), false},
		"cyclic":                 {with(cyclic), false},
		"a function":             {with(func() {}), false},
		"too deep":               {with(deep(9_999)), false},
		"too large":              {with(strings.Repeat("x", maxExtra)), false},
		"deep":                   {with(deep(9_000)), true},
		"replacement character":  {with("\ufffd"), true},
		"its escape as a text":   {with(`\ufffd \\ufffd`), true},
		"control characters":     {with("\x00\x1f\u2028"), true},
		"html":                   {with("<a&b>"), true},
		"an empty token beside":  {with(map[string]any{}), true},
		"null":                   {with(nil), true},
		"a token with NUL in it": {&oauth2.Token{AccessToken: "a", RefreshToken: "r\x00"}, true},
	} {
		if testing.Short() && strings.HasSuffix(name, "deep") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				m := f.process()
				err := m.Save(f.Context(), "k", c.token)
				if !c.ok {
					require.Error(f, err)
					assert.NotContains(f, err.Error(), "\xff")
					assert.Zero(f, f.raw.count("put"))
					return
				}
				require.NoError(f, err)
				token, err := f.process().Source("k").Token()
				require.NoError(f, err)
				assert.Equal(f, c.token.AccessToken, token.AccessToken)
				assert.Equal(f, c.token.Extra("beside"), token.Extra("beside"))
			})
		})
	}
}

func TestEndOfARefreshTokenIsRead(t *testing.T) {
	now := time.Unix(1_900_000_000, 0).UTC()
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{
		`{}`:                                     0,
		`{"refresh_token_expires_in":86400}`:     day,
		`{"refresh_token_expires_in":"86400"}`:   day,
		`{"refresh_expires_in":86400.5}`:         day + 500*time.Millisecond,
		`{"x_refresh_token_expires_in":8640000}`: 100 * day,
		`{"consent_expires_in":86400,"refresh_token_expires_in":172800}`:           day,
		`{"refresh_token_expires_at":1900086400}`:                                  day,
		`{"refresh_token_expires_at":"1900086400"}`:                                day,
		`{"refresh_token_expiration":"` + now.Add(day).Format(time.RFC3339) + `"}`: day,
		`{"refresh_token_expires_in":0}`:                                           0,
		`{"refresh_token_expires_in":-1}`:                                          0,
		`{"refresh_token_expires_in":null}`:                                        0,
		`{"refresh_token_expires_in":"never"}`:                                     0,
		`{"refresh_token_expires_in":1e300}`:                                       0,
		`{"refresh_token_expires_in":9223372036854775807}`:                         0,
		`{"refresh_token_expires_at":1}`:                                           0,
		`{"refresh_token_expires_at":{"in":"no time"}}`:                            0,
		`{"refresh_token_expires_in":-1,"refresh_token_expires_at":1900086400}`:    day,
		`{"refresh_token_expires_in":"NaN"}`:                                       0,
		`{"refresh_token_expires_in":"Inf"}`:                                       0,
		`{"refresh_token_expires_at":"NaN","consent_expires_at":"-Inf"}`:           0,
		`{"refresh_token_expires_in":10000000000}`:                                 0,
	} {
		var extra map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &extra))
		got := refreshExpiry(extra, now)
		if want == 0 {
			assert.Zero(t, got, text)
			continue
		}
		assert.WithinDuration(t, now.Add(want), got, time.Millisecond, text)
	}
}

func TestRefreshTokenThatEndsIsRefreshedInTime(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		token := f.login().WithExtra(map[string]any{"refresh_token_expires_in": float64(4 * 24 * 3600)})
		require.NoError(f, m.Save(f.Context(), "k", token))
		assert.WithinDuration(f, time.Now().Add(4*24*time.Hour), f.status(m).RefreshTokenExpiry, time.Second)
		assert.False(f, idle(f.stored(), time.Now().Add(24*time.Hour), defaultKeepAlive))
		assert.True(f, idle(f.stored(), time.Now().Add(49*time.Hour), defaultKeepAlive), "half of it has passed")
		time.Sleep(49 * time.Hour)
		f.access(m)
		assert.Zero(f, f.status(m).RefreshTokenExpiry, "of the new one nothing is known")
	})
}

func TestSaveRefusesATokenThatNoRequestCanCarry(t *testing.T) {
	for _, access := range []string{"secret\r\nX-Evil: 1", "secret\n", "\rsecret", "sec\x00ret", "secret\x7f"} {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			err := m.Save(f.Context(), "k", &oauth2.Token{AccessToken: access, RefreshToken: "r"})
			require.ErrorContains(f, err, `connection "k": the access token has a control character in it`)
			assert.NotContains(f, err.Error(), "sec")
			assert.Equal(f, "access-1", f.access(m))
			assert.Equal(f, 1, f.seen(EventSaved))
		})
	}
}
