package finch_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
)

// Whatever Finch answers, the employer is sent to its consent page with the state, or
// nowhere.
func FuzzConnectURL(f *testing.F) {
	for _, seed := range []string{
		"https://connect.tryfinch.com/authorize?session=1", "https://connect.tryfinch.com", "https://connect.tryfinch.com?state=x",
		"https://evil.example\\@connect.tryfinch.com/", "https://connect.tryfinch.com%2eevil.example/", "https:connect.tryfinch.com",
		"https://connect.tryfinch.com/?%", "https://connect.tryfinch.com/#?state=x", "HTTPS://CONNECT.TRYFINCH.COM:443/\t", "",
	} {
		f.Add(seed)
	}
	session := finch.Session{CustomerID: "a", CustomerName: "A"}.Option()
	f.Fuzz(func(t *testing.T, connectURL string) {
		body, err := json.Marshal(map[string]string{"session_id": "1", "connect_url": connectURL})
		require.NoError(t, err)
		api := &finchAPI{status: http.StatusCreated, body: string(body)}
		got, _, err := newClient("company").Authorize(api.context(), "st-a-te", "", session)
		if err != nil {
			assert.Empty(t, got)
			assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
			return
		}
		u, err := url.Parse(got)
		require.NoError(t, err)
		assert.Equal(t, "https", u.Scheme)
		assert.True(t, strings.EqualFold("connect.tryfinch.com", u.Hostname()) && (u.Port() == "" || u.Port() == "443"), got)
		assert.Nil(t, u.User)
		assert.Equal(t, []string{"st-a-te"}, u.Query()["state"])
	})
}
