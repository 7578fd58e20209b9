package endpoints_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// jwt is an assertion in a request, read.
type jwt struct {
	header, claims map[string]any
	signed         string
	signature      []byte
}

func readJWT(t *testing.T, s string) jwt {
	t.Helper()
	parts := strings.Split(s, ".")
	require.Len(t, parts, 3)
	j := jwt{signed: parts[0] + "." + parts[1]}
	for i, into := range []any{&j.header, &j.claims} {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, into))
	}
	var err error
	j.signature, err = base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	return j
}

// assertions makes all four requests and returns the form of each.
func assertions(t *testing.T, conf *endpoints.Config) map[string]url.Values {
	t.Helper()
	forms := make(map[string]url.Values)
	base := answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NoError(t, r.ParseForm())
		forms[r.URL.Path+" "+r.PostForm.Get("grant_type")] = r.PostForm
		assert.Empty(t, r.Header.Get("Authorization"))
		answerJSON(200, `{"access_token":"a1","active":true}`)(w, r)
	}))
	ctx, token := base.context(), &oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Unix(1, 0)}
	_, err := conf.Exchange(ctx, "c0de")
	require.NoError(t, err)
	_, err = conf.TokenSource(ctx, token).Token()
	require.NoError(t, err)
	require.NoError(t, conf.Revoke(ctx, token))
	_, err = conf.Introspect(ctx, token)
	require.NoError(t, err)
	require.Len(t, forms, 4)
	return forms
}

// signing is a provider whose clients have a key, or a secret to sign with.
func signing(auth endpoints.ClientAuth) endpoints.Provider {
	p := waysBase()
	p.Style.Auth, p.IntrospectURL, p.RefreshURL = auth, "https://a.example/introspect", "https://a.example/refresh"
	return p
}

func TestEachRequestHasAnAssertionOfItsOwn(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	header := map[string]string{"kid": "k1"}
	conf := signing(endpoints.PrivateKeyJWT).Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}).
		WithKey(key, header)
	header["kid"] = "changed"
	ids := make(map[any]bool)
	for what, form := range assertions(t, conf) {
		path, _, _ := strings.Cut(what, " ")
		assert.Equal(t, "id", form.Get("client_id"))
		assert.Empty(t, form.Get("client_secret"))
		assert.Equal(t, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", form.Get("client_assertion_type"))
		j := readJWT(t, form.Get("client_assertion"))
		assert.Equal(t, map[string]any{"alg": "ES256", "typ": "JWT", "kid": "k1"}, j.header)
		assert.Equal(t, "id", j.claims["iss"])
		assert.Equal(t, "id", j.claims["sub"])
		assert.Equal(t, "https://a.example"+path, j.claims["aud"], "without an issuer, the URL")
		assert.False(t, ids[j.claims["jti"]], "used before")
		ids[j.claims["jti"]] = true
		assert.WithinDuration(t, time.Now(), time.Unix(int64(j.claims["iat"].(float64)), 0), time.Minute)
		assert.LessOrEqual(t, j.claims["exp"].(float64)-j.claims["iat"].(float64), 300.0)
		sum := sha256.Sum256([]byte(j.signed))
		r, s := new(big.Int).SetBytes(j.signature[:32]), new(big.Int).SetBytes(j.signature[32:])
		assert.True(t, ecdsa.Verify(&key.PublicKey, sum[:], r, s))
	}
}

func TestAudienceIsTheStylesOrTheIssuers(t *testing.T) {
	p := signing(endpoints.ClientSecretJWT)
	p.Issuer = "https://a.example/tenant"
	p.Revoke.Audience = "https://a.example/other"
	secret := strings.Repeat("s3cret", 6)
	for what, form := range assertions(t, p.Config(oauth2.Config{ClientID: "id", ClientSecret: secret})) {
		j := readJWT(t, form.Get("client_assertion"))
		want := "https://a.example/tenant"
		if strings.HasPrefix(what, "/revoke") {
			want = "https://a.example/other"
		}
		assert.Equal(t, want, j.claims["aud"], what)
		assert.Equal(t, "HS256", j.header["alg"])
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(j.signed))
		assert.Equal(t, mac.Sum(nil), j.signature)
	}
}

func TestAssertionThatCantBeMadeIsAMistake(t *testing.T) {
	ctx := roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") }).context()
	for want, conf := range map[string]*endpoints.Config{
		"endpoints: x: the client has no key to authenticate with: see Config.WithKey": signing(endpoints.PrivateKeyJWT).Config(oauth2.Config{ClientID: "id"}),
		"endpoints: x: WithKey: there is no key to sign an assertion with":             signing(endpoints.PrivateKeyJWT).Config(oauth2.Config{ClientID: "id"}).WithKey(nil, nil),
		"endpoints: x: the client's secret, which signs its assertions, is empty":      signing(endpoints.ClientSecretJWT).Config(oauth2.Config{ClientID: "id"}),
		"endpoints: x: WithKey has no effect: the client makes no assertion with a key": waysBase().Config(oauth2.Config{ClientID: "id"}).
			WithKey(nil, nil),
	} {
		_, err := conf.Exchange(ctx, "c0de")
		assert.ErrorContains(t, err, want)
		assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
		assert.ErrorContains(t, conf.Revoke(ctx, &oauth2.Token{AccessToken: "a0"}), want)
	}
	var zero endpoints.Config
	_, err := zero.WithKey(nil, nil).Exchange(ctx, "c0de")
	assert.EqualError(t, err, "endpoints: a Config is made by Provider.Config")
}

// The user isn't sent to consent to what can't be exchanged.
func TestKeyThatCannotSignIsAMistakeOfTheConfig(t *testing.T) {
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for _, c := range []struct {
		want   string
		signer crypto.Signer
		header map[string]string
	}{
		{"there is no key to sign an assertion with", nil, nil},
		{"an ECDSA key of the curve P-224 can't sign assertions: it needs P-256, P-384 or P-521", p224, nil},
		{`header of a key: alg "PS256" doesn't go with the key, but ES256 does`, p256, map[string]string{"alg": "PS256"}},
	} {
		conf := signing(endpoints.PrivateKeyJWT).Config(oauth2.Config{ClientID: "id"}).WithKey(c.signer, c.header)
		_, _, err := conf.Authorize(t.Context(), "state", "verifier")
		assert.EqualError(t, err, "endpoints: x: WithKey: "+c.want)
	}
}

func TestErrorOfASignerIsTheCalls(t *testing.T) {
	broken := errors.New("the KMS is down")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	conf := signing(endpoints.PrivateKeyJWT).Config(oauth2.Config{ClientID: "id"}).WithKey(failingSigner{key, broken}, nil)
	_, err = conf.Exchange(context.Background(), "c0de")
	assert.ErrorIs(t, err, broken)
}

type failingSigner struct {
	crypto.Signer
	err error
}

func (s failingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, s.err }

// A client that is registered for another way than the provider's usual one says so in one
// field, whatever Endpoint.AuthStyle is, as that of Discover's result or of a value of
// golang.org/x/oauth2/endpoints.
func TestStyleAuthComesBeforeEndpointAuthStyle(t *testing.T) {
	for _, usual := range []oauth2.AuthStyle{oauth2.AuthStyleAutoDetect, oauth2.AuthStyleInParams, oauth2.AuthStyleInHeader} {
		for auth, want := range map[endpoints.ClientAuth]string{
			endpoints.PublicClient:         " client_id",
			endpoints.ClientSecretPost:     " client_id client_secret",
			endpoints.ClientSecretBasic:    "Basic",
			endpoints.ClientSecretBasicRaw: "Basic",
			endpoints.ClientSecretJWT:      " client_assertion client_assertion_type client_id",
		} {
			p := waysBase()
			p.Endpoint.AuthStyle, p.Style.Auth = usual, auth
			require.NoError(t, p.Validate())
			text, err := p.MarshalJSON()
			require.NoError(t, err)
			var parsed endpoints.Provider
			require.NoError(t, parsed.UnmarshalJSON(text))
			for _, conf := range []*endpoints.Config{
				p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}),
				p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret", Endpoint: p.Endpoint}),
				parsed.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}),
			} {
				_, err := conf.Exchange(answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					require.NoError(t, r.ParseForm())
					got, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
					for _, name := range slices.Sorted(maps.Keys(r.PostForm)) {
						if strings.HasPrefix(name, "client_") {
							got += " " + name
						}
					}
					assert.Equal(t, want, got)
					answerText(good)(w, r)
				})).context(), "c0de")
				require.NoError(t, err)
			}
		}
	}
}
