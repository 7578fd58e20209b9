package endpoints

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

const (
	rfcURL  = "https://a.example/.well-known/oauth-authorization-server"
	oidcURL = "https://a.example/.well-known/openid-configuration"
	good    = `{"issuer":"https://a.example","authorization_endpoint":"https://a.example/authorize","token_endpoint":"https://a.example/token"}`
)

func TestDiscoverRefusesHostileMetadata(t *testing.T) {
	const head = `{"issuer":"https://a.example","token_endpoint":"https://a.example/token",`
	s, ctx := newSite(t, nil)
	for _, c := range []struct{ document, want string }{
		{head + `"authorization_endpoint":"http://a.example/authorize"}`, `authorization_endpoint is not an https URL`},
		{head + `"authorization_endpoint":"http://localhost/authorize"}`, `authorization_endpoint is not an https URL`},
		{head + `"authorization_endpoint":"javascript:alert(1)"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"/authorize"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"https:a.example"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"https://a.example/%zz"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"https://a.example/\u0000"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"https://a.example@evil.example/"}`,
			`authorization_endpoint has a user or a fragment in it (RFC 6749, section 3)`},
		{head + `"authorization_endpoint":"https://a.example/#/x"}`,
			`authorization_endpoint has a user or a fragment in it (RFC 6749, section 3)`},
		{head + `"authorization_endpoint":"https://a.example/#"}`,
			`authorization_endpoint has a user or a fragment in it (RFC 6749, section 3)`},
		{head + `"authorization_endpoint":"https://{shop}.example/"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"authorization_endpoint":"https://a.example/{client_id}"}`, `authorization_endpoint is not an absolute https URL`},
		{head + `"revocation_endpoint":"http://a.example/revoke"}`, `revocation_endpoint is not an https URL`},
		{head + `"introspection_endpoint":"ftp://a.example"}`, `introspection_endpoint is not an absolute https URL`},
		{head + `"device_authorization_endpoint":"//a.example"}`, `device_authorization_endpoint is not an absolute https URL`},
		{`{"issuer":"https://a.example"}`, `the metadata have no token_endpoint: the server issues no tokens for codes`},
		{head + `"token_endpoint_auth_methods_supported":["spnego","access_token"]}`,
			`the server authenticates clients by "spnego, access_token" only, which this package doesn't: ` +
				`write the Provider by hand if it has another way`},
	} {
		s.become(map[string]http.HandlerFunc{rfcURL: says(c.document), oidcURL: says(good)})
		p, err := Discover(ctx, "https://a.example")
		assert.EqualError(t, err, "endpoints: discover https://a.example: "+c.want, c.document)
		assert.Zero(t, p)
	}
}

// What isn't metadata of this issuer is never used, and passed over for what is.
func TestDiscoverPassesOverWhatIsNotMetadataOfTheIssuer(t *testing.T) {
	plain := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	s, ctx := newSite(t, nil)
	for _, c := range []struct {
		name, want string
		answer     http.HandlerFunc
	}{
		{"another issuer", `it is of the issuer "https://evil.example", pass that if it is the provider's`,
			says(strings.Replace(good, "https://a.example", "https://evil.example", 1))},
		{"a slash more", `it is of the issuer "https://a.example/", pass that if it is the provider's`,
			says(strings.Replace(good, "https://a.example", "https://a.example/", 1))},
		{"other case", `it is of the issuer "https://A.example", pass that if it is the provider's`,
			says(strings.Replace(good, "https://a.example", "https://A.example", 1))},
		{"a long issuer", `it is of the issuer "` + strings.Repeat("x", 200) + `…", pass that if it is the provider's`,
			says(strings.Replace(good, "https://a.example", strings.Repeat("x", 1000), 1))},
		{"two issuers", `issuer is there twice`, says(`{"issuer":"https://a.example",` + good[1:])},
		{"the issuer in other letters", `the metadata have no issuer`, says(strings.Replace(good, "issuer", "Issuer", 1))},
		{"an error in JSON", `the metadata have no issuer`, says(`{"error":"not_found"}`)},
		{"a list", `the JSON is a list, and must be an object`, says(`[` + good + `]`)},
		{"two documents", `not a JSON document, at byte 129: invalid character '{' after top-level value`, says(good + good)},
		{"a number for a URL", `token_endpoint is the number 1, and must be text`, says(`{"token_endpoint":1}`)},
		{"a text for a truth value", `authorization_response_iss_parameter_supported is text, and must be true or false`,
			says(`{"authorization_response_iss_parameter_supported":"true"}`)},
		{"not UTF-8", `the JSON isn't UTF-8`, says("{\"issuer\":\"\xff\"}")},
		{"a byte order mark", `the JSON begins with a byte order mark, which it must not (RFC 8259, section 8.1)`, says("\ufeff" + good)},
		{"2 MB", `the JSON is longer than 1048576 bytes`, says(`{"x":"` + strings.Repeat("x", 2<<20) + `"}`)},
		{"deep nesting", `not a JSON document, at byte 10005: invalid character '[' exceeded max depth`,
			says(`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`)},
		{"a page", `the content type isn't application/json`, plain("text/html", good)},
		{"no content type", `the content type isn't application/json`, plain("", good)},
		{"a script", `the content type isn't application/json`, plain("application/javascript", good)},
		{"status 204", `status 204`, status(http.StatusNoContent)},
		{"status 401", `status 401`, status(http.StatusUnauthorized)},
		{"a redirect", `status 302`, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
		{"a redirect to another site", `status 307`, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.become(map[string]http.HandlerFunc{
				rfcURL: c.answer, "https://a.example/elsewhere": says(good), "https://evil.example/": says(good),
			})
			p, err := Discover(ctx, "https://a.example")
			assert.EqualError(t, err, "endpoints: discover https://a.example: there is no metadata of this issuer: check how it is written, "+
				"or write the Provider by hand:\n"+rfcURL+": "+c.want+"\n"+oidcURL+": status 404")
			assert.Zero(t, p)
			assert.Equal(t, []string{rfcURL, oidcURL}, s.asked)

			s.become(map[string]http.HandlerFunc{rfcURL: c.answer, oidcURL: says(good)})
			p, err = Discover(ctx, "https://a.example")
			require.NoError(t, err)
			assert.Equal(t, "https://a.example/token", p.Endpoint.TokenURL)
		})
	}
}

// Another URL may know less, so that a server in trouble would change what the provider is.
func TestDiscoverStopsAtAServerInTrouble(t *testing.T) {
	s, ctx := newSite(t, nil)
	for _, status := range []int{429, 500, 503} {
		s.become(map[string]http.HandlerFunc{
			rfcURL: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, oidcURL: says(good),
		})
		_, err := Discover(ctx, "https://a.example")
		assert.ErrorContains(t, err, "endpoints: discover https://a.example: "+rfcURL+": the server answers with status ")
		assert.Equal(t, []string{rfcURL}, s.asked)
	}
	s.become(map[string]http.HandlerFunc{
		rfcURL: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, good)
		},
		oidcURL: says(good),
	})
	_, err := Discover(ctx, "https://a.example")
	assert.ErrorContains(t, err, rfcURL+": reading the answer: unexpected EOF")
	assert.Equal(t, []string{rfcURL}, s.asked)
}

// endless is a body that never ends, and counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	e.read += len(b)
	return copy(b, bytes.Repeat([]byte(" "), len(b))), nil
}
func (e *endless) Close() error { return nil }

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func asking(t *testing.T, f roundTripper) context.Context {
	return context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: f})
}

func TestDiscoverReadsNoMoreThanItNeeds(t *testing.T) {
	var body endless
	_, err := Discover(asking(t, func(r *http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"application/json"}}
		if r.URL.String() != rfcURL {
			return &http.Response{StatusCode: 404, Header: header, Body: http.NoBody, Request: r}, nil
		}
		return &http.Response{StatusCode: 200, Header: header, Body: &body, Request: r}, nil
	}), "https://a.example")
	assert.ErrorContains(t, err, "the JSON is longer than 1048576 bytes")
	assert.Less(t, body.read, 2<<20)
}

func TestDiscoverEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		cancel(nil)
		<-r.Context().Done()
		return nil, r.Context().Err()
	})})
	_, err := Discover(ctx, "https://a.example")
	assert.ErrorIs(t, err, context.Canceled)
	assert.EqualError(t, err, "endpoints: discover https://a.example: "+rfcURL+": context canceled")
}

func TestDiscoverSendsNothingButTheQuestion(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	jar.SetCookies(&url.URL{Scheme: "https", Host: "a.example"}, []*http.Cookie{{Name: "session", Value: "secret"}})
	client := &http.Client{Jar: jar, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Equal(t, http.Header{"Accept": {"application/json"}}, r.Header)
		assert.Nil(t, r.Body)
		return &http.Response{StatusCode: 404, Header: http.Header{"Set-Cookie": {"a=b"}}, Body: http.NoBody, Request: r}, nil
	})}
	_, err = Discover(context.WithValue(t.Context(), oauth2.HTTPClient, client), "https://a.example")
	assert.ErrorContains(t, err, "status 404")
	assert.Equal(t, jar, client.Jar, "the client is the caller's")
	assert.Nil(t, client.CheckRedirect)
	assert.Len(t, jar.Cookies(&url.URL{Scheme: "https", Host: "a.example"}), 1)
}

func TestDiscoverRefusesWhatIsNoIssuer(t *testing.T) {
	ctx := asking(t, func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return nil, io.EOF
	})
	const noURL = "an issuer is an https URL such as https://accounts.google.com"
	for issuer, want := range map[string]string{
		"":                               noURL,
		"accounts.google.com":            noURL,
		"accounts.google.com:443":        noURL,
		"https://":                       noURL,
		"https:///path":                  noURL,
		"https://a.example/\n":           noURL,
		"https://{shop}.example":         noURL,
		"http://a.example":               "an issuer is an https URL, or one of http at this machine",
		"ftp://a.example":                "an issuer is an https URL, or one of http at this machine",
		"http://localhost.evil.example":  "an issuer is an https URL, or one of http at this machine",
		"https://user:secret@a.example":  "an issuer has no user, query or fragment (RFC 8414, section 2)",
		"https://a.example?tenant=1":     "an issuer has no user, query or fragment (RFC 8414, section 2)",
		"https://a.example?":             "an issuer has no user, query or fragment (RFC 8414, section 2)",
		"https://a.example/path#section": "an issuer has no user, query or fragment (RFC 8414, section 2)",
	} {
		p, err := Discover(ctx, issuer)
		assert.EqualError(t, err, "endpoints: discover: "+want, issuer)
		assert.Zero(t, p)
	}
}
