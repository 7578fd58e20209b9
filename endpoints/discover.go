package endpoints

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// Discover makes a [Provider] of the metadata that an authorization server publishes
// (RFC 8414, OpenID Connect Discovery 1.0). The issuer is its identifier, an https URL,
// written exactly as the server writes it: the metadata has to name the same (RFC 8414,
// section 3.3). For https://auth.example/tenant it asks, in this order,
//
//	https://auth.example/.well-known/oauth-authorization-server/tenant  RFC 8414, section 3.1
//	https://auth.example/tenant/.well-known/openid-configuration        OpenID Connect Discovery, section 4.1
//	https://auth.example/.well-known/openid-configuration/tenant        RFC 8414, section 5
//
// The first answer that is a JSON object of this issuer decides. A server that is in
// trouble is an error, since the next URL may know less.
//
// What is taken over, besides Issuer and the URLs of Endpoint, revocation and
// introspection:
//
//   - How the client authenticates, by the first of these that the server has:
//     client_secret_basic, client_secret_post, private_key_jwt (see
//     [Config.WithKey]), client_secret_jwt, and none, which is also what is sent with
//     a TLS client certificate (RFC 8705, section 2). A server that doesn't say has
//     client_secret_basic. If the client is registered for another one, set Style.Auth
//     of the result. Revoke.Auth and Introspect.Auth are set where the server wants
//     another one there.
//   - The PKCE method, S256 before plain. A server that names others only gets no
//     challenge. RFC 8414 has a server that names none support none, but OpenID
//     Connect's metadata don't mention PKCE, and there are servers, such as
//     Microsoft's, that check a challenge without naming a method; and every server
//     ignores parameters that it doesn't know (RFC 6749, section 3.1). So S256 is sent
//     to these; set Consent.PKCE to [NoPKCE] if one of them refuses it.
//   - Whether callbacks have an iss (RFC 9207).
//
// What isn't: scopes, since the server has more than the program wants, and the API,
// which metadata don't know. Set APIURLs before the Provider is used with a client that
// sends tokens: until then they are sent nowhere. Name is the issuer without https://.
// Nor is an endpoint that the server has and doesn't publish, such as that for
// revocation of Django OAuth Toolkit: set RevokeURL then, since nothing can be revoked
// without it.
//
// The metadata decide where codes, the client's secret and tokens are sent. So every
// URL is https, but for an issuer at this machine's loopback address, which may have
// http, redirects aren't followed, and at most 1 MiB is read. The result is valid, as
// [Provider.Validate] tells.
//
// The *http.Client is that of ctx, under the key [oauth2.HTTPClient], or else
// http.DefaultClient; its cookies aren't sent. How long it takes is bounded by ctx and
// by that client alone. Discover asks the server at each call: keep what it returns.
func Discover(ctx context.Context, issuer string) (Provider, error) {
	parsed, err := parseIssuer(issuer)
	if err != nil {
		return Provider{}, fmt.Errorf("endpoints: discover: %w", err) // there may be a password in the issuer
	}
	p, err := discover(ctx, parsed, issuer)
	if err != nil {
		return Provider{}, fmt.Errorf("endpoints: discover %s: %w", issuer, err)
	}
	return p, nil
}

func discover(ctx context.Context, parsed *url.URL, issuer string) (Provider, error) {
	var reasons []error
	for _, u := range metadataURLs(parsed) {
		m, err := fetchMetadata(ctx, u)
		switch other := (*notHereError)(nil); {
		case err == nil && m.Issuer == issuer:
			return m.provider(parsed)
		case err == nil:
			err = otherIssuer(m.Issuer)
		case !errors.As(err, &other):
			return Provider{}, fmt.Errorf("%s: %w", u, err)
		}
		reasons = append(reasons, fmt.Errorf("%s: %w", u, err))
	}
	return Provider{}, fmt.Errorf("there is no metadata of this issuer: "+
		"check how it is written, or write the Provider by hand:\n%w", errors.Join(reasons...))
}

// parseIssuer parses an issuer identifier (RFC 8414, section 2).
func parseIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || strings.ContainsAny(issuer, "{}"):
		return nil, errors.New("an issuer is an https URL such as https://accounts.google.com")
	case !httpclient.SecureURL(u):
		return nil, errors.New("an issuer is an https URL, or one of http at this machine")
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		return nil, errors.New("an issuer has no user, query or fragment (RFC 8414, section 2)")
	}
	return u, nil
}

// metadataURLs returns where the metadata of an issuer may be.
func metadataURLs(issuer *url.URL) []string {
	root := issuer.Scheme + "://" + issuer.Host
	path := strings.TrimSuffix(issuer.EscapedPath(), "/")
	urls := []string{
		root + "/.well-known/oauth-authorization-server" + path,
		root + path + "/.well-known/openid-configuration",
	}
	if path != "" {
		urls = append(urls, root+"/.well-known/openid-configuration"+path)
	}
	return urls
}

// notHereError tells that there are no metadata at a URL, so that they may be at
// another.
type notHereError struct{ error }

func notHere(format string, args ...any) error {
	return &notHereError{fmt.Errorf(format, args...)}
}

// otherIssuer is the error for metadata of another issuer, which must not be used (RFC
// 8414, section 3.3).
func otherIssuer(issuer string) error {
	hint := "pass that if it is the provider's"
	if strings.ContainsAny(issuer, "{}") {
		hint = "which stands for many: pass one of them, such as a tenant's, or write a Provider with Vars"
	}
	return fmt.Errorf("it is of the issuer %s, %s", quoted(issuer), hint)
}

// fetchMetadata returns the metadata at a URL.
func fetchMetadata(ctx context.Context, from string) (serverMetadata, error) {
	resp, err := get(ctx, from)
	if err != nil {
		return serverMetadata{}, err
	}
	defer resp.Body.Close()
	switch status := resp.StatusCode; {
	case status >= 500 || status == http.StatusTooManyRequests:
		return serverMetadata{}, fmt.Errorf("the server answers with status %d: try again later", status)
	case status != http.StatusOK:
		return serverMetadata{}, notHere("status %d", status)
	case !isJSON(resp.Header.Get("Content-Type")):
		return serverMetadata{}, notHere("the content type isn't application/json")
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON+1))
	if err != nil {
		return serverMetadata{}, fmt.Errorf("reading the answer: %w", err)
	}
	m, err := readMetadata(data)
	if err != nil {
		return serverMetadata{}, notHere("%w", err)
	}
	return m, nil
}

// get sends a request that has no secret in it and goes nowhere else.
func get(ctx context.Context, from string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	client := httpclient.WithoutRedirects(clientOf(ctx))
	client.Jar = nil
	resp, err := client.Do(req)
	if err != nil {
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err // the URL is said already
		}
		return nil, err
	}
	return resp, nil
}

// isJSON reports whether a content type is the one that RFC 8414, section 3.2, demands.
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && mediaType == "application/json"
}

// quoted returns a text of others so that it can stand in an error.
func quoted(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "…"
	}
	return fmt.Sprintf("%q", s)
}
