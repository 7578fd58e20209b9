package pkce

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// shops is a client at a provider whose shops have a consent page each, and which calls
// every parameter by another name.
type shops struct {
	stubConfig
	issuer string
}

func newShops() *shops { return &shops{*newStub(), "https://{shop}"} }

var _ Authorizer = (*shops)(nil)

func (c *shops) Registration() (issuer, clientID string) { return c.issuer, c.ClientID }
func (c *shops) RedirectURL() string                     { return c.stubConfig.RedirectURL }
func (c *shops) Issuer() (string, bool)                  { return "", false }

// AuthCodeURL has no shop.
func (c *shops) AuthCodeURL(string, ...oauth2.AuthCodeOption) string { return "" }

func (c *shops) Authorize(_ context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (string, map[string]string, error) {
	options, _ := url.Parse(new(oauth2.Config).AuthCodeURL("", opts...))
	shop := options.Query().Get("shop")
	switch {
	case strings.ContainsAny(shop, "/@"):
		return "", nil, tokenerror.Input(errors.New("the shop isn't accepted, nor is state " + state))
	case shop == "":
		return "", nil, tokenerror.NotSent(errors.New("there is no shop"))
	}
	query := url.Values{"st": {state}, "embedded": {fmt.Sprint(options.Query().Has("redirect_uri"))}}
	if verifier != "" {
		query.Set("challenge", oauth2.S256ChallengeFromVerifier(verifier))
	}
	return "https://" + shop + "/authorize?" + query.Encode(), map[string]string{"shop": shop}, nil
}

func (c *shops) ReadCallback(callback url.Values) (url.Values, map[string]string) {
	rfc, kept := url.Values{}, map[string]string{}
	for name, theirs := range map[string]string{"state": "st", "code": "c", "error": "cancelled"} {
		if v, ok := callback[theirs]; ok {
			rfc[name] = v
		}
	}
	if rfc.Has("error") {
		rfc.Set("error", "access_denied")
	}
	for _, name := range []string{"shop", "account"} {
		if callback.Has(name) {
			kept[name] = callback.Get(name)
		}
	}
	return rfc, kept
}

func shop(name string) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam("shop", name) }

// An attempt in the provider's own words, in a browser, from Begin to the exchange.
func TestAuthorizer(t *testing.T) {
	const tea = "tea.shops.example"
	for name, tt := range map[string]struct {
		callback string // after the state
		calls    int
		want     error
		text     string
	}{
		"the attempt's shop":            {"c=code", 1, nil, ""},
		"the same shop in the callback": {"c=code&shop=" + tea + "&account=7", 1, nil, ""},
		"another shop in the callback":  {"c=code&shop=coffee.shops.example", 0, ErrStartAgain, "another account"},
		"the user says no":              {"cancelled=1", 0, ErrDenied, "access_denied"},
		"the RFC's name of the code":    {"code=code", 0, ErrStartAgain, "neither a code nor an error"},
		"the code twice":                {"c=code&c=other", 0, ErrStartAgain, "repeats the parameter code"},
		"an account twice":              {"c=code&account=7&account=8", 0, ErrStartAgain, "repeats the parameter account"},
		"another shop after the same":   {"c=code&shop=" + tea + "&shop=coffee.shops.example", 0, ErrStartAgain, "repeats the parameter shop"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newShops()
			f := &Flow{Config: c, Sealer: newSealer(t)}
			w := httptest.NewRecorder()
			s, err := f.Begin(w, httptest.NewRequest("GET", "http://localhost/connect", nil), "k", shop(tea))
			require.NoError(t, err)
			assert.Equal(t, "https://"+tea+"/authorize?challenge="+oauth2.S256ChallengeFromVerifier(s.Verifier)+"&embedded=false&st="+s.State, s.URL)
			require.Len(t, w.Result().Cookies(), 1)

			r := httptest.NewRequest("GET", "http://localhost/callback?st="+s.State+"&"+tt.callback, nil)
			r.AddCookie(w.Result().Cookies()[0])
			called := 0
			f.Callback(func(_ http.ResponseWriter, _ *http.Request, got *Session, token *oauth2.Token, err error) {
				called++
				require.NotNil(t, got)
				assert.Equal(t, "k", got.Connection)
				if tt.want == nil {
					assert.NoError(t, err)
					assert.Equal(t, c.token, token)
					return
				}
				checkError(t, err, s.State, s.Verifier)
				assert.ErrorIs(t, err, tt.want)
				assert.ErrorContains(t, err, tt.text)
			}).ServeHTTP(httptest.NewRecorder(), r)
			assert.Equal(t, 1, called)
			require.Len(t, c.calls, tt.calls)
			for _, sent := range c.calls {
				callback, err := url.ParseQuery(tt.callback)
				require.NoError(t, err)
				assert.Equal(t, tea, sent.Get("shop"))
				assert.Equal(t, callback.Get("account"), sent.Get("account"))
				assert.Equal(t, s.Verifier, sent.Get("code_verifier"))
			}
		})
	}
}

func TestAuthorizerWithoutABrowser(t *testing.T) {
	c := newShops()
	s := new(Session)
	_, err := s.Authorize(t.Context(), c, shop("tea.shops.example"))
	require.NoError(t, err)
	_, err = s.Exchange(t.Context(), c, url.Values{"st": {s.State}, "c": {"code"}})
	require.NoError(t, err)
	assert.Equal(t, "tea.shops.example", c.calls[0].Get("shop"))
}

// What counts in the exchange is the attempt's, then the program's, then the callback's.
func TestKeptGoesBeforeOptions(t *testing.T) {
	const tea, coffee = "tea.shops.example", "coffee.shops.example"
	for name, tt := range map[string]struct {
		begun, option, callback, want string
	}{
		"the attempt's and the program's":  {tea, coffee, "", tea},
		"the program's and the callback's": {"", tea, coffee, tea},
		"the callback's alone":             {"", "", tea, tea},
	} {
		t.Run(name, func(t *testing.T) {
			c := newShops()
			s := &Session{State: oauth2.GenerateVerifier(), Expiry: time.Now().Add(time.Minute)}
			if tt.begun != "" {
				_, err := s.Authorize(t.Context(), c, shop(tt.begun))
				require.NoError(t, err)
			}
			callback := url.Values{"st": {s.State}, "c": {"code"}}
			if tt.callback != "" {
				callback.Set("shop", tt.callback)
			}
			var opts []oauth2.AuthCodeOption
			if tt.option != "" {
				opts = append(opts, shop(tt.option))
			}
			_, err := s.Exchange(t.Context(), c, callback, opts...)
			require.NoError(t, err)
			require.Len(t, c.calls, 1)
			assert.Equal(t, tt.want, c.calls[0].Get("shop"))
		})
	}
}

// Another process goes on with the exported fields, and the options again.
func TestSessionOfFields(t *testing.T) {
	const tea = "tea.shops.example"
	c, s := newShops(), new(Session)
	_, err := s.Authorize(t.Context(), c, shop(tea))
	require.NoError(t, err)
	callback := url.Values{"st": {s.State}, "c": {"code"}, "shop": {"coffee.shops.example"}}

	again := &Session{State: s.State, Verifier: s.Verifier}
	_, err = again.Exchange(t.Context(), c, callback, shop(tea))
	require.ErrorIs(t, err, ErrState)
	require.ErrorContains(t, err, "Session.Expiry is zero")

	again.Expiry = s.Expiry
	_, err = again.Exchange(t.Context(), c, callback, shop(tea))
	require.NoError(t, err)
	assert.Equal(t, tea, c.calls[0].Get("shop"))
	assert.Equal(t, s.Verifier, c.calls[0].Get("code_verifier"))
}

func TestAuthorizerErrors(t *testing.T) {
	begin := func(c *shops, opts ...oauth2.AuthCodeOption) error {
		w := httptest.NewRecorder()
		s, err := (&Flow{Config: c, Sealer: newSealer(t)}).Begin(w, httptest.NewRequest("GET", "http://localhost/", nil), "k", opts...)
		assert.Nil(t, s)
		assert.Empty(t, w.Result().Cookies())
		checkError(t, err)
		return err
	}
	err := begin(newShops(), shop("tea@evil.example"))
	assert.ErrorIs(t, err, ErrStartAgain, "the user may have typed it")
	assert.ErrorContains(t, err, "the shop isn't accepted, nor is state [redacted]")
	assert.ErrorIs(t, begin(newShops()), ErrMisconfigured)

	c := newShops()
	c.ClientID = ""
	assert.ErrorContains(t, begin(c, shop("tea.shops.example")), "ClientID of the Config is empty")
	c = newShops()
	c.stubConfig.RedirectURL = ""
	assert.ErrorContains(t, begin(c, shop("tea.shops.example")), "RedirectURL of Flow.Config is missing")
	c.stubConfig.RedirectURL = "http://127.0.0.1/callback"
	assert.ErrorContains(t, begin(c, shop("tea.shops.example")), "use one of the names for both")
}

// An embedded flow has no redirect URL, which the Authorizer is told.
func TestAuthorizerEmbedded(t *testing.T) {
	c := newShops()
	c.stubConfig.RedirectURL = ""
	f := &Flow{Config: c, Sealer: newSealer(t)}
	s, err := f.BeginEmbedded(httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/", nil), "k", shop("tea.shops.example"))
	require.NoError(t, err)
	assert.Contains(t, s.URL, "embedded=true")
}

// An attempt is finished where it began: at the same issuer, as the same client.
func TestAuthorizerBinding(t *testing.T) {
	for name, change := range map[string]func(*shops){
		"issuer":       func(c *shops) { c.issuer = "https://other.example" },
		"client":       func(c *shops) { c.ClientID = "client-8" },
		"redirect URL": func(c *shops) { c.stubConfig.RedirectURL = "http://localhost/other" },
	} {
		t.Run(name, func(t *testing.T) {
			sealer, c := newSealer(t), newShops()
			w := httptest.NewRecorder()
			s, err := (&Flow{Config: c, Sealer: sealer}).Begin(w, httptest.NewRequest("GET", "http://localhost/", nil), "k", shop("tea.shops.example"))
			require.NoError(t, err)
			other := newShops()
			change(other)
			r := httptest.NewRequest("GET", "http://localhost/callback?c=code&st="+s.State, nil)
			r.AddCookie(w.Result().Cookies()[0])
			(&Flow{Config: other, Sealer: sealer}).Callback(func(_ http.ResponseWriter, _ *http.Request, _ *Session, _ *oauth2.Token, err error) {
				assert.ErrorIs(t, err, ErrState)
			}).ServeHTTP(httptest.NewRecorder(), r)
			assert.Empty(t, other.calls)
		})
	}
}
