package tokensource

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// goldenRecord is a record of format 1 with everything in it. It must be readable
// for ever: never change it, add another one.
const goldenRecord = `{
	"format": 1,
	"issuer": "https://provider.test",
	"client_id": "client",
	"login_id": "MFRGGZDFMZTWQ2LKNNWG",
	"generation": 7,
	"id": "JBSWY3DPEHPK3PXPJBSWY3DPEH",
	"access_token": "secret-access",
	"token_type": "bearer",
	"refresh_token": "secret-refresh",
	"expiry": "2026-05-04T03:02:01.5Z",
	"extra": {"scope": "read", "number": 12.5, "user": 9007199254740993, "flag": true, "nothing": null, "list": ["a", 1], "object": {"b": "c"}},
	"login": "2026-01-02T03:04:05Z",
	"obtained": "2026-05-04T02:02:01.5Z",
	"rotated": "2026-03-02T03:04:05Z",
	"refresh_expiry": "2027-03-02T03:04:05Z",
	"recovered": "2026-05-01T00:00:00Z",
	"no_refresh_token": true,
	"may_be_spent": true,
	"sent_twice": true,
	"attempt": {"id": "AAAA", "started": "2026-05-04T02:03:00Z", "renewed": 2, "locked": true},
	"failure": {"reason": "rate_limited", "code": "too_many_requests", "at": "2026-05-04T02:02:30Z", "count": 3, "next": "2026-05-04T02:02:50Z", "final": true}
}`

func utc(y int, m time.Month, d, h, min, s, ns int) time.Time {
	return time.Date(y, m, d, h, min, s, ns, time.UTC)
}

func TestRecordOfFormat1IsReadForEver(t *testing.T) {
	rec, err := decodeRecord([]byte(goldenRecord))
	require.NoError(t, err)
	assert.Equal(t, &record{
		Format:       1,
		Registration: &testOwner,
		LoginID:      "MFRGGZDFMZTWQ2LKNNWG",
		Generation:   7,
		ID:           "JBSWY3DPEHPK3PXPJBSWY3DPEH",
		AccessToken:  "secret-access",
		TokenType:    "bearer",
		RefreshToken: "secret-refresh",
		Expiry:       utc(2026, 5, 4, 3, 2, 1, 5e8),
		Extra: map[string]any{"scope": "read", "number": 12.5, "user": json.Number("9007199254740993"), "flag": true, "nothing": nil,
			"list": []any{"a", 1.0}, "object": map[string]any{"b": "c"}},
		Login:          instantOf(utc(2026, 1, 2, 3, 4, 5, 0)),
		Obtained:       utc(2026, 5, 4, 2, 2, 1, 5e8),
		Rotated:        instantOf(utc(2026, 3, 2, 3, 4, 5, 0)),
		RefreshExpiry:  instantOf(utc(2027, 3, 2, 3, 4, 5, 0)),
		Recovered:      instantOf(utc(2026, 5, 1, 0, 0, 0, 0)),
		NoRefreshToken: true,
		MayBeSpent:     true,
		SentTwice:      true,
		Attempt:        &attempt{ID: "AAAA", Started: utc(2026, 5, 4, 2, 3, 0, 0), Renewed: 2, Locked: true},
		Failure: &failure{Reason: ReasonRateLimited, Code: "too_many_requests", At: utc(2026, 5, 4, 2, 2, 30, 0),
			Count: 3, Next: utc(2026, 5, 4, 2, 2, 50, 0), Final: true},
	}, rec)
	assert.Equal(t, "secret-access", rec.token().AccessToken)

	data, err := rec.encode()
	require.NoError(t, err)
	assert.JSONEq(t, goldenRecord, string(data), "this version writes what it reads")
}

// The reasons stand in records, and what a program compares with is the constants.
func TestReasonsAreWrittenAsTheyWereInFormat1(t *testing.T) {
	assert.Equal(t, []Reason{"revoked_or_expired", "response_lost", "rejected", "expired", "misconfigured", "rate_limited", "unavailable", "store"},
		[]Reason{ReasonRevoked, ReasonResponseLost, ReasonRejected, ReasonExpired, ReasonMisconfigured, ReasonRateLimited, ReasonUnavailable, ReasonStore})
}

func TestSmallestRecordLeavesOutWhatIsEmpty(t *testing.T) {
	rec, err := newLogin(&oauth2.Token{AccessToken: "a"}, testOwner, utc(2026, 1, 2, 3, 4, 5, 0))
	require.NoError(t, err)
	rec.ID, rec.LoginID = "X", "L"
	data, err := rec.encode()
	require.NoError(t, err)
	assert.Equal(t, `{"format":1,"issuer":"https://provider.test","client_id":"client","login_id":"L","generation":1,"id":"X","access_token":"a","login":"2026-01-02T03:04:05Z","obtained":"2026-01-02T03:04:05Z","rotated":"2026-01-02T03:04:05Z"}`, string(data))
}

// A later release may have written more.
func TestMembersThatThisReleaseDoesNotKnowAreReadOverAndNotKept(t *testing.T) {
	rec, err := newLogin(&oauth2.Token{AccessToken: "a"}, testOwner, utc(2026, 1, 2, 3, 4, 5, 0))
	require.NoError(t, err)
	data, err := rec.encode()
	require.NoError(t, err)
	more := append([]byte(`{"later":{"a":[1]},`), data[1:]...)
	got, err := decodeRecord(more)
	require.NoError(t, err)
	again, err := got.encode()
	require.NoError(t, err)
	assert.JSONEq(t, string(data), string(again))
}

func TestUnreadableRecordIsAnErrorWithoutItsText(t *testing.T) {
	for _, data := range []string{
		"", "null", "[]", "secret", `"secret"`, `{"format":1}`,
		`{"format":1,"login_id":"l","id":"x","generation":1}`, `{"format":1,"login_id":"l","access_token":"secret"}`,
		`{"format":1,"id":"x","access_token":"secret"}`, // of no login
		`{"format":1,"login_id":"l","id":"x","access_token":"secret","expiry":"secret"}`,
		`{"format":1,"login_id":"l","id":"x","access_token":["secret"]}`,
		`{"format":0,"login_id":"l","id":"x","access_token":"secret"}`,
		`{"format":-1,"login_id":"l","id":"x","access_token":"secret"}`,
		`{"format":"secret","login_id":"l","id":"x","access_token":"secret"}`,
		`{"format":1,"login_id":"l","id":"x","access_token":"secret"} secret`,
	} {
		_, err := decodeRecord([]byte(data))
		require.ErrorIs(t, err, errRecord, data)
		assert.NotContains(t, err.Error(), "secret")
	}
	for _, data := range []string{
		`{"format":2,"login_id":"l","id":"x","access_token":"secret"}`,
		`{"format":99,"id":{"secret":1},"access_token":["secret"]}`,
	} {
		_, err := decodeRecord([]byte(data))
		assert.ErrorContains(t, err, "reads up to 1: update it", data)
		assert.NotContains(t, err.Error(), "secret")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(goldenRecord))
	f.Add([]byte(`{"format":1,"login_id":"l","id":"x","access_token":"a"}`))
	f.Add([]byte(`{"format":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decodeRecord(data)
		if err != nil {
			return
		}
		if !rec.hasToken() && rec.Generation != 0 || rec.ID == "" || rec.LoginID == "" || rec.Format != recordFormat {
			t.Fatalf("%q was taken for a record", data)
		}
		again, err := rec.encode()
		if err != nil {
			return // an expiry before the year 0
		}
		if _, err := decodeRecord(again); err != nil {
			t.Fatalf("%q is written as %q, and not read again: %v", data, again, err)
		}
	})
}

// roundTrip returns the record that is read after rec was written.
func roundTrip(t *testing.T, rec *record) *record {
	t.Helper()
	data, err := rec.encode()
	require.NoError(t, err)
	again, err := decodeRecord(data)
	require.NoError(t, err)
	return again
}

func TestWhatCameBesideTheTokenSurvivesWithItsType(t *testing.T) {
	extra := map[string]any{
		"string": "s", "empty": "", "number": 1.5, "integer": 7.0, "large": 1e300, "true": true, "false": false, "null": nil,
		"list": []any{"a", 1.0, nil, []any{}}, "object": map[string]any{"deep": map[string]any{"er": "x"}},
	}
	rec, err := newLogin((&oauth2.Token{AccessToken: "a"}).WithExtra(extra), testOwner, time.Now())
	require.NoError(t, err)
	for when, rec := range map[string]*record{"before": rec, "after": roundTrip(t, rec)} {
		tok := rec.token()
		for name, want := range extra {
			assert.Equal(t, want, tok.Extra(name), "%s, %s saving", name, when)
		}
		assert.Nil(t, tok.Extra("absent"))
	}
}

// A number must not be of one type in the process that saved it and of another in
// the next.
func TestNumbersAreOfOneTypeBeforeAndAfterSaving(t *testing.T) {
	type named struct {
		ID int `json:"id"`
	}
	rec, err := newLogin((&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{
		"int": 7, "int64": int64(8), "json": json.Number("9"), "struct": named{10}, "time": utc(2026, 1, 2, 3, 4, 5, 0),
	}), testOwner, time.Now())
	require.NoError(t, err)
	for _, rec := range []*record{rec, roundTrip(t, rec)} {
		tok := rec.token()
		assert.Equal(t, 7.0, tok.Extra("int"))
		assert.Equal(t, 8.0, tok.Extra("int64"))
		assert.Equal(t, 9.0, tok.Extra("json"))
		assert.Equal(t, map[string]any{"id": 10.0}, tok.Extra("struct"))
		assert.Equal(t, "2026-01-02T03:04:05Z", tok.Extra("time"))
	}
}

func TestExtrasOfAFormEncodedAnswerAreKept(t *testing.T) {
	tok := (&oauth2.Token{AccessToken: "a"}).WithExtra(url.Values{
		"access_token": {"a"}, "scope": {"read write"}, "user_id": {"42"}, "ratio": {"0.5"}, "version": {"1.2.3"}, "several": {"x", "y"},
	})
	rec, err := newLogin(tok, testOwner, time.Now())
	require.NoError(t, err)
	for _, rec := range []*record{rec, roundTrip(t, rec)} {
		tok := rec.token()
		assert.Equal(t, "read write", tok.Extra("scope"))
		assert.Equal(t, 42.0, tok.Extra("user_id"))
		assert.Equal(t, 0.5, tok.Extra("ratio"))
		assert.Equal(t, "1.2.3", tok.Extra("version"))
		assert.Equal(t, "x", tok.Extra("several"), "as x/oauth2 has it")
		assert.Nil(t, tok.Extra("access_token"), "no secret is stored twice")
	}
}

func TestTokenSurvivesSaving(t *testing.T) {
	expiry := time.Now().Add(time.Hour)
	rec, err := newLogin(&oauth2.Token{AccessToken: "a", TokenType: "bearer", RefreshToken: "r", Expiry: expiry}, testOwner, time.Now())
	require.NoError(t, err)
	tok := roundTrip(t, rec).token()
	assert.True(t, expiry.Equal(tok.Expiry))
	tok.Expiry = time.Time{}
	assert.Equal(t, &oauth2.Token{AccessToken: "a", TokenType: "bearer", RefreshToken: "r"}, tok)
}

func TestEveryTokenHasANewID(t *testing.T) {
	tok := &oauth2.Token{AccessToken: "a", RefreshToken: "r"}
	seen := make(map[string]bool)
	rec, err := newLogin(tok, testOwner, time.Now())
	require.NoError(t, err)
	for range 100 {
		assert.False(t, seen[rec.ID])
		seen[rec.ID] = true
		rec = rec.refreshed(tok, time.Now())
	}
	assert.Equal(t, rec.ID, rec.with(&attempt{}, nil).ID, "an attempt is about the same token")
}

func TestRefreshKeepsWhatIsNotSentAgain(t *testing.T) {
	login := utc(2026, 1, 1, 0, 0, 0, 0)
	first, err := newLogin((&oauth2.Token{AccessToken: "a1", TokenType: "bearer", RefreshToken: "r1", Expiry: login.Add(time.Hour)}).
		WithExtra(map[string]any{"scope": "read", "account": "x"}), testOwner, login)
	require.NoError(t, err)
	first.Attempt, first.Failure, first.MayBeSpent = &attempt{ID: "a"}, &failure{Reason: ReasonStore}, true
	now := login.Add(time.Hour)

	t.Run("nothing but the token", func(t *testing.T) {
		next := first.refreshed(&oauth2.Token{AccessToken: "a2"}, now)
		assert.Equal(t, &record{
			Format: 1, Registration: &testOwner, LoginID: first.LoginID, Generation: 2,
			ID: next.ID, AccessToken: "a2", TokenType: "bearer", RefreshToken: "r1", Expiry: now.Add(time.Hour),
			Extra: map[string]any{"scope": "read", "account": "x"},
			Login: instantOf(login), Obtained: now, Rotated: instantOf(login), Recovered: instantOf(now),
		}, next, "a lifetime as before, but neither the attempt, nor the failure or the doubt")
	})
	t.Run("everything new", func(t *testing.T) {
		next := first.refreshed((&oauth2.Token{AccessToken: "a2", TokenType: "DPoP", RefreshToken: "r2", Expiry: now.Add(time.Minute)}).
			WithExtra(map[string]any{"scope": "write", "more": true}), now)
		assert.Equal(t, &record{
			Format: 1, Registration: &testOwner, LoginID: first.LoginID, Generation: 2,
			ID: next.ID, AccessToken: "a2", TokenType: "DPoP", RefreshToken: "r2", Expiry: now.Add(time.Minute),
			Extra: map[string]any{"scope": "write", "account": "x", "more": true},
			Login: instantOf(login), Obtained: now, Rotated: instantOf(now), Recovered: instantOf(now),
		}, next)
	})
	t.Run("the same refresh token", func(t *testing.T) {
		next := first.refreshed(&oauth2.Token{AccessToken: "a2", RefreshToken: "r1"}, now)
		assert.Equal(t, login, next.Rotated.time(), "it is as old as before")
	})
	assert.Equal(t, map[string]any{"scope": "read", "account": "x"}, first.Extra, "untouched")
}

// The token is perhaps the only copy of a refresh token.
func TestRefreshedTokenIsNotLostForWhatCameBesideIt(t *testing.T) {
	first, err := newLogin((&oauth2.Token{AccessToken: "a1", RefreshToken: "r1"}).WithExtra(map[string]any{"scope": "read"}), testOwner, time.Now())
	require.NoError(t, err)
	next := first.refreshed((&oauth2.Token{AccessToken: "a2", RefreshToken: "r2"}).
		WithExtra(map[string]any{"scope": "write", "bad": math.NaN()}), time.Now())
	again := roundTrip(t, next)
	assert.Equal(t, "r2", again.RefreshToken)
	assert.Equal(t, map[string]any{"scope": "read"}, again.Extra)

	_, err = newLogin((&oauth2.Token{AccessToken: "a"}).WithExtra(map[string]any{"bad": make(chan int)}), testOwner, time.Now())
	assert.ErrorContains(t, err, "can't be stored as JSON", "a login can be made again")
}

func TestRefreshedTokenIsNotLostForAnImpossibleExpiry(t *testing.T) {
	first, err := newLogin(&oauth2.Token{AccessToken: "a1", RefreshToken: "r1"}, testOwner, time.Now())
	require.NoError(t, err)
	next := first.refreshed(&oauth2.Token{AccessToken: "a2", RefreshToken: "r2", Expiry: time.Unix(1e12, 0)}, time.Now())
	again := roundTrip(t, next)
	assert.Equal(t, "r2", again.RefreshToken)
	assert.Equal(t, 9999, again.Expiry.Year())
	times := timesOf(again, time.Now(), 0, 0)
	assert.False(t, times.due(time.Now()))
}

func TestRecordThatCannotBeWrittenIsAnErrorWithoutItsText(t *testing.T) {
	tok := &oauth2.Token{AccessToken: "secret", Expiry: utc(-1, 1, 1, 0, 0, 0, 0)}
	_, err := newLogin(tok, testOwner, time.Now())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "secret")
	m := &Manager{Config: new(fakeProvider), Store: newMemory()}
	err = m.Save(t.Context(), "k", tok)
	require.ErrorContains(t, err, `connection "k": the token can't be stored as JSON`)
}

// Extra values can only be listed by looking into x/oauth2's token. This fails when
// x/oauth2 keeps them elsewhere, and so does every Save.
func TestTheFieldOfXOAuth2IsReallyFound(t *testing.T) {
	for contentType, body := range map[string]string{
		"application/json":                  `{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":3600,"account_id":"x","list":[1]}`,
		"application/x-www-form-urlencoded": `access_token=a&refresh_token=r&token_type=bearer&expires_in=3600&account_id=x&list=1`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", contentType)
			fmt.Fprint(w, body)
		}))
		defer server.Close()
		c := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: server.URL, AuthStyle: oauth2.AuthStyleInParams}}
		tok, err := c.Exchange(t.Context(), "code")
		require.NoError(t, err)
		extra, err := extraOf(tok)
		require.NoError(t, err)
		assert.Equal(t, "x", extra["account_id"], contentType)
		assert.NotNil(t, extra["list"])
		assert.Len(t, extra, 2, "what the record has members for isn't among them")
	}
}

// bomb can't be written as JSON.
type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("of a type of the application's") }

// What can't be kept beside a refreshed token mustn't cost the token: it is perhaps the only
// copy.
func TestRefreshedTokenIsSavedWithoutWhatCannotBeStoredBesideIt(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	for name, beside := range map[string]any{
		"panics":                 bomb{},
		"too large":              strings.Repeat("x", maxExtra),
		"too large when escaped": strings.Repeat("<", 1<<18),
		"too deep in a record":   deep(9_999),
		"large":                  strings.Repeat("x", maxExtra-100),
		"deep":                   deep(9_998),
	} {
		if testing.Short() && name != "panics" && name != "too large" {
			continue // a megabyte is slow
		}
		t.Run(name, func(t *testing.T) {
			onSwap(t, func(f *fixture) {
				f.connected()
				m := f.processWith(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
					token, err := f.refresh(ctx, refresh)
					if err != nil {
						return nil, err
					}
					return token.WithExtra(map[string]any{"beside": beside}), nil
				})
				time.Sleep(time.Hour)
				assert.Equal(f, "access-2", f.access(m))
				stored := f.stored()
				assert.Equal(f, "refresh-2", stored.RefreshToken)
				assert.Equal(f, "read", stored.Extra["scope"], "what was there before stays")
				_, kept := stored.Extra["beside"]
				assert.Equal(f, name == "large" || name == "deep", kept)
			})
		})
	}
}

// Members that aren't sent again are kept, so that they add up.
func TestWhatComesBesideTokensDoesNotAddUpToWhatCannotBeStored(t *testing.T) {
	notShort(t, "stores megabytes")
	onSwap(t, func(f *fixture) {
		large := strings.Repeat("x", maxExtra/2)
		n := 0
		m := f.processWith(func(ctx context.Context, refresh string) (*oauth2.Token, error) {
			token, err := f.refresh(ctx, refresh)
			if err != nil {
				return nil, err
			}
			n++
			return token.WithExtra(map[string]any{fmt.Sprint("beside", n): large}), nil
		})
		require.NoError(f, m.Save(f.Context(), "k", f.login().WithExtra(map[string]any{"beside": large})))
		for want := range 4 {
			stored := f.stored()
			assert.Equal(f, fmt.Sprint("refresh-", want+1), stored.RefreshToken)
			assert.True(f, stored.Extra["beside"] == large, "what was there before stays")
			time.Sleep(time.Hour)
			_, err := m.Source("k").Token()
			require.NoError(f, err)
		}
	})
}
