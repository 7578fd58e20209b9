package mcpauth

import (
	"context"
	"errors"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/pkce/loopback"
)

// InBrowser returns an AuthorizationCodeFetcher that opens the consent page in the user's
// browser, and waits for the callback at a port of this machine, as login does. The
// RedirectURL of the SDK's configuration has to name that port, such as
// "http://127.0.0.1:8765/callback", since that is what is registered.
//
// Of login, Program, Timeout, OpenBrowser and Show are used. The errors are those of
// [loopback.Login.Token]. The page that the user sees in the end says that the program may
// go on, before the SDK has exchanged the code.
func InBrowser(login loopback.Login) auth.AuthorizationCodeFetcher {
	return func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		page, err := newConsentPage(args.URL)
		if err != nil {
			return nil, err
		}
		_, err = loopback.Login{
			Config: page, Method: loopback.Browser,
			Program: login.Program, Timeout: login.Timeout, OpenBrowser: login.OpenBrowser, Show: login.Show,
		}.Token(ctx)
		if err != nil {
			return nil, err
		}
		return &page.result, nil
	}
}

// consentPage is one consent page of the SDK's, as a pkce.Authorizer. The state is the
// Login's, which knows its callback by it; the SDK's is given back in the end. The
// challenge is the SDK's, since it exchanges the code.
type consentPage struct {
	url    *url.URL
	query  url.Values
	result auth.AuthorizationResult
}

var _ pkce.Authorizer = (*consentPage)(nil)

func newConsentPage(from string) (*consentPage, error) {
	u, err := url.Parse(from)
	if err != nil {
		return nil, errors.New("mcpauth: the URL of the consent page can't be read")
	}
	p := &consentPage{url: u, query: u.Query()}
	redirect, err := url.Parse(p.RedirectURL())
	if err != nil || redirect.Port() == "" || redirect.Port() == "0" {
		return nil, errors.New("mcpauth: InBrowser needs a RedirectURL with a port, such as http://127.0.0.1:8765/callback")
	}
	p.result.State = p.query.Get("state")
	return p, nil
}

// Registration implements pkce.Authorizer.
func (p *consentPage) Registration() (issuer, clientID string) { return "", p.query.Get("client_id") }

// Issuer implements pkce.Authorizer. The SDK compares it.
func (p *consentPage) Issuer() (issuer string, inCallbacks bool) { return "", false }

// RedirectURL implements pkce.Authorizer.
func (p *consentPage) RedirectURL() string { return p.query.Get("redirect_uri") }

// Authorize implements pkce.Authorizer.
func (p *consentPage) Authorize(_ context.Context, state, _ string, _ ...oauth2.AuthCodeOption) (consentURL string, kept map[string]string, err error) {
	return p.AuthCodeURL(state), nil, nil
}

// AuthCodeURL implements pkce.Exchanger.
func (p *consentPage) AuthCodeURL(state string, _ ...oauth2.AuthCodeOption) string {
	u, q := *p.url, p.url.Query()
	q.Set("state", state)
	u.RawQuery = q.Encode()
	return u.String()
}

// ReadCallback implements pkce.Authorizer.
func (p *consentPage) ReadCallback(callback url.Values) (rfc url.Values, kept map[string]string) {
	return callback, map[string]string{"iss": callback.Get("iss")}
}

// Exchange implements pkce.Exchanger. It keeps the code for the SDK to exchange.
func (p *consentPage) Exchange(_ context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	p.result.Code = code
	options, err := url.Parse((&oauth2.Config{}).AuthCodeURL("", opts...))
	if err != nil {
		return nil, err
	}
	p.result.Iss = options.Query().Get("iss")
	return &oauth2.Token{AccessToken: "the SDK's to exchange"}, nil
}
