package loopback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

const deviceCode = "device-code-1"

// devices is a provider that connects devices, without a network, so that time can be
// that of a bubble.
type devices struct {
	t      *testing.T
	codes  string   // its answer to the request for codes; "": a good one
	status int      // of that; 0: 200
	polls  []string // errors, one after the other; then there is a token
	hang   string   // the path of requests that are never answered
	asked  []url.Values
	times  []time.Time
}

const goodCodes = `{"device_code":"device-code-1","user_code":"WDJB-MJHT","verification_uri":"https://plainly.example/device",
	"verification_uri_complete":"https://plainly.example/device?user_code=WDJB-MJHT","expires_in":60,"interval":7}`

// RoundTrip implements http.RoundTripper.
func (d *devices) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == d.hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	body, err := io.ReadAll(r.Body)
	require.NoError(d.t, err)
	form, err := url.ParseQuery(string(body))
	require.NoError(d.t, err)
	d.asked, d.times = append(d.asked, form), append(d.times, time.Now())
	answer := func(status int, body string) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}, "Location": {"https://evil.example/"}}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	switch {
	case r.URL.Host != "plainly.example":
		assert.Fail(d.t, "a request went to "+r.URL.Host)
		return answer(http.StatusNotFound, "")
	case r.URL.Path == "/device":
		body := d.codes
		if body == "" {
			body = goodCodes
		}
		return answer(max(d.status, 200), body)
	case len(d.polls) > 0:
		code := d.polls[0]
		d.polls = d.polls[1:]
		switch code {
		case "redirect":
			return answer(http.StatusTemporaryRedirect, "")
		case "switch":
			endless, _ := io.Pipe()
			return &http.Response{StatusCode: http.StatusSwitchingProtocols, Body: endless, Request: r}, nil
		}
		return answer(http.StatusBadRequest, fmt.Sprintf(`{"error":%q,"error_description":"about device-code-1"}`, code))
	}
	return answer(http.StatusOK, `{"access_token":"access-1","token_type":"Bearer","refresh_token":"refresh-1","expires_in":3600}`)
}

// forDevices are the two kinds of clients at plain, the second of which can't be moved by
// a server of a test.
func forDevices() map[string]pkce.Exchanger {
	c := oauth2.Config{ClientID: "tool", Endpoint: plain.Endpoint, Scopes: []string{"a"}}
	x := c
	x.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	return map[string]pkce.Exchanger{"endpoints": plain.Config(c), "x/oauth2": &x}
}

// login runs the device grant, for both kinds of clients.
func (d devices) login(t *testing.T, change func(*Login), check func(t *testing.T, d *devices, p []Prompt, token *oauth2.Token, err error)) {
	for name, config := range forDevices() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := d
				d.t = t
				var prompts []Prompt
				l := Login{Config: config, Method: Device, Program: "Tea Tool", Show: func(p Prompt) { prompts = append(prompts, p) }}
				if change != nil {
					change(&l)
				}
				ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: &d})
				token, err := l.Token(ctx)
				if err != nil {
					assert.Nil(t, token)
					checkError(t, err, deviceCode)
				}
				check(t, &d, prompts, token, err)
			})
		})
	}
}

func TestDevice(t *testing.T) {
	d := devices{polls: []string{"authorization_pending", "slow_down", "authorization_pending"}}
	d.login(t, nil, func(t *testing.T, d *devices, prompts []Prompt, token *oauth2.Token, err error) {
		require.NoError(t, err)
		assert.Equal(t, "access-1", token.AccessToken)
		require.Len(t, prompts, 1)
		expiry := prompts[0].Expiry
		assert.WithinDuration(t, d.times[0].Add(time.Minute), expiry, 0)
		prompts[0].Expiry = time.Time{}
		assert.Equal(t, Prompt{Program: "Tea Tool", URL: "https://plainly.example/device", UserCode: "WDJB-MJHT",
			CompleteURL: "https://plainly.example/device?user_code=WDJB-MJHT"}, prompts[0])
		require.Len(t, d.times, 5)
		for i, want := range []int{7, 7, 12, 12} { // seconds: slow_down adds five, for good
			assert.Equal(t, time.Duration(want)*time.Second, d.times[i+1].Sub(d.times[i]), i)
		}
		assert.Equal(t, "a", d.asked[0].Get("scope"))
		assert.Equal(t, deviceCode, d.asked[1].Get("device_code"))
	})
}

func TestDeviceEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		polls []string
		want  error
	}{
		"the user says no":     {[]string{"authorization_pending", "access_denied"}, pkce.ErrDenied},
		"the codes expire":     {[]string{"authorization_pending", "expired_token"}, pkce.ErrStartAgain},
		"the client can't":     {[]string{"unauthorized_client"}, pkce.ErrMisconfigured},
		"the grant isn't good": {[]string{"unsupported_grant_type"}, pkce.ErrMisconfigured},
		"it redirects":         {[]string{"redirect"}, pkce.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			devices{polls: tt.polls}.login(t, nil, func(t *testing.T, d *devices, _ []Prompt, _ *oauth2.Token, err error) {
				assert.ErrorIs(t, err, tt.want)
				assert.Empty(t, d.polls)
			})
		})
	}
}

// pending is more than a user may take.
var pending = strings.Split(strings.TrimSuffix(strings.Repeat("authorization_pending ", 1000), " "), " ")

// Nobody enters the code: that is over when the codes are, or the time of the Login, or
// the program.
func TestDeviceTimesOut(t *testing.T) {
	forever := strings.NewReplacer(`,"expires_in":60`, "").Replace(goodCodes)
	for name, tt := range map[string]struct {
		codes   string
		timeout time.Duration
		longest time.Duration
	}{
		"the codes expire":          {"", 0, time.Minute},
		"the Login's time is over":  {"", 30 * time.Second, 30 * time.Second},
		"the codes never expire":    {forever, 0, DefaultTimeout},
		"the Login's, without that": {forever, time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			begun := time.Time{}
			devices{codes: tt.codes, polls: pending}.login(t, func(l *Login) {
				l.Timeout = tt.timeout
				begun = time.Now()
			}, func(t *testing.T, _ *devices, _ []Prompt, _ *oauth2.Token, err error) {
				assert.ErrorIs(t, err, pkce.ErrStartAgain)
				assert.InDelta(t, tt.longest.Seconds(), time.Since(begun).Seconds(), 7)
				assert.LessOrEqual(t, time.Since(begun), tt.longest)
			})
		})
	}
}

func TestDeviceContextEnds(t *testing.T) {
	for name, hang := range map[string]string{"while it waits": "", "without codes": "/device", "without an answer": "/token"} {
		for kind, config := range forDevices() {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cause := errors.New("the program ends")
					ctx, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(20*time.Second, func() { cancel(cause) })
					d := &devices{t: t, hang: hang, polls: pending}
					begun := time.Now()
					_, err := Login{Config: config, Method: Device, Show: func(Prompt) {}}.Token(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: d}))
					assert.ErrorIs(t, err, cause)
					assert.Equal(t, 20*time.Second, time.Since(begun))
					checkError(t, err, deviceCode)
				})
			})
		}
	}
}

// A provider that doesn't answer ends it after a minute, or is asked again by package
// endpoints until the codes expire.
func TestDeviceWithoutAnAnswer(t *testing.T) {
	for _, hang := range []string{"/device", "/token"} {
		t.Run(hang, func(t *testing.T) {
			var begun time.Time
			devices{hang: hang}.login(t, func(*Login) { begun = time.Now() }, func(t *testing.T, _ *devices, _ []Prompt, _ *oauth2.Token, err error) {
				assert.ErrorIs(t, err, pkce.ErrStartAgain)
				assert.LessOrEqual(t, time.Since(begun), requestTimeout+7*time.Second)
			})
		})
	}
}

// The body of an answer that switches protocols is a connection.
func TestDeviceWithAnAnswerOnAnotherProtocol(t *testing.T) {
	devices{polls: []string{"switch"}}.login(t, nil, func(t *testing.T, d *devices, _ []Prompt, _ *oauth2.Token, err error) {
		if len(d.asked) < 3 { // x/oauth2 doesn't ask again
			assert.ErrorIs(t, err, pkce.ErrStartAgain)
			assert.ErrorContains(t, err, "switched protocols")
		}
	})
}

// What a provider may answer that a terminal, a user or a timer shouldn't get.
func TestDeviceAnswers(t *testing.T) {
	with := func(old, new string) string { return strings.Replace(goodCodes, old, new, 1) }
	for name, tt := range map[string]struct {
		codes  string
		status int
		want   error // nil: it works
	}{
		"no device code":          {with("device_code", "x"), 0, pkce.ErrStartAgain},
		"no user code":            {with("user_code", "x"), 0, pkce.ErrStartAgain},
		"no page":                 {with("verification_uri", "x"), 0, pkce.ErrStartAgain},
		"a script":                {with("https://plainly.example/device", "javascript:alert(1)"), 0, pkce.ErrStartAgain},
		"an escape in the page":   {with("https://plainly.example/device", `https://plainly.example/\u001b[2J`), 0, pkce.ErrStartAgain},
		"an escape in the code":   {with("WDJB-MJHT", `\u001b]8;;https://evil.example\u0007`), 0, pkce.ErrStartAgain},
		"another line":            {with("WDJB-MJHT", `A\nSend your password to`), 0, pkce.ErrStartAgain},
		"the other direction":     {with("WDJB-MJHT", `A\u202eB`), 0, pkce.ErrStartAgain},
		"a long code":             {with("WDJB-MJHT", strings.Repeat("A", 101)), 0, pkce.ErrStartAgain},
		"a wrong complete page":   {with("https://plainly.example/device?", `file:///etc/passwd?`), 0, nil},
		"an interval below zero":  {with(`"interval":7`, `"interval":-1`), 0, nil},
		"an interval of zero":     {with(`"interval":7`, `"interval":0`), 0, nil},
		"an interval of aeons":    {with(`"interval":7`, `"interval":9223372036854775807`), 0, pkce.ErrStartAgain},
		"no interval, no expiry":  {with(`,"expires_in":60,"interval":7`, ""), 0, nil},
		"not JSON":                {"<html>device-code-1", 0, pkce.ErrStartAgain},
		"it redirects":            {"", http.StatusTemporaryRedirect, pkce.ErrMisconfigured},
		"it doesn't know clients": {`{"error":"invalid_client"}`, http.StatusBadRequest, pkce.ErrMisconfigured},
	} {
		t.Run(name, func(t *testing.T) {
			devices{codes: tt.codes, status: tt.status}.login(t, nil, func(t *testing.T, _ *devices, prompts []Prompt, _ *oauth2.Token, err error) {
				if tt.want != nil {
					assert.ErrorIs(t, err, tt.want)
					for _, p := range prompts {
						assert.NotContains(t, p.String(), "evil")
					}
					return
				}
				require.NoError(t, err)
				require.Len(t, prompts, 1)
				assert.NotContains(t, prompts[0].String(), "file:")
			})
		})
	}
}

// The variables of a provider are given once, and sent with both requests.
func TestDeviceVariables(t *testing.T) {
	p := plain
	p.Endpoint.DeviceAuthURL = "https://plainly.example/device?for={tenant}"
	p.Endpoint.TokenURL = "https://plainly.example/{tenant}/token"
	p.Vars = map[string][]string{"tenant": {"tea"}}
	synctest.Test(t, func(t *testing.T) {
		d := &devices{t: t}
		l := Login{Config: p.Config(oauth2.Config{ClientID: "tool"}), Method: Device, Show: func(Prompt) {},
			Options: []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("tenant", "tea"), oauth2.SetAuthURLParam("prompt", "consent")}}
		token, err := l.Token(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: d}))
		require.NoError(t, err)
		assert.Equal(t, "tea", token.Extra("tenant"))
		assert.Equal(t, "consent", d.asked[0].Get("prompt"))
		assert.Empty(t, d.asked[1].Get("prompt"))
	})
}

// Auto takes a code where there is no browser, if the provider has codes.
func TestAuto(t *testing.T) {
	for name, config := range forDevices() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &devices{t: t}
				var prompts []Prompt
				l := Login{Config: config, OpenBrowser: NoBrowser, Show: func(p Prompt) { prompts = append(prompts, p) }}
				token, err := l.Token(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: d}))
				require.NoError(t, err)
				assert.Equal(t, "access-1", token.AccessToken)
				require.Len(t, prompts, 1)
				assert.Equal(t, "WDJB-MJHT", prompts[0].UserCode)
			})
		})
	}
}

// A provider without a consent page has nothing but codes.
func TestAutoWithoutAConsentPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plain
		p.Endpoint.AuthURL = ""
		l := Login{Config: p.Config(oauth2.Config{ClientID: "tool"}), Show: func(Prompt) {}}
		l.OpenBrowser = func(context.Context, string) error { panic("a browser was opened") }
		token, err := l.Token(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: &devices{t: t}}))
		require.NoError(t, err)
		assert.True(t, token.Valid())
	})
}

func TestDeviceUnsupported(t *testing.T) {
	p, s := plain, newSandbox(t)
	p.Endpoint.DeviceAuthURL = ""
	alone := s.plainConfig("http://127.0.0.1/callback")
	alone.Endpoint.DeviceAuthURL = ""
	for name, config := range map[string]pkce.Exchanger{
		"endpoints": p.Config(oauth2.Config{ClientID: "tool"}), "x/oauth2": alone, "neither": wrapped{alone},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Login{Config: config, Method: Device}.Token(t.Context())
			assert.ErrorIs(t, err, errors.ErrUnsupported)
			assert.ErrorIs(t, err, pkce.ErrMisconfigured)
			checkError(t, err)
		})
	}
}
