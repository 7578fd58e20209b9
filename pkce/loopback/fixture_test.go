package loopback

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/pkce"
)

func TestMain(m *testing.M) {
	if os.Getenv(opening) != "" {
		os.Exit(opens())
	}
	flag.Parse()
	if testing.Short() && flag.Lookup("test.skip").Value.String() == "" {
		_ = flag.Set("test.skip", "^ExampleLogin_device$") // waits for a second, the shortest interval between polls
	}
	code := m.Run()
	if left := goroutines(); code == 0 && left != "" {
		fmt.Println("goroutines are left:\n" + left)
		code = 1
	}
	os.Exit(code)
}

// goroutines returns the stacks of those that serve or log in, after giving them a while to
// end.
func goroutines() string {
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	for i := 0; ; i++ {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		var left []string
		for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // the first is this one
			if strings.Contains(stack, "net/http.") || strings.Contains(stack, "/loopback.") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || i == 5000 {
			return strings.Join(left, "\n\n")
		}
		time.Sleep(time.Millisecond)
	}
}

var _ DeviceAuthorizer = (*endpoints.Config)(nil)

// plain is a provider that follows the RFCs.
var plain = endpoints.Provider{
	Name:     "Plainly",
	Endpoint: oauth2.Endpoint{AuthURL: "https://plainly.example/authorize", TokenURL: "https://plainly.example/token", DeviceAuthURL: "https://plainly.example/device"},
	APIURLs:  []string{"https://api.plainly.example"},
}

// renaming is one that doesn't, in what this package touches: the redirect URI has another
// name, a variable belongs to the attempt, and the user's no is said in another way.
var renaming = endpoints.Provider{
	Name:     "Renaming",
	Endpoint: oauth2.Endpoint{AuthURL: "https://{shop}.renaming.example/authorize", TokenURL: "https://{shop}.renaming.example/token"},
	Vars:     map[string][]string{"shop": {"tea", "coffee"}},
	Consent:  endpoints.Consent{Params: endpoints.Params{"back_to": {"{redirect_uri}"}}},
	Callback: endpoints.Callback{Names: map[string]string{"code": "ticket"}},
	Exchange: endpoints.AuthStyle{Params: endpoints.Params{"back_to": {"{redirect_uri}"}}},
	APIURLs:  []string{"https://{shop}.renaming.example/api"},
}

// sandbox is a server that acts as providers.
type sandbox struct {
	*endpointstest.Server
	t *testing.T
}

// newSandbox starts one, as plain unless there are others.
func newSandbox(t *testing.T, providers ...endpoints.Provider) sandbox {
	if len(providers) == 0 {
		providers = append(providers, plain)
	}
	return sandbox{endpointstest.New(t, providers...), t}
}

// config returns a client at p that is registered with redirectURL, which Login gets, too.
func (s sandbox) config(p endpoints.Provider, redirectURL string) *endpoints.Config {
	return s.Provider(p).Config(s.Config(p, redirectURL))
}

// plainConfig is the same with x/oauth2 alone.
func (s sandbox) plainConfig(redirectURL string) *oauth2.Config {
	c := s.Config(plain, redirectURL)
	c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	return &c
}

// seen is a page of the program's that a browser has shown.
type seen struct {
	status int
	header http.Header
	body   string
}

// get opens a page, as a browser does that then keeps its connection.
func get(t *testing.T, rawURL string) seen {
	t.Helper()
	resp, err := http.Get(rawURL)
	require.NoError(t, err)
	return read(t, resp)
}

func read(t *testing.T, resp *http.Response) seen {
	t.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return seen{resp.StatusCode, resp.Header, string(body)}
}

// attended is a Login whose user does something in a browser.
type attended struct {
	Login
	t       *testing.T
	prompts []Prompt
	browser chan struct{} // closed when the user has done it
}

// attend returns a Login at c that user attends to: user is given the consent page's URL.
func attend(t *testing.T, c pkce.Exchanger, user func(consentURL string)) *attended {
	a := &attended{t: t, browser: make(chan struct{})}
	a.Login = Login{
		Config: c, Program: "Tea <Tool>",
		Show: func(p Prompt) { a.prompts = append(a.prompts, p) },
		OpenBrowser: func(_ context.Context, u string) error {
			defer close(a.browser)
			user(u)
			return nil
		},
	}
	return a
}

// token runs the login, and waits for the user's browser.
func (a *attended) token() (*oauth2.Token, error) {
	a.t.Helper()
	token, err := a.Token(a.t.Context())
	<-a.browser
	return token, err
}

// decide presses a button of the consent page, and returns the callback's URL.
func decide(t *testing.T, press func(context.Context, *http.Client, string) (*url.URL, error), consentURL string) string {
	t.Helper()
	back, err := press(t.Context(), nil, consentURL)
	require.NoError(t, err)
	return back.String()
}

// redirectIn returns the redirect URL in a consent page's URL.
func redirectIn(t *testing.T, consentURL string) *url.URL {
	t.Helper()
	u, err := url.Parse(consentURL)
	require.NoError(t, err)
	query := u.Query()
	redirect, err := url.Parse(query.Get("redirect_uri") + query.Get("back_to"))
	require.NoError(t, err)
	return redirect
}

// requireClosed fails if someone listens there.
func requireClosed(t *testing.T, at *url.URL) {
	t.Helper()
	for _, host := range []string{ipv4, ipv6} {
		c, err := net.Dial("tcp", net.JoinHostPort(host, at.Port()))
		if err == nil {
			c.Close()
		}
		require.Error(t, err, "%s is open after the login", host)
	}
}

// checkError fails if err isn't for exactly one action, or shows a secret.
func checkError(t *testing.T, err error, secrets ...string) {
	t.Helper()
	require.Error(t, err)
	actions := 0
	for _, action := range []error{pkce.ErrStartAgain, pkce.ErrDenied, pkce.ErrMisconfigured} {
		if errors.Is(err, action) {
			actions++
		}
	}
	assert.Equal(t, 1, actions, "%v", err)
	var printed bytes.Buffer
	for e := range walk(err) {
		fmt.Fprintf(&printed, "%v %+v %#v\n", e, e, e)
	}
	for _, secret := range secrets {
		assert.NotContains(t, printed.String(), secret)
	}
}

// walk yields all errors that err leads to.
func walk(err error) func(yield func(error) bool) {
	return func(yield func(error) bool) {
		todo := []error{err}
		for len(todo) > 0 {
			e := todo[0]
			todo = todo[1:]
			if e == nil {
				continue
			}
			if !yield(e) {
				return
			}
			switch e := e.(type) {
			case interface{ Unwrap() error }:
				todo = append(todo, e.Unwrap())
			case interface{ Unwrap() []error }:
				todo = append(todo, e.Unwrap()...)
			}
		}
	}
}
