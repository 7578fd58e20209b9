package finch

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Client is a client of Finch whose attempts are Connect sessions. It is safe for
// concurrent use if nothing is changed.
type Client struct {
	// Config is made of endpoints.Finch. It is required.
	*endpoints.Config
}

// maxURL bounds the URL of a session, in bytes: browsers and servers take no longer one.
const maxURL = 8 << 10

// Authorize makes the session that is among the options, and returns the URL where the
// employer gives consent, with the state. Without one it returns the URL that Config
// makes, which names the client and the products itself. Package pkce calls it.
//
// A session takes no options beside it: everything is agreed between the program and
// Finch, and nothing but the session's id is in the URL. Finch knows no PKCE, so the
// verifier isn't used. Each call makes another session.
//
// The request is made with the *http.Client of ctx (oauth2.HTTPClient). Its errors are
// those of [endpoints.Config.SendAsClient]. A URL that isn't on Finch's consent page,
// whose origin is that of Endpoint.AuthURL, is refused as endpoints.KindUnreadable: an
// answer can't send the employer elsewhere.
//
// https://developer.tryfinch.com/api-reference/connect/new-session
// https://developer.tryfinch.com/api-reference/connect/reauthenticate-session
func (c *Client) Authorize(ctx context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (consentURL string, kept map[string]string, err error) {
	options := optionsOf(opts)
	encoded := options.Get(optionName)
	if encoded == "" {
		return c.Config.Authorize(ctx, state, verifier, opts...)
	}
	delete(options, optionName)
	plain, err := c.static(ctx)
	if err != nil {
		return "", nil, err
	}
	o, err := parseOption(encoded)
	if err != nil {
		return "", nil, err
	}
	body, err := c.complete(o, plain, options)
	if err != nil {
		return "", nil, err
	}
	var session struct {
		ConnectURL string `json:"connect_url"`
	}
	if err := c.SendAsClient(ctx, o.path(), body, &session); err != nil {
		return "", nil, err
	}
	consentURL, err = withState(session.ConnectURL, state, plain)
	if err != nil {
		return "", nil, err
	}
	return consentURL, nil, nil
}

// static returns the URL of the consent page that Config makes.
func (c *Client) static(ctx context.Context) (*url.URL, error) {
	plain, _, err := c.Config.Authorize(ctx, "", "")
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(plain)
	if err != nil {
		return nil, mistake("Config has no URL of a consent page")
	}
	return u, nil
}

// complete returns the body of the request, with what Config and the options of the
// attempt say.
func (c *Client) complete(o *option, plain *url.URL, options url.Values) (any, error) {
	redirectURI := c.RedirectURL()
	if options.Has("redirect_uri") {
		redirectURI = options.Get("redirect_uri")
		delete(options, "redirect_uri")
	}
	for name := range options {
		return nil, mistake("the option " + name + " has no effect on a session")
	}
	if o.Session != nil {
		o.Session.RedirectURI = redirectURI
		if len(o.Session.Products) == 0 {
			o.Session.Products = strings.Fields(plain.Query().Get("products"))
		}
		if len(o.Session.Products) == 0 {
			return nil, mistake("a Session needs Products, or Config some scopes")
		}
		return o.Session, nil
	}
	o.Reauthentication.RedirectURI = redirectURI
	return o.Reauthentication, nil
}

// withState returns the URL of a session with the state, if it leads to the same place
// as plain does. Otherwise Finch's answer can't be used.
func withState(connectURL, state string, plain *url.URL) (string, error) {
	u, err := url.Parse(connectURL)
	switch {
	case connectURL == "":
		return "", tokenerror.UnusableAnswer("there is no connect_url in it")
	case err != nil || len(connectURL) > maxURL:
		return "", tokenerror.UnusableAnswer("the connect_url in it is no URL")
	case !httpclient.SameOrigin(u, plain) || u.User != nil:
		return "", tokenerror.UnusableAnswer("the connect_url in it doesn't lead to Finch's consent page")
	case u.Query().Has("state"):
		return "", tokenerror.UnusableAnswer("the connect_url in it has a state already")
	}
	query := url.Values{"state": {state}}.Encode()
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	return u.String(), nil
}

// SessionID returns the id of the session that the URL of a consent page is for, which
// Finch's JavaScript takes, or "" if it is for none.
func SessionID(consentURL string) string {
	u, err := url.Parse(consentURL)
	if err != nil {
		return ""
	}
	return u.Query().Get("session")
}

// optionsOf returns the options under their names.
func optionsOf(opts []oauth2.AuthCodeOption) url.Values {
	// Only x/oauth2 can apply an option.
	_, query, _ := strings.Cut(new(oauth2.Config).AuthCodeURL("", opts...), "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return url.Values{} // not reached: x/oauth2 has encoded them
	}
	for name, own := range map[string]string{"response_type": "code", "client_id": ""} {
		if options.Get(name) == own {
			delete(options, name)
		}
	}
	return options
}

// mistake is an error of the program, found before anything was sent.
func mistake(text string) error { return tokenerror.NotSent(errors.New("finch: " + text)) }
