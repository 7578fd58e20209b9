package endpoints

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

// serverMetadata is what is taken over of an authorization server's metadata: RFC 8414,
// section 2; RFC 8628, section 4, for the device endpoint; RFC 9207, section 3, for iss.
type serverMetadata struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	DeviceEndpoint        string   `json:"device_authorization_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	AuthMethods           []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	IssParameter          bool     `json:"authorization_response_iss_parameter_supported"`
}

// readMetadata reads metadata. They aren't checked yet.
func readMetadata(data []byte) (serverMetadata, error) {
	var m serverMetadata
	if err := readJSON(data, &m, foreignJSON); err != nil {
		return serverMetadata{}, err
	}
	if m.Issuer == "" {
		return serverMetadata{}, errors.New("the metadata have no issuer")
	}
	return m, nil
}

// provider returns the Provider of metadata whose issuer is the one that was asked for.
func (m *serverMetadata) provider(issuer *url.URL) (Provider, error) {
	if err := m.checkURLs(issuer); err != nil {
		return Provider{}, err
	}
	method := authMethodOf(m.AuthMethods)
	switch {
	case len(m.AuthMethods) == 0:
		method = ClientSecretBasic // RFC 8414, section 2
	case method == "":
		return Provider{}, fmt.Errorf("the server authenticates clients by %s only, which this package doesn't: "+
			"write the Provider by hand if it has another way", quoted(strings.Join(m.AuthMethods, ", ")))
	}
	_, name, _ := strings.Cut(m.Issuer, "://")
	p := Provider{
		Name:   strings.TrimSuffix(name, "/"),
		Issuer: m.Issuer,
		Endpoint: oauth2.Endpoint{
			AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, DeviceAuthURL: m.DeviceEndpoint,
		},
		RevokeURL:     m.RevocationEndpoint,
		IntrospectURL: m.IntrospectionEndpoint,
		Callback:      Callback{Iss: m.IssParameter},
	}
	p.authenticateBy(method)
	if m.AuthorizationEndpoint != "" {
		p.Consent.PKCE = m.challengeMethod()
	}
	if p.RevokeURL != "" {
		p.Revoke.Auth = authMethodBeside(method, m.RevocationAuthMethods)
	}
	if p.IntrospectURL != "" {
		p.Introspect.Auth = authMethodBeside(method, m.IntrospectionMethods)
	}
	return p, p.Validate()
}

// checkURLs checks where secrets will be sent. Errors don't quote the URLs, in which
// there may be a password.
func (m *serverMetadata) checkURLs(issuer *url.URL) error {
	if m.TokenEndpoint == "" {
		return errors.New("the metadata have no token_endpoint: the server issues no tokens for codes")
	}
	for _, e := range []struct{ member, url string }{
		{"authorization_endpoint", m.AuthorizationEndpoint}, {"token_endpoint", m.TokenEndpoint},
		{"device_authorization_endpoint", m.DeviceEndpoint}, {"revocation_endpoint", m.RevocationEndpoint},
		{"introspection_endpoint", m.IntrospectionEndpoint},
	} {
		if e.url == "" {
			continue
		}
		u, err := url.Parse(e.url)
		if err == nil {
			_, err = httpclient.OriginOf(u)
		}
		switch {
		case err != nil || strings.ContainsAny(e.url, "{}"):
			return fmt.Errorf("%s is not an absolute https URL", e.member)
		case u.Scheme != "https" && (issuer.Scheme == "https" || !httpclient.SecureURL(u)):
			return fmt.Errorf("%s is not an https URL", e.member)
		case u.User != nil || strings.Contains(e.url, "#"):
			return fmt.Errorf("%s has a user or a fragment in it (RFC 6749, section 3)", e.member)
		}
	}
	return nil
}

// authMethodOf returns the first method of ours that is among those of a server, or "".
func authMethodOf(supported []string) ClientAuth {
	for _, method := range []ClientAuth{ClientSecretBasic, ClientSecretPost, PrivateKeyJWT, ClientSecretJWT, PublicClient} {
		if slices.Contains(supported, string(method)) {
			return method
		}
	}
	if slices.Contains(supported, "tls_client_auth") || slices.Contains(supported, "self_signed_tls_client_auth") {
		return PublicClient // client_id alone (RFC 8705, section 2)
	}
	return ""
}

// authMethodBeside returns what an endpoint has to be told beside the method of the
// token endpoint: nothing if it has the same one, or doesn't say.
func authMethodBeside(method ClientAuth, supported []string) ClientAuth {
	if slices.Contains(supported, string(method)) {
		return ""
	}
	return authMethodOf(supported)
}

// challengeMethod returns the PKCE method, which is empty for S256.
func (m *serverMetadata) challengeMethod() string {
	switch {
	case len(m.ChallengeMethods) == 0 || slices.Contains(m.ChallengeMethods, S256):
		return ""
	case slices.Contains(m.ChallengeMethods, PlainPKCE):
		return PlainPKCE
	}
	return NoPKCE
}
