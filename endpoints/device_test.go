package endpoints_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// devices is a provider with RFC 8628's endpoint and answers in its own words.
var devices = endpoints.Provider{
	Name: "Devices",
	Endpoint: oauth2.Endpoint{
		AuthURL: "https://auth.example/authorize", DeviceAuthURL: "https://auth.example/device", TokenURL: "https://auth.example/token",
	},
	Consent: endpoints.Consent{ScopeSeparator: ",", Scopes: []string{"a", "b"}},
	Style:   endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{"client_key": {"{client_id}"}}, Header: map[string]string{"X-Version": "1"}},
	Answer:  endpoints.Answer{TokenIn: "data", Errors: []endpoints.ErrorRule{{Code: "17", Kind: endpoints.KindDenied}}},
}

func TestDeviceAuthorizationIsSentInTheProvidersWords(t *testing.T) {
	n := newInternet(t, answerJSON(200, `{"data": {"device_code": "d", "user_code": "u", "verification_url": "https://auth.example/d", "expires_in": "900", "interval": 0.5}}`))
	conf := devices.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback})
	da, err := conf.DeviceAuth(n.context(), oauth2.SetAuthURLParam("lang", "en"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(15*time.Minute), da.Expiry, time.Minute)
	da.Expiry = time.Time{}
	assert.Equal(t, &oauth2.DeviceAuthResponse{DeviceCode: "d", UserCode: "u", VerificationURI: "https://auth.example/d", Interval: 1}, da)
	assert.Equal(t, `POST /device HTTP/1.1
Host: auth.example
Accept: application/json
Accept-Encoding: gzip
Content-Length: 94
Content-Type: application/json
User-Agent: Go-http-client/1.1
X-Version: 1

{"client_key":"id-of-the-client","client_secret":"se\"cret+/&=<é>","lang":"en","scope":"a,b"}`, n.only(t))
}

func TestAnswerToADeviceThatCanNotBeUsed(t *testing.T) {
	for body, want := range map[string]string{
		``:     "it is empty",
		`null`: "neither JSON nor a form",
		`{"device_code": "d", "verification_uri": "https://auth.example/d"}`:                "no device_code or user_code",
		`{"user_code": "u", "verification_uri": "https://auth.example/d"}`:                  "no device_code or user_code",
		`{"device_code": "d", "user_code": "u"}`:                                            "no verification_uri",
		`{"device_code": "d", "user_code": "u", "verification_uri": "javascript:alert(1)"}`: "no verification_uri",
	} {
		n := newInternet(t, answerJSON(200, body))
		_, err := rfcDevices().DeviceAuth(n.context())
		assert.ErrorContains(t, err, want)
		assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
	}
	n := newInternet(t, answerJSON(401, `{"error": "invalid_client", "error_description": "not `+clientID+`"}`))
	_, err := rfcDevices().DeviceAuth(n.context())
	assert.Equal(t, endpoints.KindClientRejected, endpoints.KindOf(err))

	_, err = endpoints.Finch.Config(oauth2.Config{}).DeviceAuth(n.context())
	assert.ErrorIs(t, err, errors.ErrUnsupported)
	ctx, cancel := context.WithCancel(n.context())
	cancel()
	_, err = rfcDevices().DeviceAuth(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	assert.Len(t, n.requests(), 1)
}

func TestEndpointForDevicesIsCheckedAsTheOthersAre(t *testing.T) {
	for u, want := range map[string]string{
		"http://auth.example/device":     "Endpoint.DeviceAuthURL must be an https URL",
		"/device":                        "Endpoint.DeviceAuthURL must be an absolute http or https URL",
		"https://auth.example/{org}/x":   "Endpoint.DeviceAuthURL has {org}, which Vars doesn't declare",
		"https://auth.example/device#it": "Endpoint.DeviceAuthURL has a fragment",
	} {
		p := rfc
		p.Endpoint.DeviceAuthURL = u
		assert.ErrorContains(t, p.Validate(), want)
	}
}

func rfcDevices() *endpoints.Config {
	p := rfc
	p.Endpoint.DeviceAuthURL = "https://auth.example/device"
	return p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback})
}

// polling answers one request after the other, and remembers when they came.
type polling struct {
	start   time.Time
	answers []string // "status body", or "lost" or "hangs"
	at      []time.Duration
	sent    []string
	urls    []string
}

func (p *polling) RoundTrip(r *http.Request) (*http.Response, error) {
	p.at = append(p.at, time.Since(p.start))
	body, _ := io.ReadAll(r.Body)
	p.sent = append(p.sent, string(body))
	p.urls = append(p.urls, r.URL.String())
	answer := p.answers[min(len(p.at), len(p.answers))-1]
	switch answer {
	case "lost":
		return nil, errors.New("connection reset by peer")
	case "hangs":
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	var status int
	fmt.Sscan(answer, &status)
	_, text, _ := strings.Cut(answer, " ")
	w := httptest.NewRecorder()
	if rest, ok := strings.CutPrefix(text, "after 90 "); ok {
		w.Header().Set("Retry-After", "90")
		text = rest
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
	return w.Result(), nil
}

const (
	pending = `400 {"error": "authorization_pending"}`
	slowly  = `400 {"error": "slow_down"}`
	granted = `200 {"access_token": "access", "refresh_token": "refresh", "expires_in": 3600, "data": 1}`
)

// Of each provider the error means what RFC 8628, section 3.5, says, however it is told.
func TestWaitForTheUserOfADevice(t *testing.T) {
	seconds := func(s ...int) []time.Duration {
		var all []time.Duration
		for _, n := range s {
			all = append(all, time.Duration(n)*time.Second)
		}
		return all
	}
	for name, tt := range map[string]struct {
		interval int64
		answers  []string
		at       []time.Duration
		kind     endpoints.ErrorKind
		text     string
	}{
		"at once":                    {0, []string{granted}, seconds(5), "", ""},
		"after a while":              {2, []string{pending, pending, granted}, seconds(2, 4, 6), "", ""},
		"an interval below zero":     {-3, []string{granted}, seconds(5), "", ""},
		"pending in a success":       {1, []string{`200 {"error": "authorization_pending", "error_description": "x"}`, granted}, seconds(1, 2), "", ""},
		"pending, as Google says it": {1, []string{`428 {"error": "authorization_pending", "error_description": "Precondition Required"}`, granted}, seconds(1, 2), "", ""},
		"too fast":                   {1, []string{slowly, pending, slowly, granted}, seconds(1, 7, 13, 24), "", ""},
		"too fast, with a time":      {1, []string{`429 after 90 {}`, pending, granted}, seconds(1, 91, 97), "", ""},
		"lost answers":               {10, []string{"lost", "503 ", "502 <html>", pending, granted}, seconds(10, 30, 70, 130, 190), "", ""},
		"an answer that hangs":       {5, []string{"hangs", granted}, seconds(5, 75), "", ""},
		"denied":                     {1, []string{pending, `400 {"error": "access_denied"}`}, seconds(1, 2), endpoints.KindDenied, "access_denied"},
		"denied, in other words":     {1, []string{`400 {"error": 17}`}, seconds(1), endpoints.KindDenied, `"17"`},
		"expired":                    {1, []string{`400 {"error": "expired_token"}`}, seconds(1), endpoints.KindCodeRejected, "expired_token"},
		"no such code":               {1, []string{`400 {"error": "invalid_grant"}`}, seconds(1), endpoints.KindCodeRejected, "invalid_grant"},
		"spent by a lost answer":     {1, []string{"lost", `400 {"error": "invalid_grant"}`}, seconds(1, 3), endpoints.KindCodeRejected, "an answer before that was lost: Post"},
		"no such client":             {1, []string{`401 {"error": "invalid_client"}`}, seconds(1), endpoints.KindClientRejected, "invalid_client"},
		"a firewall":                 {1, []string{`403 <html>`}, seconds(1), endpoints.KindUnreadable, "unreadable"},
		"time over":                  {100, []string{pending}, seconds(100, 200), endpoints.KindCodeRejected, `"expired_token" "the user hasn't answered in time"`},
		"time over, nothing heard":   {50, []string{"lost"}, seconds(50, 110, 170, 230, 290), endpoints.KindCodeRejected, "an answer before that was lost: Post"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &polling{start: time.Now(), answers: tt.answers}
				ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: p})
				da := &oauth2.DeviceAuthResponse{DeviceCode: "device/code", Interval: tt.interval, Expiry: time.Now().Add(300 * time.Second)}
				conf := rfcDevices()
				if name == "denied, in other words" {
					conf = devices.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
				}
				token, err := conf.DeviceAccessToken(ctx, da)
				assert.Equal(t, tt.at, p.at)
				assert.NotContains(t, p.sent[0], "redirect_uri")
				if tt.text == "" {
					require.NoError(t, err)
					assert.Equal(t, "access", token.AccessToken)
					assert.Equal(t, "refresh", token.RefreshToken)
					assert.Equal(t, time.Hour, time.Until(token.Expiry))
					return
				}
				assert.Nil(t, token)
				assert.Equal(t, tt.kind, endpoints.KindOf(err))
				assert.ErrorContains(t, err, tt.text)
				assertErrorHoldsNoSecrets(t, err)
				assert.NotContains(t, err.Error(), "device/code")
			})
		})
	}
}

func TestWaitForTheUserOfADeviceEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &polling{start: time.Now(), answers: []string{pending}}
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: p})
		ctx, cancel := context.WithTimeout(ctx, 12*time.Second)
		defer cancel()
		_, err := rfcDevices().DeviceAccessToken(ctx, &oauth2.DeviceAuthResponse{DeviceCode: "d"})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err), "the provider has answered each time")
		assert.Equal(t, 12*time.Second, time.Since(p.start))
		assert.Len(t, p.at, 2)

		_, err = rfcDevices().DeviceAccessToken(ctx, nil)
		assert.ErrorContains(t, err, "there is no device code")
		_, err = new(endpoints.Config).DeviceAccessToken(ctx, nil)
		assert.ErrorContains(t, err, "a Config is made by Provider.Config")
		assert.Len(t, p.at, 2)
	})
}
