package endpoints_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

const (
	never      = time.Duration(0)
	unreadable = time.Duration(-1)
	longest    = 2147483647 * time.Second // what x/oauth2 can count
)

// lifetimes are the members of a response, beside its token, that tell how long it
// lives. It is midnight of 2000-01-01, UTC: 946684800 seconds since 1970.
var lifetimes = []struct {
	name    string
	members string
	style   endpoints.AuthStyle
	want    time.Duration
}{
	{"absent", ``, endpoints.AuthStyle{}, never},
	{"null", `,"expires_in":null`, endpoints.AuthStyle{}, never},
	{"empty", `,"expires_in":""`, endpoints.AuthStyle{}, never},
	{"space", `,"expires_in":"  "`, endpoints.AuthStyle{}, never},
	{"zero", `,"expires_in":0`, endpoints.AuthStyle{}, never},
	{"zero, in words", `,"expires_in":"0"`, endpoints.AuthStyle{}, never},
	{"zero, with a point", `,"expires_in":0.0`, endpoints.AuthStyle{}, never},

	{"number", `,"expires_in":3600`, endpoints.AuthStyle{}, time.Hour},
	{"number with a point", `,"expires_in":3600.0`, endpoints.AuthStyle{}, time.Hour},
	{"number with an exponent", `,"expires_in":3.6e3`, endpoints.AuthStyle{}, time.Hour},
	{"text", `,"expires_in":"3600"`, endpoints.AuthStyle{}, time.Hour},
	{"text with space", `,"expires_in":" 3600 "`, endpoints.AuthStyle{}, time.Hour},
	{"text with a point", `,"expires_in":"3600.0"`, endpoints.AuthStyle{}, time.Hour},
	{"fraction, rounded down", `,"expires_in":3600.9`, endpoints.AuthStyle{}, time.Hour},
	{"less than a second", `,"expires_in":0.2`, endpoints.AuthStyle{}, time.Second},
	{"less than a nanosecond", `,"expires_in":1e-300`, endpoints.AuthStyle{}, time.Second},
	{"longer than x/oauth2 can count", `,"expires_in":2147483648`, endpoints.AuthStyle{}, longest},
	{"longer than a Duration", `,"expires_in":9223372037`, endpoints.AuthStyle{}, longest},
	{"longer than the world", `,"expires_in":1e300`, endpoints.AuthStyle{}, longest},

	{"negative", `,"expires_in":-1`, endpoints.AuthStyle{}, unreadable},
	{"negative text", `,"expires_in":"-3600"`, endpoints.AuthStyle{}, unreadable},
	{"true", `,"expires_in":true`, endpoints.AuthStyle{}, unreadable},
	{"false", `,"expires_in":false`, endpoints.AuthStyle{}, unreadable},
	{"object", `,"expires_in":{}`, endpoints.AuthStyle{}, unreadable},
	{"list", `,"expires_in":[3600]`, endpoints.AuthStyle{}, unreadable},
	{"words", `,"expires_in":"soon"`, endpoints.AuthStyle{}, unreadable},
	{"duration", `,"expires_in":"1h"`, endpoints.AuthStyle{}, unreadable},
	{"not a number", `,"expires_in":"NaN"`, endpoints.AuthStyle{}, unreadable},
	{"infinite", `,"expires_in":"Infinity"`, endpoints.AuthStyle{}, unreadable},
	{"more than a float64", `,"expires_in":1e400`, endpoints.AuthStyle{}, unreadable},

	{"milliseconds", `,"expires_in":3600000`, endpoints.AuthStyle{LifetimeUnit: time.Millisecond}, time.Hour},
	{"milliseconds as text", `,"expires_in":"3600000"`, endpoints.AuthStyle{LifetimeUnit: time.Millisecond}, time.Hour},
	{"minutes", `,"expires_in":60`, endpoints.AuthStyle{LifetimeUnit: time.Minute}, time.Hour},
	{"minutes that can't be read", `,"expires_in":"soon"`, endpoints.AuthStyle{LifetimeUnit: time.Minute}, unreadable},
	{"another name", `,"lifetime":"3600"`, endpoints.AuthStyle{ResponseNames: map[string]string{"expires_in": "lifetime"}}, time.Hour},

	{"default, absent", ``, endpoints.AuthStyle{DefaultLifetime: time.Hour}, time.Hour},
	{"default, null", `,"expires_in":null`, endpoints.AuthStyle{DefaultLifetime: time.Hour}, time.Hour},
	{"default, zero", `,"expires_in":0`, endpoints.AuthStyle{DefaultLifetime: time.Hour}, time.Hour},
	{"default, unreadable", `,"expires_in":"soon"`, endpoints.AuthStyle{DefaultLifetime: time.Hour}, time.Hour},
	{"default, but it says", `,"expires_in":60`, endpoints.AuthStyle{DefaultLifetime: time.Hour}, time.Minute},

	{"at, in seconds", `,"at":946688400`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, in seconds as text", `,"at":"946688400"`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, in milliseconds", `,"at":946688400000`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, RFC 3339", `,"at":"2000-01-01T01:00:00Z"`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, RFC 3339 elsewhere", `,"at":" 2000-01-01T02:00:00.500+01:00 "`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, by its path", `,"data":{"at":946688400}`, endpoints.AuthStyle{ExpiresAt: "data.at"}, time.Hour},
	{"at, in the past", `,"at":946684799`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Second},
	{"at, wins over expires_in", `,"at":946688400,"expires_in":60`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, absent", ``, endpoints.AuthStyle{ExpiresAt: "at"}, never},
	{"at, zero", `,"at":0`, endpoints.AuthStyle{ExpiresAt: "at"}, never},
	{"at, absent, but there is expires_in", `,"expires_in":3600`, endpoints.AuthStyle{ExpiresAt: "at"}, time.Hour},
	{"at, absent, with a default", ``, endpoints.AuthStyle{ExpiresAt: "at", DefaultLifetime: time.Hour}, time.Hour},
	{"at, words", `,"at":"tomorrow","expires_in":3600`, endpoints.AuthStyle{ExpiresAt: "at"}, unreadable},
	{"at, negative", `,"at":-946688400`, endpoints.AuthStyle{ExpiresAt: "at"}, unreadable},
	{"at, too large", `,"at":946688400000000000`, endpoints.AuthStyle{ExpiresAt: "at"}, unreadable},
	{"at, true", `,"at":true`, endpoints.AuthStyle{ExpiresAt: "at"}, unreadable},
}

// expiry is when a token expires that lives so long.
func expiry(lifetime time.Duration) time.Time {
	if lifetime == never {
		return time.Time{}
	}
	return time.Now().Add(lifetime)
}

// lifetimeIfUnreadable is how long a token lives whose lifetime can't be read, if
// an error would lose a refresh token.
const lifetimeIfUnreadable = 5 * time.Minute

func TestLifetimeOfAnExchangedToken(t *testing.T) {
	for _, test := range lifetimes {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				token, err := exchange(t, test.style, answerJSON(200, `{"access_token":"issued-token"`+test.members+`}`))
				if test.want == unreadable {
					assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
					assert.ErrorContains(t, err, "the lifetime in it can't be read")
					return
				}
				require.NoError(t, err)
				assert.Equal(t, expiry(test.want), token.Expiry)
			})
		})
	}
}

func TestLifetimeNeverLosesARefreshToken(t *testing.T) {
	for _, test := range lifetimes {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				want := test.want
				if want == unreadable {
					want = lifetimeIfUnreadable
				}
				rotated := answerJSON(200, `{"access_token":"issued-token","refresh_token":"new-refresh-token"`+test.members+`}`)
				kept := answerJSON(200, `{"access_token":"issued-token"`+test.members+`}`)

				token, err := exchange(t, test.style, rotated)
				require.NoError(t, err, "exchange")
				assert.Equal(t, expiry(want), token.Expiry)
				assert.True(t, token.RefreshToken == "new-refresh-token")

				p := rfc
				p.Style = test.style
				for _, way := range ways {
					for wantRefresh, h := range map[string]http.HandlerFunc{"new-refresh-token": rotated, "old-refresh-token": kept} {
						ctx, conf := way.use(answering(h).context(), p, oauth2.Config{ClientID: "id"})
						token, err := refresh(ctx, conf, "old-refresh-token")
						require.NoError(t, err, "refresh")
						assert.Equal(t, expiry(want), token.Expiry)
						assert.True(t, token.RefreshToken == wantRefresh)
					}
				}
			})
		})
	}
}

func TestLifetimeInAForm(t *testing.T) {
	for body, want := range map[string]time.Duration{
		"access_token=issued-token&expires_in=3600": time.Hour,
		"access_token=issued-token&expires_in=":     never,
		"access_token=issued-token":                 never,
	} {
		synctest.Test(t, func(t *testing.T) {
			token, err := exchange(t, endpoints.AuthStyle{}, answer(200, formType, body))
			require.NoError(t, err)
			assert.Equal(t, expiry(want), token.Expiry)
		})
	}
	_, err := exchange(t, endpoints.AuthStyle{}, answer(200, formType, "access_token=issued-token&expires_in=soon"))
	assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
}
