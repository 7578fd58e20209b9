package endpoints

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/assertion"
)

// ClientAuth is how a client authenticates. The values are those of RFC 7591,
// section 2, and of OpenID Connect Core, section 9, as far as they have one.
type ClientAuth string

const (
	// ClientSecretPost sends client_id and client_secret as parameters.
	ClientSecretPost ClientAuth = "client_secret_post"

	// ClientSecretBasic sends them as HTTP Basic authentication, form-encoded
	// first (RFC 6749, section 2.3.1). ClientSecretBasicRaw doesn't encode them,
	// for providers that don't decode.
	ClientSecretBasic    ClientAuth = "client_secret_basic"
	ClientSecretBasicRaw ClientAuth = "client_secret_basic_raw"

	// PrivateKeyJWT sends an assertion that is signed with the key given to
	// [Config.WithKey] (RFC 7523, section 2.2), a new one with each request.
	// ClientSecretJWT signs it with the client's secret.
	PrivateKeyJWT   ClientAuth = "private_key_jwt"
	ClientSecretJWT ClientAuth = "client_secret_jwt"

	// PublicClient sends client_id alone.
	PublicClient ClientAuth = "none"

	// AccessTokenAuth is for Revoke and Introspect: the access token is sent as
	// the API takes it, and no parameters but those of Params.
	AccessTokenAuth ClientAuth = "access_token"
)

// authOf is what x/oauth2's way to authenticate is called here.
func authOf(s oauth2.AuthStyle) ClientAuth {
	if s == oauth2.AuthStyleInHeader {
		return ClientSecretBasic
	}
	return ClientSecretPost
}

// makesAssertion reports whether the client is authenticated by a JWT.
func (a ClientAuth) makesAssertion() bool { return a == PrivateKeyJWT || a == ClientSecretJWT }

// authenticate puts what the client authenticates with into r or into the RFC's
// parameters.
func (c *conversation) authenticate(r *http.Request, in *input) error {
	set := func(name, v string) {
		if v != "" {
			in.rfc.Set(name, v)
		}
	}
	switch c.auth {
	case ClientSecretPost:
		set("client_id", in.clientID)
		set("client_secret", in.secret)
	case ClientSecretBasic:
		r.SetBasicAuth(url.QueryEscape(in.clientID), url.QueryEscape(in.secret))
	case ClientSecretBasicRaw:
		r.SetBasicAuth(in.clientID, in.secret)
	case PublicClient:
		set("client_id", in.clientID)
	case PrivateKeyJWT, ClientSecretJWT:
		jwt, err := c.assertion(in, r.URL.String())
		if err != nil {
			return err
		}
		set("client_id", in.clientID)
		set("client_assertion_type", assertion.Type)
		set("client_assertion", jwt)
	}
	return nil
}

// assertion makes a JWT that is good for one request to target.
func (c *conversation) assertion(in *input, target string) (string, error) {
	claims := assertion.Claims{ClientID: in.clientID, Audience: cmp.Or(c.style.Audience, in.provider.Issuer, target)}
	if c.auth == ClientSecretJWT {
		return assertion.SignSecret(in.secret, claims)
	}
	if in.key == nil {
		return "", errors.New("the client has no key to authenticate with: see Config.WithKey")
	}
	return in.key.Sign(claims)
}
