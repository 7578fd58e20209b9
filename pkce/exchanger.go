package pkce

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// Exchanger is what an attempt needs of an OAuth 2.0 client. An *oauth2.Config is
// one, and so is the *Config of package endpoints, which is an [Authorizer] as well.
type Exchanger interface {
	// AuthCodeURL returns the URL of the provider's consent page, or "" if the
	// configuration isn't valid. For the same configuration and options it must
	// return the same URL at any time, but for the state. It is also called to see
	// under which names the options client_id and redirect_uri are sent.
	AuthCodeURL(state string, opts ...oauth2.AuthCodeOption) string

	// Exchange converts an authorization code into a token. The context has an
	// HTTP client, under the key [oauth2.HTTPClient], that doesn't follow
	// redirects. Exchange must send the code at most once.
	Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error)
}

var _ Exchanger = (*oauth2.Config)(nil)

// check reports that c, which is called name, can't be used.
func check(c Exchanger, name string) error {
	if c == nil {
		return misconfigured(name + " is missing")
	}
	if v := reflect.ValueOf(c); v.Kind() == reflect.Pointer && v.IsNil() {
		return misconfigured(fmt.Sprintf("%s is a nil %T", name, c))
	}
	if c, ok := c.(*oauth2.Config); ok && c.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect {
		return misconfigured("Endpoint.AuthStyle of " + name + " is not set: auto-detection would send the code twice; " +
			"set oauth2.AuthStyleInParams or oauth2.AuthStyleInHeader, as the provider's documentation says")
	}
	return nil
}

// withClient returns ctx with the HTTP client that is to make the exchange. It
// doesn't follow redirects, which would take code, verifier and the client's secret
// elsewhere, and sends the code once.
func withClient(ctx context.Context) context.Context {
	client := httpclient.WithoutRedirects(httpclient.From(ctx, http.DefaultClient))
	client.Transport = httpclient.OnceTransport{Base: client.Transport}
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// consentNames are the names under which a consent page takes two parameters, or ""
// if it doesn't take them.
type consentNames struct{ clientID, redirectURI string }

// namesClient reports whether a consent page's URL has a client id, where c's have one. An
// option may have set it.
func namesClient(c Exchanger, consentURL string) bool {
	name := namesOf(c).clientID
	u, err := url.Parse(consentURL)
	return err != nil || name == "" || u.Query().Get(name) != ""
}

// namesOf returns the consent page's names, which package endpoints may have
// adapted. It finds them by values that no configuration has.
func namesOf(c Exchanger) *consentNames {
	const id, uri = "pkce-client-id", "https://pkce.invalid/redirect-uri"
	_, query, _ := strings.Cut(c.AuthCodeURL("state", oauth2.SetAuthURLParam("client_id", id), oauth2.SetAuthURLParam("redirect_uri", uri)), "?")
	params, _ := url.ParseQuery(query)
	names := new(consentNames)
	for name, values := range params {
		switch values[0] {
		case id:
			names.clientID = name
		case uri:
			names.redirectURI = name
		}
	}
	return names
}
