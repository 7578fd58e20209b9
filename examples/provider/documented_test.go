package ledgerly_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	ledgerly "github.com/oauth2keep/oauth2keep/examples/provider"
)

var config = ledgerly.Config("app-1", "secret-1", "https://app.example/callback", "invoices", "payments")

// documented is a request and its answer, as the provider's documentation has them.
type documented struct {
	t         *testing.T
	url, body string
	status    int // 0: 200
	answer    string
}

// RoundTrip implements http.RoundTripper.
func (d documented) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	require.NoError(d.t, err)
	assert.Equal(d.t, d.url, r.URL.String())
	assert.JSONEq(d.t, d.body, string(body))
	status := max(d.status, http.StatusOK)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(d.answer)), Request: r}, nil
}

func (d documented) context() context.Context {
	return context.WithValue(d.t.Context(), oauth2.HTTPClient, &http.Client{Transport: d})
}

func TestDocumentedConsent(t *testing.T) {
	consentURL, _, err := config.Authorize(t.Context(), "state-1", "")
	require.NoError(t, err)
	assert.Equal(t, "https://login.ledgerly.example/connect?app_id=app-1&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback"+
		"&response_type=code&scope=invoices,payments&state=state-1", consentURL)
}

func TestDocumentedExchange(t *testing.T) {
	provider := documented{
		t:      t,
		url:    "https://eu.ledgerly.example/oauth/token",
		body:   `{"app_id":"app-1","app_secret":"secret-1","code":"code-1","code_verifier":"verifier-1","redirect_uri":"https://app.example/callback"}`,
		answer: `{"data": {"access_token": "lt_1", "refresh_token": "lr_1", "ttl": 1800, "org_id": "o_7", "org_name": "Tea House"}}`,
	}
	token, err := config.Exchange(provider.context(), "code-1",
		oauth2.SetAuthURLParam("region", "eu"), oauth2.VerifierOption("verifier-1"))
	require.NoError(t, err)
	assert.Equal(t, "lr_1", token.RefreshToken)
	assert.WithinDuration(t, time.Now().Add(30*time.Minute), token.Expiry, time.Minute)

	organization, err := ledgerly.OrganizationOf(token)
	require.NoError(t, err)
	assert.Equal(t, ledgerly.Organization{ID: "o_7", Name: "Tea House", Region: "eu"}, organization)
}

func TestDocumentedRefresh(t *testing.T) {
	provider := documented{
		t:      t,
		url:    "https://us.ledgerly.example/oauth/token",
		body:   `{"app_id":"app-1","app_secret":"secret-1","grant_type":"refresh_token","refresh_token":"lr_1"}`,
		answer: `{"data": {"access_token": "lt_2", "refresh_token": "lr_2", "ttl": 1800}}`,
	}
	old := (&oauth2.Token{AccessToken: "lt_1", RefreshToken: "lr_1", Expiry: time.Unix(1, 0)}).WithExtra(map[string]any{"region": "us"})
	token, err := config.TokenSource(provider.context(), old).Token()
	require.NoError(t, err)
	assert.Equal(t, "lr_2", token.RefreshToken)

	provider.status, provider.answer = 400, `{"problem": {"code": "TOKEN_REVOKED", "text": "The app was removed."}}`
	_, err = config.TokenSource(provider.context(), old).Token()
	assert.Equal(t, endpoints.KindLoginRequired, endpoints.KindOf(err))
	assert.ErrorContains(t, err, "The app was removed.")
}
