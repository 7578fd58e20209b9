package httpclient

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestTheClientIsThatOfTheContext(t *testing.T) {
	own, fallback := new(http.Client), new(http.Client)
	for _, test := range []struct {
		carried any
		want    *http.Client
	}{
		{own, own}, {nil, fallback}, {(*http.Client)(nil), fallback}, {"no client", fallback},
	} {
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, test.carried)
		assert.Same(t, test.want, From(ctx, fallback), "%v", test.carried)
	}
	assert.Same(t, fallback, From(t.Context(), fallback))
}

func TestARedirectIsNotFollowed(t *testing.T) {
	followed := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			followed = true
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c := &http.Client{Timeout: time.Minute}
	without := WithoutRedirects(c)
	assert.Equal(t, c.Timeout, without.Timeout)
	assert.Nil(t, c.CheckRedirect, "the caller's client was changed")
	resp, err := without.Get(server.URL)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	assert.False(t, followed)
}
