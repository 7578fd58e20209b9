package endpointstest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

const (
	callback = "http://localhost:8080/callback"
	audience = "https://delegate.api.taxrock.com"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
	hashed   = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

var all = map[string]endpoints.Provider{
	"Finch":          endpoints.Finch,
	"Chart":          endpoints.Chart,
	"TaxRock":        endpoints.TaxRock,
	"TaxRockSandbox": endpoints.TaxRockSandbox,
}

// apiPath is a call that any token with the first scope can make.
var apiPath = map[string]string{
	"Finch":   "/employer/company",
	"Chart":   "/tax-payer",
	"TaxRock": "/client-accounts",
}

// with changes a copy of m; a nil value removes a member.
func with(m map[string]any, changes map[string]any) map[string]any {
	m = maps.Clone(m)
	for name, v := range changes {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
	return m
}

// answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) members(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &m), a.body)
	return m
}

// browser follows no redirects.
func browser(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
}

// kept keeps its connections from test to test: those to a server end with it.
var kept = &http.Client{
	Transport:     new(http.Transport),
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       20 * time.Second,
}

func send(t *testing.T, method, rawURL string, header http.Header, body []byte) answer {
	t.Helper()
	a, err := sendBy(t, kept, method, rawURL, header, body)
	require.NoError(t, err)
	return a
}

// trySend sends a request on a connection of its own, which is never sent again.
func trySend(t *testing.T, method, rawURL string, header http.Header, body []byte) (answer, error) {
	t.Helper()
	return sendBy(t, browser(t), method, rawURL, header, body)
}

func sendBy(t *testing.T, client *http.Client, method, rawURL string, header http.Header, body []byte) (answer, error) {
	t.Helper()
	r, err := http.NewRequest(method, rawURL, bytes.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(b)}, err
}

func jsonHeader(more ...string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

func tokenHeader(p endpoints.Provider) http.Header {
	if p.Name == "Finch" {
		return jsonHeader("Finch-API-Version", "2020-09-17")
	}
	return jsonHeader()
}

func post(t *testing.T, s *endpointstest.Server, p endpoints.Provider, fields map[string]any) answer {
	t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	return send(t, http.MethodPost, s.Provider(p).Endpoint.TokenURL, tokenHeader(p), body)
}

func get(t *testing.T, s *endpointstest.Server, p endpoints.Provider, path, access string) answer {
	t.Helper()
	h := http.Header{}
	if access != "" {
		h.Set("Authorization", "Bearer "+access)
	}
	return send(t, http.MethodGet, s.Provider(p).APIURLs[0]+path, h, nil)
}

// query is a complete authorization request to p.
func query(s *endpointstest.Server, p endpoints.Provider) url.Values {
	c := s.Config(p, callback)
	q := url.Values{"client_id": {c.ClientID}, "redirect_uri": {callback}, "state": {"st"}}
	switch p.Name {
	case "Finch":
		q.Set("products", "company directory")
	case "TaxRock":
		q.Set("response_type", "code")
		q.Set("scope", "offline_access read:client-accounts")
		q.Set("audience", audience)
		q.Set("code_challenge", hashed)
		q.Set("code_challenge_method", "S256")
	}
	return q
}

func consentURL(s *endpointstest.Server, p endpoints.Provider, q url.Values) string {
	return s.Provider(p).Endpoint.AuthURL + "?" + q.Encode()
}

// newCode has the user approve. Embedded leaves out the redirect_uri.
func newCode(t *testing.T, s *endpointstest.Server, p endpoints.Provider, embedded bool) string {
	t.Helper()
	q := query(s, p)
	if embedded {
		q.Del("redirect_uri")
	}
	u, err := endpointstest.Approve(t.Context(), kept, consentURL(s, p, q))
	require.NoError(t, err)
	code := u.Query().Get("code")
	require.NotEmpty(t, code)
	return code
}

// exchange is a complete token request, without the code.
func exchange(s *endpointstest.Server, p endpoints.Provider) map[string]any {
	c := s.Config(p, callback)
	fields := map[string]any{"client_id": c.ClientID, "client_secret": c.ClientSecret, "redirect_uri": callback}
	if p.Name == "TaxRock" {
		fields["grant_type"] = "authorization_code"
		fields["code_verifier"] = verifier
	}
	return fields
}

// refresh is a complete refresh.
func refresh(s *endpointstest.Server, p endpoints.Provider, token string) map[string]any {
	c := s.Config(p, callback)
	return map[string]any{
		"grant_type": "refresh_token", "client_id": c.ClientID, "client_secret": c.ClientSecret,
		"refresh_token": token, "audience": audience,
	}
}

// connected is the answer to a successful exchange.
func connected(t *testing.T, s *endpointstest.Server, p endpoints.Provider) map[string]any {
	t.Helper()
	a := post(t, s, p, with(exchange(s, p), map[string]any{"code": newCode(t, s, p, false)}))
	require.Equal(t, http.StatusOK, a.status, a.body)
	return a.members(t)
}

func fill(template string, c oauth2.Config) string {
	return strings.NewReplacer("$ID", c.ClientID, "$SECRET", c.ClientSecret).Replace(template)
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

func rejections(s endpointstest.Stats) (n int) {
	for _, times := range s.Rejected {
		n += times
	}
	return n
}
