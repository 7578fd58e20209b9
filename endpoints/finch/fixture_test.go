package finch_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func sealer(t *testing.T) *storage.Keyset {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	return keys
}

// application is a web application that connects one employer, acme.
type application struct {
	t       *testing.T
	sandbox *endpointstest.Server
	client  *finch.Client
	manager *tokensource.Manager
	browser *http.Client
	url     string
	next    oauth2.AuthCodeOption // the session that /connect begins
}

func newApplication(t *testing.T, embedded bool) *application {
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	a := &application{t: t, sandbox: endpointstest.New(t), browser: &http.Client{Jar: jar}, url: web.URL}

	redirectURL := web.URL + "/callback"
	if embedded {
		redirectURL = ""
	}
	conf := a.sandbox.Config(endpoints.Finch, redirectURL)
	conf.Scopes = []string{"company"}
	client := &finch.Client{Config: a.sandbox.Provider(endpoints.Finch).Config(conf)}
	a.client = client
	keys := sealer(t)
	a.manager = &tokensource.Manager{
		Config: client, Store: storage.Encrypt(new(storage.Memory), keys), APIURLs: a.sandbox.Provider(endpoints.Finch).APIURLs,
	}
	flow := &pkce.Flow{Config: client, Sealer: keys}
	begin := flow.Begin
	if embedded {
		begin = flow.BeginEmbedded
	}
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := begin(w, r, "acme", a.next)
		if assert.NoError(t, err) {
			http.Redirect(w, r, s.URL, http.StatusFound)
		}
	})
	mux.Handle("/callback", flow.Callback(func(w http.ResponseWriter, r *http.Request, s *pkce.Session, token *oauth2.Token, err error) {
		if assert.NoError(t, err) {
			assert.NoError(t, a.manager.Save(r.Context(), s.Connection, token))
		}
	}))
	return a
}

// connect has the employer go through a session and returns the token that is kept then.
func (a *application) connect(session oauth2.AuthCodeOption) *oauth2.Token {
	a.t.Helper()
	a.next = session
	back, err := endpointstest.Approve(a.t.Context(), a.browser, a.url+"/connect")
	require.NoError(a.t, err)
	resp, err := a.browser.Get(a.url + "/callback?" + back.RawQuery)
	require.NoError(a.t, err)
	resp.Body.Close()
	token, err := a.manager.Source("acme").Token()
	require.NoError(a.t, err)
	return token
}

// company calls the API with the token that is kept.
func (a *application) company() (status int, err error) {
	resp, err := a.manager.Client("acme").Get(a.sandbox.Provider(endpoints.Finch).APIURLs[0] + "/employer/company")
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}
