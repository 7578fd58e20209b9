package loopback

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
)

func parse(t *testing.T, rawURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u
}

// taken returns a port at which another program listens, at one address, and nobody at the
// other.
func taken(t *testing.T, host string) int {
	t.Helper()
	for range tries {
		both, err := listenAt([]string{ipv4, ipv6}, 0)
		if err != nil {
			continue
		}
		kept := 0
		if host == ipv6 {
			kept = 1
		}
		both[1-kept].Close()
		t.Cleanup(func() { both[kept].Close() })
		return both[kept].Addr().(*net.TCPAddr).Port
	}
	t.Skip("this machine doesn't have both 127.0.0.1 and [::1]")
	return 0
}

func TestListen(t *testing.T) {
	both := []string{ipv4, ipv6}
	for name, tt := range map[string]struct {
		hosts      []string
		registered string // "": none
		want       string // before the port
		path       string
	}{
		"nothing registered":          {both, "", "http://127.0.0.1:", "/callback"},
		"nothing, and no IPv4":        {[]string{ipv6}, "", "http://[::1]:", "/callback"},
		"nothing, and no IPv6":        {[]string{ipv4}, "", "http://127.0.0.1:", "/callback"},
		"localhost":                   {both, "http://localhost", "http://localhost:", ""},
		"localhost, and no IPv4":      {[]string{ipv6}, "http://localhost/", "http://localhost:", "/"},
		"an address":                  {both, "http://127.0.0.1/a/b", "http://127.0.0.1:", "/a/b"},
		"an address, and no IPv6":     {[]string{ipv4}, "http://127.0.0.1/", "http://127.0.0.1:", "/"},
		"the other, and no IPv4":      {[]string{ipv6}, "http://[::1]/", "http://[::1]:", "/"},
		"the other, beside the first": {both, "http://[::1]/", "http://[::1]:", "/"},
	} {
		t.Run(name, func(t *testing.T) {
			taken(t, ipv4) // skips without both
			var registered *url.URL
			if tt.registered != "" {
				registered = parse(t, tt.registered)
			}
			redirect, listeners, err := listenOn(tt.hosts, registered, nil)
			require.NoError(t, err)
			defer closeAll(listeners)
			assert.Equal(t, tt.want+redirect.Port()+tt.path, redirect.String())
			require.Len(t, listeners, len(tt.hosts))
			for i, host := range tt.hosts {
				assert.Equal(t, net.JoinHostPort(host, redirect.Port()), listeners[i].Addr().String())
			}
		})
	}
	for name, tt := range map[string]struct {
		hosts      []string
		registered string
	}{
		"no IPv4": {[]string{ipv6}, "http://127.0.0.1/"}, "no IPv6": {[]string{ipv4}, "http://[::1]/"}, "neither": {nil, "http://localhost/"},
	} {
		_, _, err := listenOn(tt.hosts, parse(t, tt.registered), nil)
		assert.ErrorIs(t, err, pkce.ErrMisconfigured, name)
		checkError(t, err)
	}
}

// A port that another program has at either address isn't used: there a browser that takes
// localhost for that address would go.
func TestPortThatIsTaken(t *testing.T) {
	for _, host := range []string{ipv4, ipv6} {
		port := taken(t, host)
		_, _, err := listen(parse(t, "http://localhost:"+strconv.Itoa(port)), nil)
		require.ErrorIs(t, err, pkce.ErrMisconfigured, host)
		assert.ErrorContains(t, err, strconv.Itoa(port))
		checkError(t, err)

		free := taken(t, ipv4)
		l, err := net.Listen("tcp", net.JoinHostPort(ipv6, strconv.Itoa(free)))
		require.NoError(t, err)
		l.Close() // it is taken at ipv4 until the end of the test
		redirect, listeners, err := listen(parse(t, "http://localhost:1/"), []int{port, free, 0})
		require.NoError(t, err)
		closeAll(listeners)
		assert.NotContains(t, []string{"1", strconv.Itoa(port), strconv.Itoa(free)}, redirect.Port())
	}
}

// A provider may have the port registered, and may insist on localhost.
func TestFixedPort(t *testing.T) {
	both, err := listenAt([]string{ipv4, ipv6}, 0)
	if err != nil {
		t.Skip("this machine doesn't have both 127.0.0.1 and [::1]")
	}
	closeAll(both)
	port := both[0].Addr().(*net.TCPAddr).Port
	registered := "http://localhost:" + strconv.Itoa(port) + "/back"
	s := newSandbox(t)
	s.Config(plain, registered)
	for name, login := range map[string]Login{
		"of the redirect URL": {Config: s.config(plain, registered)},
		"of Ports":            {Config: s.config(plain, "http://localhost/back"), Ports: []int{taken(t, ipv6), port}},
	} {
		t.Run(name, func(t *testing.T) {
			browser := make(chan struct{})
			login.OpenBrowser = func(_ context.Context, u string) error {
				defer close(browser)
				assert.Equal(t, registered, redirectIn(t, u).String())
				callback := decide(t, endpointstest.Approve, u)
				for _, host := range []string{ipv4, ipv6} { // wherever the browser goes
					r, err := http.NewRequest("GET", callback, http.NoBody)
					require.NoError(t, err)
					r.URL.Host = net.JoinHostPort(host, strconv.Itoa(port))
					assert.Equal(t, http.StatusMisdirectedRequest, get(t, r.URL.String()).status)
				}
				assert.Equal(t, http.StatusOK, get(t, callback).status)
				return nil
			}
			login.Show = func(Prompt) {}
			token, err := login.Token(t.Context())
			require.NoError(t, err)
			<-browser
			assert.True(t, token.Valid())
		})
	}
}
