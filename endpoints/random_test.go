package endpoints_test

import (
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

const uuid4 = `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`

func TestARandomValueIsNewEachTime(t *testing.T) {
	p := waysBase()
	p.Consent.Params = endpoints.Params{"nonce": {"{random}"}}
	p.Style = endpoints.AuthStyle{
		Params: endpoints.Params{"nonce": {"{random}"}},
		Header: map[string]string{"X-Correlation": "{random}"},
	}
	require.NoError(t, p.Validate())
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"})
	var values []string
	ctx := roundTripper(func(r *http.Request) (*http.Response, error) {
		require.NoError(t, r.ParseForm())
		values = append(values, r.PostForm.Get("nonce"), r.Header.Get("X-Correlation"))
		return nil, io.ErrUnexpectedEOF
	}).context()
	for range 2 {
		consent, again, err := conf.Authorize(ctx, "s", "")
		require.NoError(t, err)
		assert.Empty(t, again)
		u, err := url.Parse(consent)
		require.NoError(t, err)
		values = append(values, u.Query().Get("nonce"))
		_, _ = conf.Exchange(ctx, "c0de")
		_, _ = conf.TokenSource(ctx, &oauth2.Token{RefreshToken: "r0", Expiry: time.Unix(1, 0)}).Token()
	}
	seen := make(map[string]bool)
	for _, v := range values {
		assert.Regexp(t, uuid4, v)
		seen[v] = true
	}
	assert.Len(t, seen, 10)
}
