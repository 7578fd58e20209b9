package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	googleauth "cloud.google.com/go/auth"
	"cloud.google.com/go/auth/httptransport"
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go/auth/bearer"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/oauth2"
)

// fetch gets a token anew.
type fetch func() (*oauth2.Token, error)

// cache makes a library's cache above fetch, and what asks it for a token.
type cache func(fetch) (held any, get op)

// caches are those of the other libraries.
var caches = []struct {
	library string
	cache   cache
}{
	{xoauth2, xCache},
	{google, func(f fetch) (any, op) { p := googleCache(f); return p, googleToken(p) }},
	{aws, awsCache},
	{smithy, func(f fetch) (any, op) { c := smithyCache(f); return c, smithyToken(c) }},
}

type xSource struct{ fetch fetch }

func (s xSource) Token() (*oauth2.Token, error) { return s.fetch() }

func xCache(f fetch) (any, op) {
	s := oauth2.ReuseTokenSource(nil, xSource{f})
	return s, func() (string, error) {
		t, err := s.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	}
}

type googleProvider fetch

func (f googleProvider) Token(context.Context) (*googleauth.Token, error) {
	t, err := f()
	if err != nil {
		return nil, err
	}
	return &googleauth.Token{Value: t.AccessToken, Type: t.TokenType, Expiry: t.Expiry}, nil
}

func googleCache(f fetch) googleauth.TokenProvider {
	return googleauth.NewCachedTokenProvider(googleProvider(f), nil)
}

func googleToken(p googleauth.TokenProvider) op {
	return func() (string, error) {
		t, err := p.Token(context.Background())
		if err != nil {
			return "", err
		}
		return t.Value, nil
	}
}

// awsCache caches credentials of three strings, of which the session's token is the
// nearest to an access token.
func awsCache(f fetch) (any, op) {
	c := awssdk.NewCredentialsCache(awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
		t, err := f()
		if err != nil {
			return awssdk.Credentials{}, err
		}
		return awssdk.Credentials{AccessKeyID: "id", SecretAccessKey: t.RefreshToken, SessionToken: t.AccessToken, CanExpire: true, Expires: t.Expiry}, nil
	}))
	return c, func() (string, error) {
		v, err := c.Retrieve(context.Background())
		return v.SessionToken, err
	}
}

func smithyCache(f fetch) *bearer.TokenCache {
	return bearer.NewTokenCache(bearer.TokenProviderFunc(func(context.Context) (bearer.Token, error) {
		t, err := f()
		if err != nil {
			return bearer.Token{}, err
		}
		return bearer.Token{Value: t.AccessToken, CanExpire: true, Expires: t.Expiry}, nil
	}))
}

func smithyToken(c *bearer.TokenCache) op {
	return func() (string, error) {
		t, err := c.RetrieveBearerToken(context.Background())
		return t.Value, err
	}
}

// valid is a fetch of a token that lasts.
func valid() (*oauth2.Token, error) { return newToken(current, 24*time.Hour), nil }

// cachedTokens are the sides that have a valid token.
func cachedTokens() (sides []side) {
	for _, c := range caches {
		_, get := c.cache(valid)
		sides = append(sides, same(c.library, get))
	}
	return sides
}

// herds are the sides that have a token that has expired.
func (w *world) herds() (sides []side) {
	for _, c := range caches {
		sides = append(sides, w.herd(c.library, func() (op, error) {
			var began atomic.Bool
			_, get := c.cache(func() (*oauth2.Token, error) {
				if began.Swap(true) {
					return w.refresh()
				}
				return newToken(expired, -time.Hour), nil
			})
			_, err := get()
			return get, err
		}))
	}
	return sides
}

func (w *world) xCachedKept() side {
	return kept(xoauth2, oauth2.ReuseTokenSource(nil, xSource{valid}))
}

func (w *world) xCachedExtra() side {
	_, get := xCache(func() (*oauth2.Token, error) { return withExtra(newToken(current, 24*time.Hour)), nil })
	return same(xoauth2, get)
}

// xTransport returns x/oauth2's transport on top of another.
func xTransport(base http.RoundTripper) http.RoundTripper {
	return &oauth2.Transport{Source: oauth2.ReuseTokenSource(nil, xSource{valid}), Base: base}
}

// googleClient returns a client that authenticates by Google's transport.
func googleClient(base http.RoundTripper) (*http.Client, error) {
	c := &http.Client{Transport: base}
	return c, httptransport.AddAuthorizationMiddleware(c, googleauth.NewCredentials(&googleauth.CredentialsOptions{TokenProvider: googleCache(valid)}))
}

// smithySigned returns what a client of smithy does with a request: it asks its cache,
// and hands on what its signer returns, which has lost the request's context.
func smithySigned(base http.RoundTripper) roundTripper {
	c, signer := smithyCache(valid), bearer.NewSignHTTPSMessage()
	return func(r *http.Request) (*http.Response, error) {
		t, err := c.RetrieveBearerToken(r.Context())
		if err != nil {
			return nil, err
		}
		signed, err := signer.SignWithBearerToken(r.Context(), t, &smithyhttp.Request{Request: r})
		if err != nil {
			return nil, err
		}
		return base.RoundTrip(signed.(*smithyhttp.Request).WithContext(r.Context()))
	}
}

func (w *world) xExchange() side {
	return same(xoauth2, func() (string, error) {
		t, err := w.oauth.Exchange(w.ctx, "code")
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	})
}

// xRefresh refreshes, and saves nothing.
func (w *world) xRefresh() side {
	return same(xoauth2+", not saved", func() (string, error) {
		t, err := w.refresh()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	})
}
