package oauth2keep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// verdicts are what packages pkce and tokensource make of each kind.
var verdicts = map[endpoints.ErrorKind]struct {
	action error
	reason tokensource.Reason
}{
	endpoints.KindUnknown:           {pkce.ErrStartAgain, tokensource.ReasonUnavailable},
	endpoints.KindCodeRejected:      {pkce.ErrStartAgain, tokensource.ReasonRevoked},
	endpoints.KindLoginRequired:     {pkce.ErrStartAgain, tokensource.ReasonRevoked},
	endpoints.KindRedirectMismatch:  {pkce.ErrMisconfigured, tokensource.ReasonMisconfigured},
	endpoints.KindClientRejected:    {pkce.ErrMisconfigured, tokensource.ReasonMisconfigured},
	endpoints.KindInsufficientScope: {pkce.ErrStartAgain, tokensource.ReasonMisconfigured},
	endpoints.KindRateLimited:       {pkce.ErrStartAgain, tokensource.ReasonRateLimited},
	endpoints.KindProviderTrouble:   {pkce.ErrStartAgain, tokensource.ReasonUnavailable},
	endpoints.KindUnreadable:        {pkce.ErrStartAgain, tokensource.ReasonUnavailable},
	endpoints.KindNotAdapted:        {pkce.ErrMisconfigured, tokensource.ReasonMisconfigured},
}

// answering is a network on which every request gets one answer.
type answering struct {
	status            int
	contentType, body string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	h := http.Header{"Content-Type": {a.contentType}, "Location": {"https://elsewhere.example/"}}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

func (a answering) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: a})
}

// answers are all codes that are known, some that aren't, and what has no code, with
// all statuses that mean something.
func answers() []answering {
	var bodies []answering
	for _, code := range append(tokenerror.Codes(), "something_new", "E17", "declared_dead", "declared_trouble", "INVALID_GRANT", "invalid_grant: expired") {
		bodies = append(bodies, answering{contentType: "application/json", body: fmt.Sprintf(`{"error":%q}`, code)})
	}
	for _, body := range []string{
		`{"error":"invalid_grant","error_description":"redirect_uri mismatch"}`,
		`{"error":"unauthorized_client","error_description":"The redirect URI is wrong"}`,
		`{"message":"The code has expired"}`, `{"message":"Too many requests"}`, `{}`, ``,
	} {
		bodies = append(bodies, answering{contentType: "application/json", body: body})
	}
	bodies = append(bodies, answering{contentType: "text/html", body: "<html>invalid_grant</html>"}, answering{contentType: "text/plain", body: "invalid_grant"})
	var all []answering
	for _, a := range bodies {
		for _, status := range []int{200, 302, 307, 400, 401, 402, 403, 404, 415, 429, 500, 502, 503, 504} {
			a.status = status
			all = append(all, a)
		}
	}
	return all
}

// What an error of a token endpoint means is the same to all who are asked, whatever
// the code and the status.
func TestEveryoneAgreesOnWhatAnErrorMeans(t *testing.T) {
	provider := endpoints.Provider{
		Name:     "Acme",
		Endpoint: oauth2.Endpoint{AuthURL: "https://acme.example/authorize", TokenURL: "https://acme.example/token"},
		Answer: endpoints.Answer{Errors: []endpoints.ErrorRule{
			{Code: "declared_dead", Kind: endpoints.KindLoginRequired}, {Code: "declared_trouble", Kind: endpoints.KindProviderTrouble},
			{Status: 402, Kind: endpoints.KindRateLimited},
		}},
	}
	client := oauth2.Config{ClientID: "id", ClientSecret: "s3cret", RedirectURL: "https://app.example/callback"}
	conf := provider.Config(client)
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	seen := make(map[endpoints.ErrorKind]int)
	all := answers()
	require.Greater(t, len(all), 900)
	for i, a := range all {
		if testing.Short() && i%13 > 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			what := fmt.Sprintf("%d %s", a.status, a.body)
			ctx := a.context(t.Context())

			_, err := conf.Exchange(ctx, "c0de")
			kind := endpoints.KindOf(err)
			seen[kind]++
			err = callbackError(t, ctx, &pkce.Flow{Config: conf, Sealer: keys})
			assert.Equal(t, kind, endpoints.KindOf(err), "exchange, %s", what)
			assert.ErrorIs(t, err, verdicts[kind].action, "%s, which is %s", what, kind)

			old := &oauth2.Token{AccessToken: "a0", RefreshToken: "r0", Expiry: time.Now().Add(-time.Hour)}
			_, err = conf.TokenSource(ctx, old).Token()
			kind = endpoints.KindOf(err)
			seen[kind]++
			assert.NotEqual(t, endpoints.KindCodeRejected, kind, "a refresh spends no code")
			m := &tokensource.Manager{Config: conf, Store: storage.Encrypt(new(storage.Memory), keys), Base: a}
			require.NoError(t, m.Save(ctx, "alice", old))
			_, err = m.Source("alice").Token()
			assert.Equal(t, kind, endpoints.KindOf(err), "refresh, %s", what)
			var failed *tokensource.Error
			if assert.ErrorAs(t, err, &failed) {
				assert.Equal(t, verdicts[kind].reason, failed.Reason, "%s, which is %s", what, kind)
			}
			require.NoError(t, m.Flush(context.Background()))
		})
		if t.Failed() {
			return
		}
	}
	for kind := range verdicts {
		if kind != endpoints.KindNotAdapted {
			assert.NotZero(t, seen[kind], "%s never came up", kind)
		}
	}
}

// callbackError begins an attempt and returns what its callback comes to.
func callbackError(t *testing.T, ctx context.Context, flow *pkce.Flow) error {
	t.Helper()
	w := httptest.NewRecorder()
	s, err := flow.Begin(w, httptest.NewRequest("GET", "https://app.example/connect", nil).WithContext(ctx), "alice")
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "https://app.example/callback?"+url.Values{"code": {"c0de"}, "state": {s.State}}.Encode(), nil)
	for _, cookie := range w.Result().Cookies() {
		r.AddCookie(cookie)
	}
	result := errors.New("the handler wasn't called")
	flow.Callback(func(_ http.ResponseWriter, _ *http.Request, _ *pkce.Session, _ *oauth2.Token, err error) {
		result = err
	}).
		ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	return result
}

// What an error in a callback means, or an exchange without an answer, is the same to
// packages endpoints and pkce as well.
func TestKindOfACallbackAgreesWithItsAction(t *testing.T) {
	provider := endpoints.Provider{
		Endpoint: oauth2.Endpoint{AuthURL: "https://acme.example/authorize", TokenURL: "https://acme.example/token"},
		Callback: endpoints.Callback{Errors: []endpoints.ErrorRule{{Code: "17", Kind: endpoints.KindDenied}}},
	}
	conf := provider.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret", RedirectURL: "https://app.example/callback"})
	for code, want := range map[string]struct {
		kind   endpoints.ErrorKind
		action error
	}{
		"access_denied":           {endpoints.KindDenied, pkce.ErrDenied},
		"user_cancelled_login":    {endpoints.KindDenied, pkce.ErrDenied},
		"17":                      {endpoints.KindDenied, pkce.ErrDenied},
		"invalid_scope":           {endpoints.KindClientRejected, pkce.ErrMisconfigured},
		"request_not_supported":   {endpoints.KindClientRejected, pkce.ErrMisconfigured},
		"redirect_uri_mismatch":   {endpoints.KindRedirectMismatch, pkce.ErrMisconfigured},
		"server_error":            {endpoints.KindProviderTrouble, pkce.ErrStartAgain},
		"temporarily_unavailable": {endpoints.KindProviderTrouble, pkce.ErrStartAgain},
		"login_required":          {endpoints.KindLoginRequired, pkce.ErrStartAgain},
		"something_new":           {endpoints.KindUnknown, pkce.ErrStartAgain},
	} {
		s := pkce.Session{State: "a", Expiry: time.Now().Add(time.Hour)}
		_, err := s.Exchange(t.Context(), conf, url.Values{"state": {s.State}, "error": {code}})
		assert.Equal(t, want.kind, endpoints.KindOf(fmt.Errorf("wrapped: %w", err)), code)
		assert.ErrorIs(t, err, want.action, code)
	}
	for lost, want := range map[error]endpoints.ErrorKind{
		io.ErrUnexpectedEOF:      endpoints.KindProviderTrouble,
		context.DeadlineExceeded: endpoints.KindProviderTrouble,
		context.Canceled:         endpoints.KindUnknown,
	} {
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: losing{lost}})
		s := pkce.Session{State: "a", Expiry: time.Now().Add(time.Hour)}
		_, err := s.Exchange(ctx, conf, url.Values{"state": {s.State}, "code": {"c0de"}})
		assert.Equal(t, want, endpoints.KindOf(err), "%v", lost)
		assert.ErrorIs(t, err, pkce.ErrStartAgain)
		_, err = conf.Exchange(ctx, "c0de")
		assert.Equal(t, want, endpoints.KindOf(err), "%v", lost)
	}
}

// losing is a network on which no answer arrives.
type losing struct{ err error }

func (l losing) RoundTrip(*http.Request) (*http.Response, error) { return nil, l.err }
