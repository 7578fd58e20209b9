package finch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/finch"
	"github.com/oauth2keep/oauth2keep/pkce"
)

var _ pkce.Authorizer = (*finch.Client)(nil)

const (
	clientID     = "6d28c315-5eaa-4071-8ea5-f030eb45edbc"
	clientSecret = "finch-secret-sandbox-x/y+z"
	callback     = "https://app.example/callback"
	id           = "550e8400-e29b-41d4-a716-446655440000"

	// created is the answer in https://developer.tryfinch.com/api-reference/connect/new-session.
	created = `{
  "session_id": "550e8400-e29b-41d4-a716-446655440000",
  "connect_url": "https://connect.tryfinch.com/authorize?session=550e8400-e29b-41d4-a716-446655440000"
}`
)

// finchAPI answers in the place of Finch, and remembers what it was sent.
type finchAPI struct {
	status int
	body   string
	err    error
	sent   []string
}

func (f *finchAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	dump, err := httputil.DumpRequestOut(r, true)
	if err != nil {
		return nil, err
	}
	f.sent = append(f.sent, strings.ReplaceAll(string(dump), "\r\n", "\n"))
	if f.err != nil {
		return nil, f.err
	}
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Location", "https://evil.example/")
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body)
	return w.Result(), nil
}

func (f *finchAPI) context() context.Context {
	return context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: f})
}

func newClient(scopes ...string) *finch.Client {
	return &finch.Client{Config: endpoints.Finch.Config(oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, RedirectURL: callback, Scopes: scopes,
	})}
}

func TestSessionIsSentAsFinchDocumentsIt(t *testing.T) {
	embedded := oauth2.SetAuthURLParam("redirect_uri", "") // as pkce says it
	least := finch.Session{CustomerID: "acme", CustomerName: "Acme, Inc."}
	for name, tt := range map[string]struct {
		opts []oauth2.AuthCodeOption
		path string
		body string
	}{
		"the least": {[]oauth2.AuthCodeOption{least.Option()}, "/connect/sessions",
			`{"customer_id":"acme","customer_name":"Acme, Inc.","products":["company","directory"],"redirect_uri":"https://app.example/callback"}`},
		"embedded": {[]oauth2.AuthCodeOption{least.Option(), embedded}, "/connect/sessions",
			`{"customer_id":"acme","customer_name":"Acme, Inc.","products":["company","directory"]}`},
		"everything": {[]oauth2.AuthCodeOption{finch.Session{
			CustomerID: "acme", CustomerName: "Acme & Söhne", CustomerEmail: "hr@acme.example", Products: []string{"payment"},
			Provider: "gusto", AuthMethod: "api_token", Manual: true, Sandbox: "provider", Lifetime: 36 * time.Hour,
		}.Option()}, "/connect/sessions",
			`{"customer_id":"acme","customer_name":"Acme & Söhne","customer_email":"hr@acme.example","products":["payment"],` +
				`"integration":{"provider":"gusto","auth_method":"api_token"},"manual":true,"sandbox":"provider",` +
				`"minutes_to_expire":2160,"redirect_uri":"https://app.example/callback"}`},
		"a reauthentication": {[]oauth2.AuthCodeOption{finch.Reauthentication{ConnectionID: "c1"}.Option()}, "/connect/sessions/reauthenticate",
			`{"connection_id":"c1","redirect_uri":"https://app.example/callback"}`},
		"a reauthentication, everything": {[]oauth2.AuthCodeOption{finch.Reauthentication{
			ConnectionID: "c1", Products: []string{"payment"}, Lifetime: time.Minute,
		}.Option(), embedded}, "/connect/sessions/reauthenticate",
			`{"connection_id":"c1","products":["payment"],"minutes_to_expire":1}`},
	} {
		t.Run(name, func(t *testing.T) {
			api := &finchAPI{status: http.StatusCreated, body: created}
			got, kept, err := newClient("company", "directory").Authorize(api.context(), "st/ate", "verifier", tt.opts...)
			require.NoError(t, err)
			assert.Empty(t, kept)
			assert.Equal(t, "https://connect.tryfinch.com/authorize?session="+id+"&state=st%2Fate", got)
			assert.Equal(t, id, finch.SessionID(got))
			require.Len(t, api.sent, 1)
			assert.Equal(t, fmt.Sprintf(`POST %s HTTP/1.1
Host: api.tryfinch.com
User-Agent: Go-http-client/1.1
Content-Length: %d
Accept: application/json
Authorization: Basic NmQyOGMzMTUtNWVhYS00MDcxLThlYTUtZjAzMGViNDVlZGJjOmZpbmNoLXNlY3JldC1zYW5kYm94LXgveSt6
Content-Type: application/json
Finch-Api-Version: 2020-09-17
Accept-Encoding: gzip

%s`, tt.path, len(tt.body), tt.body), api.sent[0])
		})
	}
}

func TestWithoutASessionTheURLIsThatOfConfig(t *testing.T) {
	api := &finchAPI{}
	c := newClient("company")
	got, _, err := c.Authorize(api.context(), "s", "")
	require.NoError(t, err)
	assert.Equal(t, c.AuthCodeURL("s"), got)
	assert.Empty(t, finch.SessionID(got))
	assert.Empty(t, finch.SessionID("::"))
	assert.Empty(t, api.sent)
}

func TestMistakeInASessionIsToldBeforeAnythingIsSent(t *testing.T) {
	ok := finch.Session{CustomerID: "acme", CustomerName: "Acme", Products: []string{"company"}}
	with := func(change func(*finch.Session)) []oauth2.AuthCodeOption {
		s := ok
		change(&s)
		return []oauth2.AuthCodeOption{s.Option()}
	}
	long := strings.Repeat("é", 256)
	for want, opts := range map[string][]oauth2.AuthCodeOption{
		"Session.CustomerID is missing":                         with(func(s *finch.Session) { s.CustomerID = "" }),
		"Session.CustomerName is missing":                       with(func(s *finch.Session) { s.CustomerName = "" }),
		"Session.CustomerName has more than 255 characters":     with(func(s *finch.Session) { s.CustomerName = long }),
		"Session.CustomerEmail isn't valid UTF-8":               with(func(s *finch.Session) { s.CustomerEmail = "\xff" }),
		"Session.Products[1] is there twice":                    with(func(s *finch.Session) { s.Products = []string{"ssn", "ssn"} }),
		"Session.Products[0] is missing":                        with(func(s *finch.Session) { s.Products = []string{""} }),
		"a Session needs Products":                              with(func(s *finch.Session) { s.Products = nil }),
		`Session.AuthMethod is unknown: "password"`:             with(func(s *finch.Session) { s.Provider, s.AuthMethod = "gusto", "password" }),
		"Session.AuthMethod has no effect without Provider":     with(func(s *finch.Session) { s.AuthMethod = "oauth" }),
		`Session.Sandbox is unknown: "true"`:                    with(func(s *finch.Session) { s.Sandbox = "true" }),
		"Session.Lifetime must be whole minutes":                with(func(s *finch.Session) { s.Lifetime = time.Second }),
		"Session.Lifetime must be whole minutes, at most":       with(func(s *finch.Session) { s.Lifetime = 129_601 * time.Minute }),
		"Session.Lifetime must be whole minutes, at most 12960": with(func(s *finch.Session) { s.Lifetime = -time.Minute }),
		"Reauthentication.ConnectionID is missing":              {finch.Reauthentication{}.Option()},
		"Reauthentication.Lifetime must be":                     {finch.Reauthentication{ConnectionID: "c", Lifetime: 1}.Option()},
		"the option finch_connect_session is made by":           {oauth2.SetAuthURLParam("finch_connect_session", "{}")},
		"the option finch_connect_session is made by Session":   {oauth2.SetAuthURLParam("finch_connect_session", "acme")},
		"the option sandbox has no effect on a session":         {ok.Option(), oauth2.SetAuthURLParam("sandbox", "finch")},
	} {
		api := &finchAPI{status: http.StatusCreated, body: created}
		_, _, err := newClient().Authorize(api.context(), "s", "", opts...)
		assert.ErrorContains(t, err, want)
		assert.Empty(t, api.sent)

		flow := &pkce.Flow{Config: newClient(), Sealer: sealer(t)}
		_, err = flow.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "https://app.example/", nil), "acme", opts...)
		assert.ErrorIs(t, err, pkce.ErrMisconfigured)
	}
	_, _, err := new(finch.Client).Authorize(context.Background(), "s", "", ok.Option())
	assert.ErrorContains(t, err, "a Config is made by Provider.Config")
	_, _, err = newClient().Authorize(context.Background(), "s", "", finch.Session{
		CustomerID: "acme", CustomerName: "Acme", Lifetime: 129_600 * time.Minute, Sandbox: "finch", Provider: "gusto",
	}.Option())
	assert.ErrorContains(t, err, "needs Products", "the rest of it is right")
}

func TestAnswerCanNotSendTheEmployerElsewhere(t *testing.T) {
	for _, connectURL := range []string{
		"", "authorize?session=1", "https://evil.example/authorize?session=1", "http://connect.tryfinch.com/authorize?session=1",
		"https://connect.tryfinch.com:444/authorize?session=1", "https://connect.tryfinch.com.evil.example/", "//evil.example/",
		"https://connect.tryfinch.com@evil.example/", "https://user@connect.tryfinch.com/authorize", "javascript:alert(1)",
		"https://connect.tryfinch.com/authorize?session=1&state=other", "https://connect.tryfinch.com/" + strings.Repeat("x", 8<<10),
	} {
		api := &finchAPI{status: http.StatusCreated, body: fmt.Sprintf(`{"session_id": "1", "connect_url": %q}`, connectURL)}
		got, _, err := newClient("company").Authorize(api.context(), "st-a-te", "", finch.Session{CustomerID: "a", CustomerName: "A"}.Option())
		assert.Empty(t, got)
		assert.ErrorContains(t, err, "connect_url in it", connectURL)
		assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
		assert.NotContains(t, err.Error(), "evil")
		var answered *oauth2.RetrieveError
		require.ErrorAs(t, err, &answered)
		assert.Equal(t, "unreadable_response", answered.ErrorCode)

		flow := &pkce.Flow{Config: newClient("company"), Sealer: sealer(t), RequestContext: func(context.Context) context.Context { return api.context() }}
		_, err = flow.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "https://app.example/", nil), "acme",
			finch.Session{CustomerID: "a", CustomerName: "A"}.Option())
		assert.ErrorIs(t, err, pkce.ErrStartAgain)
		assert.Equal(t, endpoints.KindUnreadable, endpoints.KindOf(err))
	}
	for connectURL, want := range map[string]string{
		"HTTPS://CONNECT.tryfinch.com:443/a?b=%2f&c": "https://CONNECT.tryfinch.com:443/a?b=%2f&c&state=s",
		"https://connect.tryfinch.com/a#b":           "https://connect.tryfinch.com/a?state=s#b",
	} {
		api := &finchAPI{status: http.StatusCreated, body: fmt.Sprintf(`{"connect_url": %q}`, connectURL)}
		got, _, err := newClient("company").Authorize(api.context(), "s", "", finch.Session{CustomerID: "a", CustomerName: "A"}.Option())
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestErrorOfASession(t *testing.T) {
	for name, tt := range map[string]struct {
		api  finchAPI
		kind endpoints.ErrorKind
		code string
		do   error
	}{
		"wrong secret": {finchAPI{status: 401, body: `{"code":401,"name":"invalid_client","message":"no such secret: ` + clientSecret + `"}`},
			endpoints.KindClientRejected, "invalid_client", pkce.ErrMisconfigured},
		"malformed": {finchAPI{status: 400, body: `{"code":400,"name":"bad_request","finch_code":"invalid_request","message":"products"}`},
			endpoints.KindClientRejected, "invalid_request", pkce.ErrMisconfigured},
		"too many":   {finchAPI{status: 429, body: `{"code":429,"name":"rate_limit_exceeded"}`}, endpoints.KindRateLimited, "rate_limit_exceeded", pkce.ErrStartAgain},
		"in trouble": {finchAPI{status: 502, body: `<html>`}, endpoints.KindUnreadable, "unreadable_response", pkce.ErrStartAgain},
		"a page":     {finchAPI{status: 200, body: `<html>`}, endpoints.KindUnreadable, "unreadable_response", pkce.ErrStartAgain},
		"a redirect": {finchAPI{status: 307}, endpoints.KindClientRejected, "unreadable_response", pkce.ErrMisconfigured},
		"no answer":  {finchAPI{err: errors.New("reset, after " + clientSecret)}, endpoints.KindProviderTrouble, "", pkce.ErrStartAgain},
	} {
		t.Run(name, func(t *testing.T) {
			api := &tt.api
			session := finch.Session{CustomerID: "a", CustomerName: "A"}.Option()
			_, _, err := newClient("company").Authorize(api.context(), "s", "", session)
			assert.Equal(t, tt.kind, endpoints.KindOf(err))
			assert.NotContains(t, fmt.Sprintf("%v %+v", err, err), clientSecret)
			var answered *oauth2.RetrieveError
			if tt.code != "" && assert.ErrorAs(t, err, &answered) {
				assert.Equal(t, tt.code, answered.ErrorCode)
			}
			assert.Len(t, api.sent, 1)

			flow := &pkce.Flow{Config: newClient("company"), Sealer: sealer(t), RequestContext: func(context.Context) context.Context { return api.context() }}
			_, err = flow.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "https://app.example/", nil), "acme", session)
			assert.ErrorIs(t, err, tt.do)
			assert.Len(t, api.sent, 2)
		})
	}
}
