package clients

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

const issuer = "https://here.example"

// openID is an OpenID provider in front of an authorization server: it adds an ID token to
// each answer of the token endpoint.
type openID struct {
	base   http.RoundTripper
	key    *ecdsa.PrivateKey
	silent bool // at a refresh, as it may be (OpenID Connect Core 1.0, section 12.2)
	n      int
}

func newOpenID(t *testing.T, base http.RoundTripper) *openID {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return &openID{base: base, key: key}
}

func (o *openID) idToken(t time.Time) string {
	o.n++
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: o.key}, nil)
	if err != nil {
		panic(err)
	}
	claims := fmt.Sprintf(`{"iss":%q,"aud":"app","sub":"user-%d","iat":%d,"exp":%d}`, issuer, o.n, t.Unix(), t.Add(time.Hour).Unix())
	signed, err := signer.Sign([]byte(claims))
	if err != nil {
		panic(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

func (o *openID) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := o.base.RoundTrip(r)
	if err != nil || r.URL.Path != "/token" || resp.StatusCode != http.StatusOK || o.silent {
		return resp, err
	}
	var answer map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, err
	}
	answer["id_token"] = o.idToken(time.Now())
	body, err := json.Marshal(answer)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return resp, err
}

// userInfo asks for the user with a context of which the client is a connection's.
func userInfo(t *testing.T, m *tokensource.Manager, connection, url string) func(context.Context) error {
	config := oidc.ProviderConfig{IssuerURL: issuer, UserInfoURL: url + "/userinfo"}
	source := m.Source(connection)
	provider := config.NewProvider(t.Context())
	return func(ctx context.Context) error {
		token, err := source.TokenContext(ctx) // here the error keeps its chain; go-oidc makes it a text
		if err != nil {
			return err
		}
		user, err := provider.UserInfo(oidc.ClientContext(ctx, m.Client(connection)), oauth2.StaticTokenSource(token))
		if err == nil && user.Subject != "user" {
			err = fmt.Errorf("subject %q", user.Subject)
		}
		return err
	}
}

func TestOpenIDUserInfo(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		Answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"sub":"user"}`) },
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			return userInfo(t, p.Manager, connection, url)
		},
	})
}

// TestOpenIDTokenIsKept: the ID token of a login, and of each refresh, is stored beside the
// access token, and is good when it is read by another process.
func TestOpenIDTokenIsKept(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		o := newOpenID(t, w.Base)
		m := w.Here.Restart()
		m.Base = o
		verifier := oidc.NewVerifier(issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{o.key.Public()}}, &oidc.Config{
			ClientID: "app", SupportedSigningAlgs: []string{oidc.ES256},
		})
		login := w.Here.Connect(t, "user")
		require.NoError(t, m.Save(t.Context(), "user", login.WithExtra(map[string]any{"id_token": o.idToken(time.Now())})))
		subject := func(token *oauth2.Token, err error) string {
			require.NoError(t, err)
			raw, _ := token.Extra("id_token").(string)
			verified, err := verifier.Verify(t.Context(), raw)
			require.NoError(t, err)
			return verified.Subject
		}
		assert.Equal(t, "user-1", subject(m.Source("user").TokenContext(t.Context())))
		w.Expire()
		assert.Equal(t, "user-2", subject(m.Source("user").TokenContext(t.Context())), "that of the refresh")
		assert.Equal(t, "user-2", subject(w.Here.Restart().Source("user").Stored(t.Context())))

		o.silent = true
		w.Expire()
		token, err := m.Source("user").TokenContext(t.Context())
		require.NoError(t, err)
		_, err = verifier.Verify(t.Context(), token.Extra("id_token").(string))
		var expired *oidc.TokenExpiredError
		assert.ErrorAs(t, err, &expired, "a refresh that brings none leaves the last one")
	})
}
