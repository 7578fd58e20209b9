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
	style   endpoints.Answer
	want    time.Duration
}{
	{"absent", ``, endpoints.Answer{}, never},
	{"null", `,"expires_in":null`, endpoints.Answer{}, never},
	{"empty", `,"expires_in":""`, endpoints.Answer{}, never},
	{"space", `,"expires_in":"  "`, endpoints.Answer{}, never},
	{"zero", `,"expires_in":0`, endpoints.Answer{}, never},
	{"zero, in words", `,"expires_in":"0"`, endpoints.Answer{}, never},
	{"zero, with a point", `,"expires_in":0.0`, endpoints.Answer{}, never},

	{"number", `,"expires_in":3600`, endpoints.Answer{}, time.Hour},
	{"number with a point", `,"expires_in":3600.0`, endpoints.Answer{}, time.Hour},
	{"number with an exponent", `,"expires_in":3.6e3`, endpoints.Answer{}, time.Hour},
	{"text", `,"expires_in":"3600"`, endpoints.Answer{}, time.Hour},
	{"text with space", `,"expires_in":" 3600 "`, endpoints.Answer{}, time.Hour},
	{"text with a point", `,"expires_in":"3600.0"`, endpoints.Answer{}, time.Hour},
	{"fraction, rounded down", `,"expires_in":3600.9`, endpoints.Answer{}, time.Hour},
	{"less than a second", `,"expires_in":0.2`, endpoints.Answer{}, time.Second},
	{"less than a nanosecond", `,"expires_in":1e-300`, endpoints.Answer{}, time.Second},
	{"longer than x/oauth2 can count", `,"expires_in":2147483648`, endpoints.Answer{}, longest},
	{"longer than a Duration", `,"expires_in":9223372037`, endpoints.Answer{}, longest},
	{"longer than the world", `,"expires_in":1e300`, endpoints.Answer{}, longest},

	{"minus one", `,"expires_in":-1`, endpoints.Answer{}, never},
	{"minus one, in words", `,"expires_in":"-1"`, endpoints.Answer{}, never},

	{"negative", `,"expires_in":-2`, endpoints.Answer{}, unreadable},
	{"negative text", `,"expires_in":"-3600"`, endpoints.Answer{}, unreadable},
	{"true", `,"expires_in":true`, endpoints.Answer{}, unreadable},
	{"false", `,"expires_in":false`, endpoints.Answer{}, unreadable},
	{"object", `,"expires_in":{}`, endpoints.Answer{}, unreadable},
	{"list", `,"expires_in":[3600]`, endpoints.Answer{}, unreadable},
	{"words", `,"expires_in":"soon"`, endpoints.Answer{}, unreadable},
	{"duration", `,"expires_in":"1h"`, endpoints.Answer{}, unreadable},
	{"not a number", `,"expires_in":"NaN"`, endpoints.Answer{}, unreadable},
	{"infinite", `,"expires_in":"Infinity"`, endpoints.Answer{}, unreadable},
	{"more than a float64", `,"expires_in":1e400`, endpoints.Answer{}, unreadable},

	{"milliseconds", `,"expires_in":3600000`, endpoints.Answer{LifetimeUnit: time.Millisecond}, time.Hour},
	{"milliseconds as text", `,"expires_in":"3600000"`, endpoints.Answer{LifetimeUnit: time.Millisecond}, time.Hour},
	{"minutes", `,"expires_in":60`, endpoints.Answer{LifetimeUnit: time.Minute}, time.Hour},
	{"minutes that can't be read", `,"expires_in":"soon"`, endpoints.Answer{LifetimeUnit: time.Minute}, unreadable},
	{"another name", `,"lifetime":"3600"`, endpoints.Answer{Names: map[string]string{"expires_in": "lifetime"}}, time.Hour},

	{"default, absent", ``, endpoints.Answer{DefaultLifetime: time.Hour}, time.Hour},
	{"default, null", `,"expires_in":null`, endpoints.Answer{DefaultLifetime: time.Hour}, time.Hour},
	{"default, zero", `,"expires_in":0`, endpoints.Answer{DefaultLifetime: time.Hour}, time.Hour},
	{"default, unreadable", `,"expires_in":"soon"`, endpoints.Answer{DefaultLifetime: time.Hour}, time.Hour},
	{"default, but it says", `,"expires_in":60`, endpoints.Answer{DefaultLifetime: time.Hour}, time.Minute},

	{"at, in seconds", `,"at":946688400`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, in seconds as text", `,"at":"946688400"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, in milliseconds", `,"at":946688400000`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, RFC 3339", `,"at":"2000-01-01T01:00:00Z"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, RFC 3339 elsewhere", `,"at":" 2000-01-01T02:00:00.500+01:00 "`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, by its path", `,"data":{"at":946688400}`, endpoints.Answer{Names: map[string]string{"expires_at": "data.at"}}, time.Hour},
	{"at, in the past", `,"at":946684799`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Second},
	{"at, wins over expires_in", `,"at":946688400,"expires_in":60`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, absent", ``, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, never},
	{"at, zero", `,"at":0`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, never},
	{"at, absent, but there is expires_in", `,"expires_in":3600`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, absent, with a default", ``, endpoints.Answer{Names: map[string]string{"expires_at": "at"}, DefaultLifetime: time.Hour}, time.Hour},
	{"at, words", `,"at":"tomorrow"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, unreadable},
	{"at, words, but there is expires_in", `,"at":"tomorrow","expires_in":3600`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, minus one", `,"at":-1`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, never},
	{"at, without a zone", `,"at":"2000-01-01T01:00:00"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, without a zone, with a fraction", `,"at":"2000-01-01T01:00:00.000"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, with a space", `,"at":"2000-01-01 01:00:00"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, as HTTP has it", `,"at":"Sat, 01 Jan 2000 01:00:00 GMT"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, time.Hour},
	{"at, in a layout", `,"at":"1/1/2000 1:00:00 AM"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}, TimeLayout: "1/2/2006 3:04:05 PM"}, time.Hour},
	{"at, in another than the layout", `,"at":946688400`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}, TimeLayout: "1/2/2006 3:04:05 PM"}, time.Hour},
	{"at, in no layout", `,"at":"1/1/2000 1:00:00 AM"`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, unreadable},
	{"at, negative", `,"at":-946688400`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, unreadable},
	{"at, too large", `,"at":946688400000000000`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, unreadable},
	{"at, true", `,"at":true`, endpoints.Answer{Names: map[string]string{"expires_at": "at"}}, unreadable},
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
				require.NoError(t, err, "the code is spent")
				want := test.want
				if want == unreadable {
					want = never // it can't be refreshed; the API tells when it is over
				}
				assert.Equal(t, expiry(want), token.Expiry)
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
				p.Answer = test.style
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
			token, err := exchange(t, endpoints.Answer{}, answer(200, formType, body))
			require.NoError(t, err)
			assert.Equal(t, expiry(want), token.Expiry)
		})
	}
	token, err := exchange(t, endpoints.Answer{}, answer(200, formType, "access_token=issued-token&expires_in=soon"))
	require.NoError(t, err)
	assert.True(t, token.Expiry.IsZero())
}
