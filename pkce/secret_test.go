package pkce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/loginerror"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// texts calls visit with every text that v leads to, through fields that aren't
// exported too.
func texts(v reflect.Value, seen map[uintptr]bool, visit func(string)) {
	switch v.Kind() {
	case reflect.String:
		visit(v.String())
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return
		}
		seen[v.Pointer()] = true
		texts(v.Elem(), seen, visit)
	case reflect.Interface:
		if !v.IsNil() {
			texts(v.Elem(), seen, visit)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			texts(v.Field(i), seen, visit)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := make([]byte, v.Len())
			for i := range b {
				b[i] = byte(v.Index(i).Uint())
			}
			visit(string(b))
			return
		}
		for i := range v.Len() {
			texts(v.Index(i), seen, visit)
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			texts(k, seen, visit)
			texts(v.MapIndex(k), seen, visit)
		}
	}
}

// leadsTo reports whether anything of v, however deep, holds a secret.
func leadsTo(v any, secrets ...string) bool {
	found := false
	texts(reflect.ValueOf(v), make(map[uintptr]bool), func(s string) {
		for _, secret := range secrets {
			found = found || strings.Contains(s, secret) || strings.Contains(s, url.QueryEscape(secret))
		}
	})
	return found
}

func TestLeadsTo(t *testing.T) {
	const secret = "secret-1/2"
	type hidden struct{ err error }
	answer := &oauth2.RetrieveError{Response: &http.Response{Request: &http.Request{Header: http.Header{"Authorization": {secret}}}}}
	for _, v := range []any{
		secret, []byte(secret), &hidden{answer}, fmt.Errorf("wrapped: %w", answer), url.Values{"x": {"1", "a=" + url.QueryEscape(secret)}},
		loginerror.New(nil, "", answer), context.WithValue(t.Context(), oauth2.HTTPClient, secret), [1]any{map[string]any{secret: nil}},
	} {
		assert.True(t, leadsTo(v, secret), "%T", v)
	}
	assert.False(t, leadsTo(&hidden{errors.New("another")}, secret))
}

// wrapping is a client of the application's own, which hides what it is made of.
type wrapping struct{ *oauth2.Config }

// Whatever the provider repeats, and wherever x/oauth2 keeps it, no error leads to it.
func TestNoErrorLeadsToASecret(t *testing.T) {
	const code, contextual = "code+of/the=provider", "another-secret-of-the-context"
	type contextKey struct{}
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		for name, respond := range map[string]http.HandlerFunc{
			"an error that repeats all": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Set-Cookie", "session="+accessToken)
				w.Header().Set("X-Request-Id", r.PostForm.Get("code_verifier"))
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusBadRequest)
				all := r.PostForm.Encode() + r.Header.Get("Authorization") + clientSecret
				fmt.Fprintf(w, `{"error":%q,"error_description":%q,"error_uri":"https://p.example/%s","access_token":%q}`,
					r.PostForm.Get("code"), all, clientSecret, accessToken)
			},
			"a page": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprint(w, r.PostForm.Encode(), r.Header, accessToken, clientSecret)
			},
			"a token that isn't one": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"refresh_token":%q}`, accessToken)
			},
			"no HTTP": func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if assert.NoError(t, err) {
					fmt.Fprint(conn, r.PostForm.Get("code_verifier"), accessToken, "\r\n")
					conn.Close()
				}
			},
		} {
			t.Run(fmt.Sprint(name, style), func(t *testing.T) {
				p := newProvider(t)
				p.token = respond
				config := p.config("http://localhost/callback")
				config.Endpoint.AuthStyle = style
				for _, exchanger := range []Exchanger{config, wrapping{config}} {
					ctx := context.WithValue(t.Context(), contextKey{}, contextual)
					s := begun("k")
					_, err := s.Exchange(ctx, exchanger, url.Values{"state": {s.State}, "code": {code}})
					checkError(t, err, s.State, s.Verifier, code)
					assert.False(t, leadsTo(err, s.State, s.Verifier, code, clientSecret, contextual, accessToken), "%T: %v", exchanger, err)
					var answer *oauth2.RetrieveError
					if errors.As(err, &answer) {
						assert.Equal(t, "7", answer.Response.Header.Get("Retry-After"))
						assert.Equal(t, p.URL+"/token", answer.Response.Request.URL.String())
						_, err := io.ReadAll(answer.Response.Body)
						assert.NoError(t, err)
					}
				}
			})
		}
	}
}

// What an error means can still be found in it.
func TestErrorWithoutSecretsMeansTheSame(t *testing.T) {
	type contextKey struct{}
	request, err := http.NewRequestWithContext(
		tokenerror.WithAdapted(context.WithValue(t.Context(), contextKey{}, "contextual"), tokenerror.Adapted{Grant: "authorization_code", Kind: tokenerror.RateLimited}),
		"POST", "https://user:password@p.example/token?client_secret=x", http.NoBody)
	require.NoError(t, err)
	own := errors.New("own")
	for _, response := range []*http.Response{
		nil,
		{StatusCode: 401, Header: http.Header{"Content-Type": {"text/html"}}},
		{StatusCode: 400, Request: request},
		{StatusCode: 400, Request: &http.Request{}},
		{StatusCode: 400, Request: &http.Request{GetBody: func() (io.ReadCloser, error) { return nil, own }}},
	} {
		c := newStub()
		c.err = fmt.Errorf("%w: %w", own, &oauth2.RetrieveError{Response: response, ErrorCode: "invalid_grant", Body: []byte("body")})
		s := begun("k")
		_, err := s.Exchange(t.Context(), c, url.Values{"state": {s.State}, "code": {"c"}})
		want, _ := tokenerror.Of(c.err)
		got, ok := tokenerror.Of(err)
		assert.True(t, ok)
		assert.Equal(t, want, got)
		assert.ErrorIs(t, err, own)
		assert.False(t, leadsTo(err, "password", "client_secret", "contextual", "body"))
	}
}

// A request that the client itself refused to make calls for the operator.
func TestRequestThatWasNotSent(t *testing.T) {
	c := newStub()
	c.err = &url.Error{Op: "Post", URL: "https://p.example", Err: tokenerror.NotSent(errors.New("a mistake in the definition"))}
	s := begun("k")
	_, err := s.Exchange(t.Context(), c, url.Values{"state": {s.State}, "code": {"c"}})
	assert.ErrorIs(t, err, ErrMisconfigured)
	assert.EqualError(t, err, "pkce: the exchange failed: no answer: a mistake in the definition")
}
