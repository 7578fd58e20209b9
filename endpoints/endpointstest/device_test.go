package endpointstest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// devices is a provider that speaks with devices in words of its own, at a host for each
// tenant.
var devices = endpoints.Provider{
	Name: "Devices",
	Endpoint: oauth2.Endpoint{
		AuthURL: "https://{tenant}.devices.example/authorize", TokenURL: "https://{tenant}.devices.example/token",
		DeviceAuthURL: "https://login.devices.example/{tenant}/device",
	},
	APIURLs: []string{"https://{tenant}.devices.example/api"},
	Vars:    map[string][]string{"tenant": {"*"}},
	Consent: endpoints.Consent{ScopeSeparator: ",", Scopes: []string{"a", "b"}},
	Style:   endpoints.AuthStyle{Body: endpoints.JSONBody, Params: endpoints.Params{"client_key": {"{client_id}"}}},
	Answer: endpoints.Answer{
		TokenIn:      "data",
		Names:        map[string]string{"expires_in": "minutes", "error": "fault"},
		LifetimeUnit: time.Minute,
		Errors:       []endpoints.ErrorRule{{Code: "17", Kind: endpoints.KindDenied}, {Code: "18", Kind: endpoints.KindRateLimited}},
	},
}

func TestDevicesInWordsOfTheirOwn(t *testing.T) {
	told := make(map[string]bool)
	p := devices
	p.Request = func(r *endpoints.Request) error {
		if r.Grant == atDeviceAuth {
			assert.Equal(t, "a,b", r.Params.Get("scope"))
		}
		return nil
	}
	p.Response = func(r *endpoints.Response) error {
		switch data, nested := r.Members["data"].(map[string]any); {
		case r.Grant == atDeviceAuth:
			assert.True(t, nested)
			assert.EqualValues(t, "10", fmt.Sprint(data["minutes"]))
		case r.Grant == atDevice && r.Status != http.StatusOK:
			told[fmt.Sprint(r.Members["fault"])] = true
		}
		return nil
	}
	TestProvider(t, p, Test{})
	want := map[string]bool{"authorization_pending": true, "17": true, "18": true, "expired_token": true, "invalid_grant": true}
	assert.Equal(t, want, told)
}

func TestDeviceCodeOfAnotherAccount(t *testing.T) {
	w := newWalk(t, devices, Test{}, true)
	da, err := w.config.DeviceAuth(w.ctx, oauth2.SetAuthURLParam("tenant", "tea"))
	require.NoError(t, err)
	ask := func(code, tenant string) problem {
		w.site.mu.Lock()
		defer w.site.mu.Unlock()
		_, refused := w.site.device(map[string]string{"device_code": code, "tenant": tenant})
		return refused.problem
	}
	assert.Equal(t, wrongCode, ask(da.DeviceCode, "coffee"))
	assert.Equal(t, wrongCode, ask(da.UserCode, "tea"))
	assert.Equal(t, devicePending, ask(da.DeviceCode, "tea"))
	assert.Equal(t, deviceTooFast, ask(da.DeviceCode, "tea"))
}

// A user decides about a device in a browser, once, and the device may be quicker than it
// would have to be.
func TestUserOfADevice(t *testing.T) {
	p := endpoints.Provider{Name: "Plainly", Endpoint: oauth2.Endpoint{
		AuthURL: "https://plainly.example/authorize", TokenURL: "https://plainly.example/token", DeviceAuthURL: "https://plainly.example/device",
	}, APIURLs: []string{"https://plainly.example/api"}}
	s := New(t, p)
	s.SetPolicy(p, Policy{DeviceInterval: 1500 * time.Millisecond})
	config := s.Provider(p).Config(s.Config(p, ""))
	begin := func() *oauth2.DeviceAuthResponse {
		da, err := config.DeviceAuth(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, 1, da.Interval)
		return da
	}
	da := begin()
	assert.ErrorContains(t, ApproveDevice(t.Context(), nil, da.VerificationURI, "guessed"), "no device waits with that code")
	require.NoError(t, ApproveDevice(t.Context(), nil, da.VerificationURI, da.UserCode))
	assert.Error(t, DenyDevice(t.Context(), nil, da.VerificationURI, da.UserCode), "after it was approved")
	ask := func() (token *oauth2.Token, err error) {
		synctest.Test(t, func(t *testing.T) { // where no time passes before it asks
			token, err = config.DeviceAccessToken(context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: direct{s}}), da)
		})
		return token, err
	}
	token, err := ask()
	require.NoError(t, err)
	assert.NotEmpty(t, token.AccessToken)

	da = begin()
	require.NoError(t, DenyDevice(t.Context(), nil, da.VerificationURI, da.UserCode))
	_, err = ask()
	assert.Equal(t, endpoints.KindDenied, endpoints.KindOf(err))
	assert.Equal(t, 1, s.Stats(p).Approved)
	assert.Equal(t, 1, s.Stats(p).Denied)

	da = begin()
	s.Advance(11 * time.Minute)
	assert.Error(t, ApproveDevice(t.Context(), nil, da.VerificationURI, da.UserCode), "after it has expired")

	resp, err := http.Get(da.VerificationURI)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Contains(t, string(body), `name="user_code"`)
}
