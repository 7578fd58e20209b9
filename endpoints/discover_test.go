package endpoints

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/pipenet"
)

// site is a web server that answers for every host.
type site struct {
	mu      sync.Mutex
	answers map[string]http.HandlerFunc // by URL
	asked   []string                    // the URLs, in order
}

// newSite returns a site and a context whose client reaches it under every name with https,
// though without TLS, which would take most of the time.
func newSite(t *testing.T, answers map[string]http.HandlerFunc) (*site, context.Context) {
	s := &site{answers: answers}
	return s, context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: pipenet.Serve(t, s)})
}

// become has the site answer otherwise, as one that nobody has asked yet.
func (s *site) become(answers map[string]http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers, s.asked = answers, nil
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u := "https://" + r.Host + r.RequestURI
	s.mu.Lock()
	s.asked = append(s.asked, u)
	answer := s.answers[u]
	s.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	http.NotFound(w, r)
}

// says answers with a JSON document.
func says(document string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write([]byte(document))
	}
}

func endpoint(auth, token, device string, style oauth2.AuthStyle) oauth2.Endpoint {
	return oauth2.Endpoint{AuthURL: auth, TokenURL: token, DeviceAuthURL: device, AuthStyle: style}
}

// realMetadata are documents as the providers publish them: those of Google, GitLab,
// Slack and Microsoft's "common" as https://github.com/panva/wellknown has them, the
// tenant's as the tests of https://github.com/redpanda-data/redpanda do, the others as they
// stand in public repositories. They were read at the URLs of at.
var realMetadata = []struct {
	file, issuer, at string
	want             Provider
}{
	{
		"google", "https://accounts.google.com", "https://accounts.google.com/.well-known/openid-configuration",
		Provider{
			Name: "accounts.google.com",
			Endpoint: endpoint("https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token",
				"https://oauth2.googleapis.com/device/code", oauth2.AuthStyleInHeader),
			RevokeURL: "https://oauth2.googleapis.com/revoke",
		},
	},
	{
		"gitlab", "https://gitlab.com", "https://gitlab.com/.well-known/openid-configuration",
		Provider{
			Name:      "gitlab.com",
			Endpoint:  endpoint("https://gitlab.com/oauth/authorize", "https://gitlab.com/oauth/token", "", oauth2.AuthStyleInHeader),
			RevokeURL: "https://gitlab.com/oauth/revoke", IntrospectURL: "https://gitlab.com/oauth/introspect",
		},
	},
	{ // no code_challenge_methods_supported
		"slack", "https://slack.com", "https://slack.com/.well-known/openid-configuration",
		Provider{
			Name: "slack.com",
			Endpoint: endpoint("https://slack.com/openid/connect/authorize", "https://slack.com/api/openid.connect.token", "",
				oauth2.AuthStyleInHeader),
		},
	},
	{ // no code_challenge_methods_supported either
		"microsoft-tenant", "https://login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/v2.0",
		"https://login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/v2.0/.well-known/openid-configuration",
		Provider{
			Name: "login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/v2.0",
			Endpoint: endpoint("https://login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/oauth2/v2.0/authorize",
				"https://login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/oauth2/v2.0/token",
				"https://login.microsoftonline.com/9a95fd9e-005d-487a-9a01-d08c1eab2757/oauth2/v2.0/devicecode", oauth2.AuthStyleInHeader),
		},
	},
	{ // the issuer ends in a slash
		"auth0", "https://accordproject.us.auth0.com/", "https://accordproject.us.auth0.com/.well-known/oauth-authorization-server",
		Provider{
			Name: "accordproject.us.auth0.com",
			Endpoint: endpoint("https://accordproject.us.auth0.com/authorize", "https://accordproject.us.auth0.com/oauth/token",
				"https://accordproject.us.auth0.com/oauth/device/code", oauth2.AuthStyleInHeader),
			RevokeURL: "https://accordproject.us.auth0.com/oauth/revoke",
		},
	},
	{
		"okta", "https://integrator-7886904.okta.com/oauth2/default",
		"https://integrator-7886904.okta.com/oauth2/default/.well-known/openid-configuration",
		Provider{
			Name: "integrator-7886904.okta.com/oauth2/default",
			Endpoint: endpoint("https://integrator-7886904.okta.com/oauth2/default/v1/authorize",
				"https://integrator-7886904.okta.com/oauth2/default/v1/token",
				"https://integrator-7886904.okta.com/oauth2/default/v1/device/authorize", oauth2.AuthStyleInHeader),
			RevokeURL:     "https://integrator-7886904.okta.com/oauth2/default/v1/revoke",
			IntrospectURL: "https://integrator-7886904.okta.com/oauth2/default/v1/introspect",
		},
	},
	{ // every callback has an iss
		"keycloak", "https://keycloak.cfappsecurity.com/realms/master",
		"https://keycloak.cfappsecurity.com/realms/master/.well-known/openid-configuration",
		Provider{
			Name: "keycloak.cfappsecurity.com/realms/master",
			Endpoint: endpoint("https://keycloak.cfappsecurity.com/realms/master/protocol/openid-connect/auth",
				"https://keycloak.cfappsecurity.com/realms/master/protocol/openid-connect/token",
				"https://keycloak.cfappsecurity.com/realms/master/protocol/openid-connect/auth/device", oauth2.AuthStyleInHeader),
			RevokeURL:     "https://keycloak.cfappsecurity.com/realms/master/protocol/openid-connect/revoke",
			IntrospectURL: "https://keycloak.cfappsecurity.com/realms/master/protocol/openid-connect/token/introspect",
			Callback:      Callback{Iss: true},
		},
	},
}

func readFile(t testing.TB, path string) string {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func TestDiscoverReadsRealMetadata(t *testing.T) {
	s, ctx := newSite(t, nil)
	for _, c := range realMetadata {
		t.Run(c.file, func(t *testing.T) {
			s.become(map[string]http.HandlerFunc{c.at: says(readFile(t, "testdata/metadata/"+c.file+".json"))})
			got, err := Discover(ctx, c.issuer)
			require.NoError(t, err)
			c.want.Issuer = c.issuer
			assert.Equal(t, c.want, got)
			requireRoundTrip(t, got)
		})
	}
}

// The issuer of Microsoft's metadata for all tenants is a pattern, which no token has:
// https://github.com/MicrosoftDocs/azure-docs/issues/38427
func TestDiscoverRefusesMicrosoftCommon(t *testing.T) {
	const issuer = "https://login.microsoftonline.com/common/v2.0"
	_, ctx := newSite(t, map[string]http.HandlerFunc{
		issuer + "/.well-known/openid-configuration": says(readFile(t, "testdata/metadata/microsoft-common.json")),
	})
	p, err := Discover(ctx, issuer)
	assert.Zero(t, p)
	assert.EqualError(t, err, `endpoints: discover https://login.microsoftonline.com/common/v2.0: `+
		`there is no metadata of this issuer: check how it is written, or write the Provider by hand:
https://login.microsoftonline.com/.well-known/oauth-authorization-server/common/v2.0: status 404
https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration: `+
		`it is of the issuer "https://login.microsoftonline.com/{tenantid}/v2.0", `+
		`which stands for many: pass one of them, such as a tenant's, or write a Provider with Vars
https://login.microsoftonline.com/.well-known/openid-configuration/common/v2.0: status 404`)

	_, err = Discover(ctx, "https://login.microsoftonline.com/{tenantid}/v2.0")
	assert.EqualError(t, err, "endpoints: discover: an issuer is an https URL such as https://accounts.google.com")
}

func TestDiscoverAsksInTheOrderOfTheRFC(t *testing.T) {
	s, ctx := newSite(t, nil)
	for issuer, want := range map[string][]string{
		"https://a.example": {
			"https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration",
		},
		"https://a.example/": {
			"https://a.example/.well-known/oauth-authorization-server", "https://a.example/.well-known/openid-configuration",
		},
		"https://a.example:8443/one%2Ftwo/": {
			"https://a.example:8443/.well-known/oauth-authorization-server/one%2Ftwo",
			"https://a.example:8443/one%2Ftwo/.well-known/openid-configuration",
			"https://a.example:8443/.well-known/openid-configuration/one%2Ftwo",
		},
	} {
		s.become(nil)
		_, err := Discover(ctx, issuer)
		assert.ErrorContains(t, err, "there is no metadata of this issuer")
		assert.Equal(t, want, s.asked)

		for i, last := range want {
			s.become(map[string]http.HandlerFunc{last: says(`{"issuer":"` + issuer + `","token_endpoint":"https://a.example/token"}`)})
			p, err := Discover(ctx, issuer)
			require.NoError(t, err)
			assert.Equal(t, issuer, p.Issuer)
			assert.Equal(t, want[:i+1], s.asked)
		}
	}
}

func TestDiscoverChoosesAuthenticationAndPKCE(t *testing.T) {
	const head = `{"issuer":"https://a.example","authorization_endpoint":"https://a.example/authorize","token_endpoint":"https://a.example/token"`
	s, ctx := newSite(t, nil)
	for _, c := range []struct {
		members string
		want    func(p *Provider)
	}{
		{``, func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"revocation_endpoint":"","introspection_endpoint":null`, func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"token_endpoint_auth_methods_supported":null`, func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"token_endpoint_auth_methods_supported":["none","private_key_jwt","client_secret_post","client_secret_basic"]`,
			func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"token_endpoint_auth_methods_supported":["none","private_key_jwt","client_secret_post"]`,
			func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInParams }},
		{`,"token_endpoint_auth_methods_supported":["none","client_secret_jwt","private_key_jwt"]`,
			func(p *Provider) { p.Style.Auth = PrivateKeyJWT }},
		{`,"token_endpoint_auth_methods_supported":["none","client_secret_jwt"]`, func(p *Provider) { p.Style.Auth = ClientSecretJWT }},
		{`,"token_endpoint_auth_methods_supported":["none"]`, func(p *Provider) { p.Style.Auth = PublicClient }},
		{`,"token_endpoint_auth_methods_supported":["tls_client_auth"]`, func(p *Provider) { p.Style.Auth = PublicClient }},
		{`,"token_endpoint_auth_methods_supported":["access_token","self_signed_tls_client_auth"]`,
			func(p *Provider) { p.Style.Auth = PublicClient }},
		{`,"token_endpoint_auth_methods_supported":["client_secret_post"],
		   "revocation_endpoint":"https://a.example/revoke","revocation_endpoint_auth_methods_supported":["client_secret_basic"],
		   "introspection_endpoint":"https://a.example/introspect",
		   "introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"]`,
			func(p *Provider) {
				p.Endpoint.AuthStyle = oauth2.AuthStyleInParams
				p.RevokeURL, p.IntrospectURL = "https://a.example/revoke", "https://a.example/introspect"
				p.Revoke.Auth = ClientSecretBasic
			}},
		{`,"introspection_endpoint":"https://a.example/introspect","introspection_endpoint_auth_methods_supported":["private_key_jwt"]`,
			func(p *Provider) {
				p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
				p.IntrospectURL, p.Introspect.Auth = "https://a.example/introspect", PrivateKeyJWT
			}},
		{`,"revocation_endpoint_auth_methods_supported":["client_secret_post"],
		   "introspection_endpoint_auth_methods_supported":["client_secret_post"]`, // but no endpoint
			func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"code_challenge_methods_supported":["plain","S256"]`, func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"code_challenge_methods_supported":[]`, func(p *Provider) { p.Endpoint.AuthStyle = oauth2.AuthStyleInHeader }},
		{`,"code_challenge_methods_supported":["s256","plain"]`,
			func(p *Provider) { p.Endpoint.AuthStyle, p.Consent.PKCE = oauth2.AuthStyleInHeader, PlainPKCE }},
		{`,"code_challenge_methods_supported":["S512"]`,
			func(p *Provider) { p.Endpoint.AuthStyle, p.Consent.PKCE = oauth2.AuthStyleInHeader, NoPKCE }},
	} {
		s.become(map[string]http.HandlerFunc{"https://a.example/.well-known/oauth-authorization-server": says(head + c.members + `}`)})
		want := Provider{
			Name: "a.example", Issuer: "https://a.example",
			Endpoint: oauth2.Endpoint{AuthURL: "https://a.example/authorize", TokenURL: "https://a.example/token"},
		}
		c.want(&want)
		got, err := Discover(ctx, "https://a.example")
		require.NoError(t, err, c.members)
		assert.Equal(t, want, got, c.members)
	}
}

// A server without a consent page, for devices, has no PKCE method.
func TestDiscoverWithoutAConsentPage(t *testing.T) {
	_, ctx := newSite(t, map[string]http.HandlerFunc{"https://a.example/.well-known/oauth-authorization-server": says(
		`{"issuer":"https://a.example","token_endpoint":"https://a.example/token","code_challenge_methods_supported":["plain"]}`)})
	p, err := Discover(ctx, "https://a.example")
	require.NoError(t, err)
	assert.Empty(t, p.Consent)
}

// A server at this machine may have http, with all of its endpoints there.
func TestDiscoverAtLoopback(t *testing.T) {
	token := ""
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		says(`{"issuer":"`+server.URL+`","token_endpoint":"`+token+`"}`)(w, r)
	}))
	defer server.Close()
	for _, token = range []string{server.URL + "/token", "https://a.example/token", "http://localhost/token"} {
		p, err := Discover(t.Context(), server.URL)
		require.NoError(t, err)
		assert.Equal(t, token, p.Endpoint.TokenURL)
	}
	token = "http://a.example/token"
	_, err := Discover(t.Context(), server.URL)
	assert.EqualError(t, err, "endpoints: discover "+server.URL+": token_endpoint is not an https URL")
}

func FuzzServerMetadata(f *testing.F) {
	for _, c := range realMetadata {
		f.Add([]byte(readFile(f, "testdata/metadata/"+c.file+".json")))
	}
	require.GreaterOrEqual(f, len(realMetadata), 7)
	f.Add([]byte(`{"issuer":"https://a.example:8443/%ff/ä//","token_endpoint":"https://a.example/token"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMetadata(data)
		if err != nil {
			return
		}
		issuer, err := parseIssuer(m.Issuer)
		if err != nil {
			return
		}
		for _, u := range metadataURLs(issuer) {
			r, err := http.NewRequest(http.MethodGet, u, nil)
			require.NoError(t, err)
			require.True(t, httpclient.SameOrigin(issuer, r.URL), u)
		}
		if p, err := m.provider(issuer); err == nil {
			requireRoundTrip(t, p)
			require.Empty(t, p.Vars)
		}
	})
}
