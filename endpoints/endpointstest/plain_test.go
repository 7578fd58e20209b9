package endpointstest_test

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// acme is a provider of which nothing departs from the RFCs, but for what change does.
func acme(change func(p *endpoints.Provider)) endpoints.Provider {
	p := endpoints.Provider{
		Name: "Acme",
		Endpoint: oauth2.Endpoint{
			AuthURL: "https://www.acme.example/authorize", TokenURL: "https://api.acme.example/token",
		},
		RevokeURL:     "https://api.acme.example/revoke",
		IntrospectURL: "https://api.acme.example/introspect",
		APIURLs:       []string{"https://api.acme.example/v1"},
	}
	if change != nil {
		change(&p)
	}
	return p
}

const rfcQuery = "response_type=code&client_id=$ID&redirect_uri=$CB&scope=a+b&state=st&code_challenge=$HASH&code_challenge_method=S256"

// raw sends requests that are written out, by which no adapter is needed.
type raw struct {
	t      *testing.T
	s      *endpointstest.Server
	p      endpoints.Provider
	client *http.Client
	values []string // of $NAMES
}

func newRaw(t *testing.T, p endpoints.Provider) *raw {
	s := endpointstest.New(t, p)
	c := s.Config(p, callback)
	client := s.Client()
	t.Cleanup(client.CloseIdleConnections)
	return &raw{t, s, p, client, []string{
		"$ID", c.ClientID, "$SECRET", url.QueryEscape(c.ClientSecret), "$RAWSECRET", c.ClientSecret,
		"$CB", url.QueryEscape(callback), "$HASH", hashed, "$VERIFIER", verifier,
	}}
}

func (r *raw) fill(text string) string { return strings.NewReplacer(r.values...).Replace(text) }

func (r *raw) set(name, v string) { r.values = append([]string{name, v}, r.values...) }

// code has the user approve, and returns the callback.
func (r *raw) code(query string) url.Values {
	u, err := endpointstest.Approve(r.t.Context(), r.client, r.fill("https://www.acme.example/authorize?"+query))
	require.NoError(r.t, err)
	return u.Query()
}

// connect makes $CODE, $ACCESS and $REFRESH known.
func (r *raw) connect() {
	t := r.s.Connect(r.p, "a", "b")
	r.set("$ACCESS", t.AccessToken)
	r.set("$REFRESH", t.RefreshToken)
}

// send sends a request that is written as HTTP is, with a URL for the path.
func (r *raw) send(text string) answer {
	text = r.fill(text)
	head, body, _ := strings.Cut(text, "\n\n")
	first, header, _ := strings.Cut(head, "\n")
	method, rawURL, _ := strings.Cut(first, " ")
	req, err := http.NewRequest(method, rawURL, strings.NewReader(body))
	require.NoError(r.t, err)
	for line := range strings.SplitSeq(header, "\n") {
		name, v, found := strings.Cut(line, ": ")
		if found {
			req.Header.Add(name, v)
		}
	}
	if req.Header.Get("Content-Type") == "" && body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := r.client.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(bufio.NewReader(resp.Body))
	require.NoError(r.t, err)
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// refused returns why the server has refused requests.
func (r *raw) refused() string {
	return strings.Join(slices.Sorted(maps.Keys(r.s.Stats(r.p).Rejected)), "; ")
}

// TestConsentByDefinition: what the consent page takes is what the definition says.
func TestConsentByDefinition(t *testing.T) {
	drop := func(query, params string) string {
		kept := slices.DeleteFunc(strings.Split(query, "&"), func(pair string) bool {
			name, _, _ := strings.Cut(pair, "=")
			return slices.Contains(strings.Split(params, " "), name)
		})
		return strings.Join(kept, "&")
	}
	hexHash := "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3" // of the verifier
	for _, tt := range []struct {
		name   string
		change func(p *endpoints.Provider)
		query  string
		want   string // what is wrong with it
	}{
		{"the RFC's", nil, rfcQuery, ""},
		{"no state", nil, drop(rfcQuery, "state"), ""},
		{"no scope", nil, drop(rfcQuery, "scope"), ""},
		{"no PKCE", nil, drop(rfcQuery, "code_challenge code_challenge_method"), "missing parameter code_challenge"},
		{"unknown", nil, rfcQuery + "&prompt=none", `unexpected parameter "prompt"`},
		{"twice", nil, rfcQuery + "&state=st", `repeated parameter "state"`},
		{"other client", nil, drop(rfcQuery, "client_id") + "&client_id=x", "client_id is unknown"},
		{"other redirect", nil, drop(rfcQuery, "redirect_uri") + "&redirect_uri=http://x/", "redirect_uri is not registered: Server.Config does that"},
		{"scopes with commas", nil, drop(rfcQuery, "scope") + "&scope=a,b", "scope has , where only + may be between two scopes"},
		{"scopes with spaces", nil, drop(rfcQuery, "scope") + "&scope=a%20b", "scope has %20 where only + may be between two scopes"},

		{"renamed", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"client_key": {"{client_id}"}} },
			drop(rfcQuery, "client_id") + "&client_key=$ID", ""},
		{"its own name", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"client_key": {"{client_id}"}} },
			rfcQuery + "&client_key=$ID", `unexpected parameter "client_id"`},
		{"both names", func(p *endpoints.Provider) {
			p.Consent.Params = endpoints.Params{"client_key": {"{client_id}"}, "client_id": {"{client_id}"}}
		}, rfcQuery + "&client_key=$ID", ""},
		{"both names, two values", func(p *endpoints.Provider) {
			p.Consent.Params = endpoints.Params{"client_key": {"{client_id}"}, "client_id": {"{client_id}"}}
		}, rfcQuery + "&client_key=x", "client_key has two values of client_id"},
		{"fixed", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"access_type": {"offline"}} },
			rfcQuery + "&access_type=offline", ""},
		{"fixed, missing", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"access_type": {"offline"}} },
			rfcQuery, "missing parameter access_type"},
		{"fixed, another", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"access_type": {"offline"}} },
			rfcQuery + "&access_type=online", "access_type must be offline"},
		{"twice as it should be", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"resource": {"urn:a", "urn:b"}} },
			rfcQuery + "&resource=urn:a&resource=urn:b", ""},
		{"once", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"resource": {"urn:a", "urn:b"}} },
			rfcQuery + "&resource=urn:a", "missing parameter resource"},
		{"removed", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"response_type": nil} }, rfcQuery, `unexpected parameter "response_type"`},
		{"without redirect", func(p *endpoints.Provider) { p.Consent.Params = endpoints.Params{"redirect_uri": nil} }, drop(rfcQuery, "redirect_uri"), ""},

		{"commas", func(p *endpoints.Provider) { p.Consent.ScopeSeparator = "," }, drop(rfcQuery, "scope") + "&scope=a,b", ""},
		{"spaces for commas", func(p *endpoints.Provider) { p.Consent.ScopeSeparator = "," }, rfcQuery, "scope has + where only , may be between two scopes"},
		{"escaped commas", func(p *endpoints.Provider) { p.Consent.ScopeSeparator = "," }, drop(rfcQuery, "scope") + "&scope=a%2Cb", "scope has a comma in a scope"},
		{"%20", func(p *endpoints.Provider) { p.Consent.ScopeSeparator = "%20" }, drop(rfcQuery, "scope") + "&scope=a%20b", ""},
		{"%20 as +", func(p *endpoints.Provider) { p.Consent.ScopeSeparator = "%20" }, rfcQuery, "scope has + where only %20 may be between two scopes"},

		{"hex", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.S256Hex }, strings.Replace(rfcQuery, "$HASH", hexHash, 1), ""},
		{"base64 for hex", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.S256Hex }, rfcQuery, "code_challenge must be a SHA-256 hash in hexadecimal"},
		{"plain", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.PlainPKCE },
			strings.NewReplacer("$HASH", verifier, "S256", "plain").Replace(rfcQuery), ""},
		{"S256 for plain", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.PlainPKCE }, rfcQuery, "code_challenge_method must be plain"},
		{"none", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.NoPKCE }, drop(rfcQuery, "code_challenge code_challenge_method"), ""},
		{"PKCE for none", func(p *endpoints.Provider) { p.Consent.PKCE = endpoints.NoPKCE }, rfcQuery, `unexpected parameter "code_challenge"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRaw(t, acme(tt.change))
			u, err := endpointstest.Approve(t.Context(), r.client, r.fill("https://www.acme.example/authorize?"+tt.query))
			if tt.want != "" {
				require.Error(t, err)
				assert.Equal(t, "malformed: "+tt.want, r.refused())
				return
			}
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(u.String(), callback+"?"), u.Redacted())
			assert.NotEmpty(t, u.Query().Get("code"))
			assert.Equal(t, strings.Contains(tt.query, "state="), u.Query().Get("state") == "st")
		})
	}
}

// TestCallbackByDefinition: the callback has the definition's names and members.
func TestCallbackByDefinition(t *testing.T) {
	callbackOf := func(decide string, change func(p *endpoints.Provider)) map[string]string {
		r := newRaw(t, acme(change))
		visit := endpointstest.Approve
		if decide == "deny" {
			visit = endpointstest.Deny
		}
		u, err := visit(t.Context(), r.client, r.fill("https://www.acme.example/authorize?"+rfcQuery))
		require.NoError(t, err)
		got, _ := singleOf(u.Query())
		return got
	}
	got := callbackOf("approve", func(p *endpoints.Provider) {
		p.Callback.Names = map[string]string{"code": "auth_code", "state": "st8", "iss": "issuer"}
		p.Callback.Keep, p.Callback.Iss, p.Issuer = []string{"realm"}, true, "https://www.acme.example"
	})
	assert.NotEmpty(t, got["auth_code"])
	assert.Contains(t, got["realm"], "its-realm-")
	delete(got, "auth_code")
	delete(got, "realm")
	assert.Equal(t, map[string]string{"st8": "st", "issuer": "https://www.acme.example"}, got)

	assert.Equal(t, map[string]string{"error": "access_denied", "error_description": "The user said no", "state": "st"}, callbackOf("deny", nil))
	denied := func(rules ...endpoints.ErrorRule) func(p *endpoints.Provider) {
		return func(p *endpoints.Provider) { p.Callback.Errors = rules }
	}
	assert.Equal(t, map[string]string{"state": "st"}, callbackOf("deny", denied(endpoints.ErrorRule{Kind: endpoints.KindDenied})))
	assert.Equal(t, map[string]string{"state": "st", "reason": "user_it"}, callbackOf("deny", denied(
		endpoints.ErrorRule{Code: "x", Kind: endpoints.KindProviderTrouble},
		endpoints.ErrorRule{In: "reason", Code: "user_*", Kind: endpoints.KindDenied})))
}

func singleOf(v url.Values) (map[string]string, bool) {
	m := make(map[string]string)
	for name := range v {
		m[name] = v.Get(name)
	}
	return m, true
}
