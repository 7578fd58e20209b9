package loopback

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/pipenet"
	"github.com/oauth2keep/oauth2keep/pkce"
)

// Any client that pkce takes, with any registered redirect URL, gets its token.
func TestLogin(t *testing.T) {
	s := newSandbox(t, plain, renaming)
	tea := oauth2.SetAuthURLParam("shop", "tea")
	for name, tt := range map[string]struct {
		config  pkce.Exchanger
		options []oauth2.AuthCodeOption
		want    string // of the redirect URL, but for the port
	}{
		"a definition":            {s.config(plain, "http://127.0.0.1/callback"), nil, "http://127.0.0.1/callback"},
		"x/oauth2 alone":          {s.plainConfig("http://127.0.0.1/callback"), nil, "http://127.0.0.1/callback"},
		"a Config of one's own":   {wrapped{s.plainConfig("http://127.0.0.1/callback")}, nil, "http://127.0.0.1/callback"},
		"no path":                 {s.config(plain, "http://127.0.0.1"), nil, "http://127.0.0.1"},
		"a query":                 {s.config(plain, "http://127.0.0.1/a%20b/?tool=tea"), nil, "http://127.0.0.1/a%20b/?tool=tea"},
		"IPv6":                    {s.config(plain, "http://[::1]/callback"), nil, "http://[::1]/callback"},
		"other names and a shop":  {s.config(renaming, "http://127.0.0.1/callback"), []oauth2.AuthCodeOption{tea}, "http://127.0.0.1/callback"},
		"an option can't move it": {s.config(plain, "http://127.0.0.1/callback"), []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("redirect_uri", "https://evil.example/")}, "http://127.0.0.1/callback"},
	} {
		t.Run(name, func(t *testing.T) {
			var redirect *url.URL
			var page seen
			a := attend(t, tt.config, func(consentURL string) {
				redirect = redirectIn(t, consentURL)
				page = get(t, decide(t, endpointstest.Approve, consentURL))
			})
			a.Options = tt.options
			token, err := a.token()
			require.NoError(t, err)
			assert.True(t, token.Valid())
			assert.Equal(t, http.StatusOK, page.status)
			assert.Contains(t, page.body, "You are logged in")
			requireClosed(t, redirect)
			assert.NotEmpty(t, redirect.Port())
			redirect.Host = redirect.Hostname()
			if redirect.Host == ipv6 {
				redirect.Host = "[::1]"
			}
			assert.Equal(t, tt.want, redirect.String())
		})
	}
	assert.Empty(t, s.Stats(plain).Rejected)
	assert.Empty(t, s.Stats(renaming).Rejected)
}

// wrapped is a client of neither package.
type wrapped struct{ config *oauth2.Config }

func (w wrapped) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	return w.config.AuthCodeURL(state, opts...)
}

func (w wrapped) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return w.config.Exchange(ctx, code, opts...)
}

// Without a redirect URL in Config, and with nothing else set.
func TestLoginZeroValue(t *testing.T) {
	s := newSandbox(t)
	c := s.plainConfig("http://127.0.0.1/callback")
	c.RedirectURL = ""
	browser := make(chan struct{})
	login := Login{Config: c, OpenBrowser: func(_ context.Context, u string) error {
		defer close(browser)
		assert.Equal(t, "/callback", redirectIn(t, u).Path)
		page := get(t, decide(t, endpointstest.Approve, u))
		assert.Contains(t, page.body, "go back to the program")
		return nil
	}}
	token, err := login.Token(t.Context())
	require.NoError(t, err)
	<-browser
	assert.True(t, token.Valid())
	assert.Empty(t, c.RedirectURL, "Config was changed")
}

func TestLoginsAtOnce(t *testing.T) {
	s := newSandbox(t)
	config := s.config(plain, "http://127.0.0.1/callback")
	login := Login{Config: config, OpenBrowser: func(_ context.Context, u string) error {
		get(t, decide(t, endpointstest.Approve, u))
		return nil
	}, Show: func(Prompt) {}}
	var mu sync.Mutex
	tokens := make(map[string]bool)
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			token, err := login.Token(t.Context())
			if assert.NoError(t, err) {
				mu.Lock()
				defer mu.Unlock()
				tokens[token.AccessToken] = true
			}
		})
	}
	all.Wait()
	assert.Len(t, tokens, 10)
}

// How it can go wrong, and what the user sees of that.
func TestLoginFails(t *testing.T) {
	down := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "busy", http.StatusServiceUnavailable)
	}
	refused := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client","error_description":"<script>no such client</script>"}`)
	}
	deny := func(t *testing.T, u string) string { return decide(t, endpointstest.Deny, u) }
	approve := func(t *testing.T, u string) string { return decide(t, endpointstest.Approve, u) }
	answer := func(query string) func(*testing.T, string) string {
		return func(t *testing.T, u string) string {
			redirect := redirectIn(t, u)
			parsed, err := url.Parse(u)
			require.NoError(t, err)
			redirect.RawQuery = query + "&state=" + parsed.Query().Get("state")
			return redirect.String()
		}
	}
	for name, tt := range map[string]struct {
		issuer   string
		exchange http.HandlerFunc
		callback func(*testing.T, string) string
		want     error
		page     string
		details  string
	}{
		"the user says no":              {"", nil, deny, pkce.ErrDenied, "You said no", ""},
		"the provider is down":          {"", down, approve, pkce.ErrStartAgain, "That didn&#39;t work", "status 503"},
		"the client isn't known":        {"", refused, approve, pkce.ErrMisconfigured, "That can&#39;t work", "&lt;script&gt;no such client"},
		"another issuer":                {"https://plainly.example", nil, answer("code=c&iss=https://evil.example"), pkce.ErrMisconfigured, "That can&#39;t work", "another issuer"},
		"no issuer":                     {"https://plainly.example", nil, approve, pkce.ErrMisconfigured, "That can&#39;t work", "doesn&#39;t name its issuer"},
		"a wrong code":                  {"", nil, answer("code=guessed"), pkce.ErrStartAgain, "That didn&#39;t work", "invalid_grant"},
		"neither code nor error":        {"", nil, answer("x=y"), pkce.ErrStartAgain, "That didn&#39;t work", "neither a code nor an error"},
		"an error with markup":          {"", nil, answer("error=server_error&error_description=%3Cb%3Ebold"), pkce.ErrStartAgain, "That didn&#39;t work", "&lt;b&gt;bold"},
		"an error of the client itself": {"", nil, answer("error=unauthorized_client"), pkce.ErrMisconfigured, "That can&#39;t work", "unauthorized_client"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			if tt.exchange != nil {
				s.Fail(plain, endpointstest.Fault{On: endpointstest.TokenEndpoint, Handler: tt.exchange})
			}
			var page seen
			var redirect, consent *url.URL
			a := attend(t, s.config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
				redirect = redirectIn(t, consentURL)
				consent, _ = url.Parse(consentURL)
				page = get(t, tt.callback(t, consentURL))
			})
			a.Issuer = tt.issuer
			token, err := a.token()
			assert.Nil(t, token)
			assert.ErrorIs(t, err, tt.want)
			checkError(t, err, consent.Query().Get("state"))
			assert.GreaterOrEqual(t, page.status, 400)
			assert.Contains(t, page.body, tt.page)
			assert.Contains(t, page.body, tt.details)
			assert.NotContains(t, page.body, "<script>")
			assert.Contains(t, page.body, "Tea &lt;Tool&gt;")
			requireClosed(t, redirect)
		})
	}
}

func TestLoginMisconfigured(t *testing.T) {
	s := newSandbox(t)
	undecided := s.plainConfig("http://127.0.0.1/callback")
	undecided.Endpoint.AuthStyle = oauth2.AuthStyleAutoDetect
	moved := func(redirectURL string) *oauth2.Config {
		c := s.plainConfig("http://127.0.0.1/callback")
		c.RedirectURL = redirectURL
		return c
	}
	var script oauth2.Config = *moved("")
	script.Endpoint.AuthURL = "javascript:alert(1)//"
	good := moved("")
	good.Endpoint.AuthStyle, script.Endpoint.DeviceAuthURL = oauth2.AuthStyleInParams, ""
	for name, tt := range map[string]struct {
		login Login
		want  string
	}{
		"no Config":          {Login{}, "Login.Config is missing"},
		"a nil Config":       {Login{Config: (*oauth2.Config)(nil)}, "Login.Config is missing"},
		"a zero Config":      {Login{Config: new(endpoints.Config)}, "client id"},
		"no style":           {Login{Config: undecided}, "AuthStyle"},
		"no client id":       {Login{Config: &oauth2.Config{Endpoint: good.Endpoint}}, "client id"},
		"no id either":       {Login{Config: plain.Config(oauth2.Config{})}, "client id"},
		"a website":          {Login{Config: moved("https://app.example/callback")}, "isn't on the loopback"},
		"another's host":     {Login{Config: moved("http://127.0.0.1.evil.example/callback")}, "isn't on the loopback"},
		"another address":    {Login{Config: moved("http://127.0.0.2/callback")}, "isn't on the loopback"},
		"https":              {Login{Config: moved("https://127.0.0.1/callback")}, "isn't on the loopback"},
		"an app's scheme":    {Login{Config: moved("com.example.tea:/callback")}, "isn't on the loopback"},
		"out of band":        {Login{Config: moved("urn:ietf:wg:oauth:2.0:oob")}, "isn't on the loopback"},
		"no URL":             {Login{Config: moved("http://127.0.0.1:port/")}, "isn't on the loopback"},
		"a fragment":         {Login{Config: moved("http://127.0.0.1/#a")}, "fragment"},
		"a script":           {Login{Config: &script}, "http or https"},
		"a method":           {Login{Config: good, Method: "carrier pigeon"}, "carrier pigeon"},
		"a port":             {Login{Config: good, Ports: []int{-1}}, "can't listen"},
		"a definition's URL": {Login{Config: s.config(plain, "https://app.example/callback")}, "isn't on the loopback"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.login.OpenBrowser = func(context.Context, string) error {
				assert.Fail(t, "a browser was opened")
				return nil
			}
			if tt.login.Method == Auto && len(tt.login.Ports) > 0 {
				tt.login.Method = Browser // Auto needs no port
			}
			_, err := tt.login.Token(t.Context())
			require.ErrorIs(t, err, pkce.ErrMisconfigured)
			assert.ErrorContains(t, err, tt.want)
			checkError(t, err, good.ClientSecret)
		})
	}
}

// The value of a variable may be the user's own mistake.
func TestLoginWrongVariable(t *testing.T) {
	login := Login{Config: newSandbox(t, renaming).config(renaming, "http://127.0.0.1/callback"), Method: Browser,
		Options: []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("shop", "evil.example/")}}
	_, err := login.Token(t.Context())
	assert.ErrorIs(t, err, pkce.ErrStartAgain)
	checkError(t, err)
}

func TestLoginTimesOut(t *testing.T) {
	var redirect *url.URL
	a := attend(t, newSandbox(t).config(plain, "http://127.0.0.1/callback"), func(u string) { redirect = redirectIn(t, u) })
	a.Timeout = 50 * time.Millisecond
	_, err := a.token()
	assert.ErrorIs(t, err, pkce.ErrStartAgain)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "50ms")
	checkError(t, err)
	requireClosed(t, redirect)
}

// holding is a token endpoint that has a request and doesn't answer it.
func holding(asked chan<- struct{}, release <-chan time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-release:
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"access-1","token_type":"Bearer","expires_in":3600}`)
		case <-r.Context().Done():
		}
	}
}

// A callback that has arrived in time is exchanged, if the exchange takes longer than that.
func TestLoginTimesOutDuringTheExchange(t *testing.T) {
	s, asked := newSandbox(t), make(chan struct{}, 1)
	release := make(chan time.Time)
	s.Fail(plain, endpointstest.Fault{On: endpointstest.TokenEndpoint, Handler: holding(asked, release)})
	l := Login{Config: s.config(plain, "http://127.0.0.1/callback"), OpenBrowser: func(context.Context, string) error { return nil }, Show: func(Prompt) {}}
	a, err := l.begin(t.Context(), nil)
	require.NoError(t, err)
	page := make(chan seen)
	go func() { page <- get(t, decide(t, endpointstest.Approve, a.url)) }()
	<-asked
	l.Timeout = time.Millisecond
	time.AfterFunc(20*l.Timeout, func() { close(release) })
	begun := time.Now()
	token, err := l.follow(t.Context(), a)
	require.NoError(t, err)
	assert.Equal(t, "access-1", token.AccessToken)
	assert.Equal(t, http.StatusOK, (<-page).status)
	assert.Less(t, time.Since(begun), exchangeTimeout)
}

func TestLoginEnds(t *testing.T) {
	cause := errors.New("the program ends")
	for name, during := range map[string]bool{"before the callback": false, "during the exchange": true} {
		t.Run(name, func(t *testing.T) {
			s, asked := newSandbox(t), make(chan struct{}, 1)
			s.Fail(plain, endpointstest.Fault{On: endpointstest.TokenEndpoint, Handler: holding(asked, nil)})
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			var redirect *url.URL
			a := attend(t, s.config(plain, "http://127.0.0.1/callback"), func(u string) {
				redirect = redirectIn(t, u)
				if !during {
					cancel(cause)
					return
				}
				go func() {
					<-asked
					cancel(cause)
				}()
				page := get(t, decide(t, endpointstest.Approve, u))
				assert.Contains(t, page.body, "log in again")
			})
			_, err := a.Token(ctx)
			<-a.browser
			assert.ErrorIs(t, err, cause)
			assert.ErrorIs(t, err, pkce.ErrStartAgain)
			checkError(t, err)
			requireClosed(t, redirect)
		})
	}
}

// The page is complete also in a browser that takes a while to read it.
func TestTokenReturnsAfterThePage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port := pipenet.Listen() // whose connections have no buffers
		l := Login{Config: approving{}, OpenBrowser: NoBrowser, Show: func(Prompt) {}}
		a, err := l.beginAt(t.Context(), parse(t, "http://127.0.0.1:80/callback"), []net.Listener{port})
		require.NoError(t, err)
		browser, err := port.Dial(t.Context(), "", "")
		require.NoError(t, err)
		page := make(chan string, 1)
		go func() {
			callback, err := http.NewRequest("GET", approved(t, a.url), nil)
			assert.NoError(t, err)
			assert.NoError(t, callback.Write(browser))
			time.Sleep(deliveryTimeout / 2)
			resp, err := http.ReadResponse(bufio.NewReader(browser), nil)
			if assert.NoError(t, err) {
				body, err := io.ReadAll(resp.Body)
				assert.NoError(t, err)
				page <- string(body)
			}
			close(page)
			browser.Close()
		}()
		_, err = l.follow(t.Context(), a)
		require.NoError(t, err)
		assert.Contains(t, <-page, "</html>")
	})
}

// approving is a client at a provider that needs no server.
type approving struct{}

func (approving) AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string {
	return (&oauth2.Config{ClientID: "tool", Endpoint: plain.Endpoint}).AuthCodeURL(state, opts...)
}

func (approving) Exchange(context.Context, string, ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: "access-1"}, nil
}

// approved returns the callback of an approving client whose user says yes.
func approved(t *testing.T, consentURL string) string {
	t.Helper()
	redirect := redirectIn(t, consentURL)
	redirect.RawQuery = "code=c&state=" + parse(t, consentURL).Query().Get("state")
	return redirect.String()
}

// What a Config knows of its issuer counts, as with a pkce.Flow.
func TestIssuerOfTheConfig(t *testing.T) {
	p := plain
	p.Issuer = "https://plainly.example"
	for iss, want := range map[string]error{"": nil, "&iss=https://plainly.example": nil, "&iss=https://evil.example": pkce.ErrMisconfigured} {
		s := sandbox{endpointstest.New(t, p), t}
		c := s.Config(p, "http://127.0.0.1/callback")
		a := attend(t, p.Config(oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret}), func(u string) {
			callback, err := endpointstest.Approve(t.Context(), s.Client(), u)
			require.NoError(t, err)
			get(t, callback.String()+iss)
		})
		_, err := a.Token(context.WithValue(t.Context(), oauth2.HTTPClient, s.Client()))
		<-a.browser
		if want == nil {
			assert.NoError(t, err, iss)
		} else {
			assert.ErrorIs(t, err, want, iss)
		}
	}
}

// What still opens a browser is told when there is no need to.
func TestOpenBrowserEndsWithTheLogin(t *testing.T) {
	opening := make(chan context.Context, 1)
	login := Login{Config: newSandbox(t).config(plain, "http://127.0.0.1/callback"), Show: func(Prompt) {},
		OpenBrowser: func(ctx context.Context, u string) error {
			opening <- ctx
			get(t, decide(t, endpointstest.Approve, u))
			<-ctx.Done()
			return ctx.Err()
		}}
	_, err := login.Token(t.Context())
	require.NoError(t, err)
	assert.Error(t, (<-opening).Err())
}

// What Config does wrong is a panic of the program's, and doesn't leave it waiting.
func TestConfigPanics(t *testing.T) {
	a := attend(t, panicking{newSandbox(t).plainConfig("http://127.0.0.1/callback")}, func(u string) {
		_, err := http.Get(decide(t, endpointstest.Approve, u))
		assert.Error(t, err)
	})
	assert.PanicsWithValue(t, "no more tea", func() { a.token() })
}

type panicking struct{ *oauth2.Config }

func (panicking) Exchange(context.Context, string, ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	panic("no more tea")
}

func TestExchangeOptions(t *testing.T) {
	s := newSandbox(t)
	a := attend(t, s.config(plain, "http://127.0.0.1/callback"), func(u string) { get(t, decide(t, endpointstest.Approve, u)) })
	a.ExchangeOptions = []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("audience", "x")}
	_, err := a.token()
	require.Error(t, err) // the sandbox knows no such parameter
	assert.Equal(t, map[string]int{`malformed: unexpected field "audience"`: 1}, s.Stats(plain).Rejected)
}
