package main

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
)

// user is one who runs the program, as often as it takes, with one directory.
type user struct {
	t       *testing.T
	sandbox *endpointstest.Server
	gitLab  endpoints.Provider
	dir     string
	press   func(context.Context, *http.Client, string) (*url.URL, error) // a button of the consent page
	logins  int
	out     bytes.Buffer
}

func newUser(t *testing.T) *user {
	gitLab := endpoints.GitLab
	gitLab.Style.Auth = endpoints.PublicClient
	u := &user{t: t, sandbox: endpointstest.New(t, gitLab), gitLab: gitLab, dir: testenv.DirInMemory(t) + "/config"}
	u.press = endpointstest.Approve
	return u
}

// start is the program with a browser of its user.
func (u *user) start() *tool {
	u.t.Helper()
	provider := u.sandbox.Provider(u.gitLab)
	client := u.sandbox.Config(u.gitLab, "http://127.0.0.1/callback")
	t, err := open(provider.Config(oauth2.Config{ClientID: client.ClientID, RedirectURL: client.RedirectURL}), provider.APIURLs[0], u.dir)
	require.NoError(u.t, err)
	u.out.Reset()
	t.out = &u.out
	t.login.OpenBrowser = func(ctx context.Context, consentURL string) error {
		u.logins++
		back, err := u.press(ctx, nil, consentURL)
		if err != nil {
			return err
		}
		resp, err := http.Get(back.String())
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	return t
}

func TestWhoAmI(t *testing.T) {
	u := newUser(t)
	for range 3 { // programs, one after the other
		require.NoError(t, u.start().whoami(t.Context(), "me"))
		assert.NotEmpty(t, u.out.String())
		u.sandbox.Advance(3 * time.Hour)
	}
	assert.Equal(t, 1, u.logins)
	assert.Equal(t, map[string]int{"dead access token: expired": 2}, u.sandbox.Stats(u.gitLab).Rejected)
}

func TestDenied(t *testing.T) {
	u := newUser(t)
	u.press = endpointstest.Deny
	assert.ErrorIs(t, u.start().whoami(t.Context(), "me"), pkce.ErrDenied)
	assert.Equal(t, 1, u.logins)
	u.press = endpointstest.Approve
	require.NoError(t, u.start().whoami(t.Context(), "me"))
}

func TestAccountsAndLogout(t *testing.T) {
	u := newUser(t)
	for _, account := range []string{"me", "work"} {
		require.NoError(t, u.start().whoami(t.Context(), account))
	}
	require.NoError(t, u.start().accounts(t.Context()))
	assert.Equal(t, "me: healthy\nwork: healthy\n", lines(u.out.String()))

	require.NoError(t, u.start().logout(t.Context(), "work"))
	assert.Equal(t, 1, u.sandbox.Stats(u.gitLab).Revoked)
	require.NoError(t, u.start().accounts(t.Context()))
	assert.Equal(t, "me: healthy\n", u.out.String())
	require.NoError(t, u.start().logout(t.Context(), "work"), "a second time")

	require.NoError(t, u.start().whoami(t.Context(), "me"))
	assert.Equal(t, 2, u.logins)
	require.NoError(t, u.start().whoami(t.Context(), "work"))
	assert.Equal(t, 3, u.logins)
}

// device returns the program of a user with a device, who decides.
func (u *user) device(decide func(context.Context, *http.Client, string, string) error) *tool {
	if testing.Short() {
		u.t.Skip("a device waits for a second before it asks; run without -short")
	}
	u.t.Parallel()
	u.sandbox.SetPolicy(u.gitLab, endpointstest.Policy{DeviceInterval: time.Second})
	tool := u.start()
	tool.login.Method = loopback.Device
	tool.login.Show = func(p loopback.Prompt) {
		u.logins++
		assert.Contains(u.t, p.String(), p.UserCode)
		require.NoError(u.t, decide(u.t.Context(), nil, p.URL, p.UserCode))
	}
	return tool
}

func TestDevice(t *testing.T) {
	u := newUser(t)
	require.NoError(t, u.device(endpointstest.ApproveDevice).whoami(t.Context(), "me"))
	require.NoError(t, u.start().whoami(t.Context(), "me"))
	assert.Equal(t, 1, u.logins)
}

func TestDeniedDevice(t *testing.T) {
	u := newUser(t)
	assert.ErrorIs(t, u.device(endpointstest.DenyDevice).whoami(t.Context(), "me"), pkce.ErrDenied)
	assert.Equal(t, 1, u.logins)
}

// lines returns them in order: a store lists names in none.
func lines(s string) string {
	all := slices.Sorted(strings.Lines(s))
	return strings.Join(all, "")
}

func TestPageShowsWhatIsPrinted(t *testing.T) {
	page, err := os.ReadFile("../../docs/command-line-programs.md")
	require.NoError(t, err)
	shown := loopback.Prompt{Program: "Who am I", URL: "https://gitlab.com/oauth/device", UserCode: "WDJB-MJHT"}
	assert.Contains(t, string(page), "$ commandline -device\n"+strings.TrimSuffix(shown.String(), "\n"))
}
