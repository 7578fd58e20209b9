package endpointstest_test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// TestConsentPageIsStrict changes one thing in a good authorization request at a time.
func TestConsentPageIsStrict(t *testing.T) {
	const registered = "redirect_uri is not registered: Server.Config does that"
	tests := map[string][]struct{ change, want string }{
		"Finch": {
			{"-client_id", "missing parameter client_id"},
			{"client_id=x", "client_id is unknown"},
			{"redirect_uri=http://localhost/", registered},
			{"redirect_uri=", "parameter redirect_uri is empty"},
			{"state=", "parameter state is empty"},
			{"response_type=code", `unexpected parameter "response_type"`},
			{"scope=company", `unexpected parameter "scope"`},
			{"code_challenge=" + hashed, `unexpected parameter "code_challenge"`},
			{"-products", "missing parameter products"},
			{"products=", "parameter products is empty"},
			{"products=company wages", `products has the unknown value "wages"`},
			{"products=company  directory", `products has the unknown value ""`},
			{"products=company company", "products has company twice"},
			{"products=company,directory", `products has the unknown value "company,directory"`},
			{"sandbox=maybe", "sandbox must be finch or provider"},
			{"manual=yes", "manual must be true or false"},
		},
		"Chart": {
			{"-client_id", "missing parameter client_id"},
			{"client_id=x", "client_id is unknown"},
			{"redirect_uri=http://localhost/", registered},
			{"scope=x", `unexpected parameter "scope"`},
			{"response_type=code", `unexpected parameter "response_type"`},
		},
		"TaxRock": {
			{"-client_id", "missing parameter client_id"},
			{"client_id=x", "client_id is unknown"},
			{"-redirect_uri", "missing parameter redirect_uri"},
			{"redirect_uri=http://localhost/", registered},
			{"-response_type", "missing parameter response_type"},
			{"response_type=token", "response_type must be code"},
			{"-audience", "missing parameter audience"},
			{"audience=https://delegate-demo.api.taxrock.com", "audience must be " + audience},
			{"-code_challenge", "missing parameter code_challenge"},
			{"code_challenge=" + verifier + "=", "code_challenge must be a SHA-256 hash in base64url"},
			{"-code_challenge_method", "missing parameter code_challenge_method"},
			{"code_challenge_method=plain", "code_challenge_method must be S256"},
			{"-scope", "missing parameter scope"},
			{"scope=read:client-accounts", "scope must include offline_access"},
			{"scope=offline_access openid", `scope has the unknown value "openid"`},
			{"prompt=consent", `unexpected parameter "prompt"`},
		},
	}
	for name, cases := range tests {
		p := all[name]
		s := endpointstest.New(t)
		for _, tt := range cases {
			t.Run(name+"/"+tt.change, func(t *testing.T) {
				q := query(s, p)
				if param, removed := strings.CutPrefix(tt.change, "-"); removed {
					q.Del(param)
				} else {
					param, value, _ := strings.Cut(tt.change, "=")
					q.Set(param, value)
				}
				page := consentURL(s, p, q)
				form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
				for _, a := range []answer{send(t, "GET", page, nil, nil), send(t, "POST", page, form, []byte("decision=approve"))} {
					assert.Equal(t, http.StatusBadRequest, a.status)
					assert.Contains(t, html.UnescapeString(a.body), `id="problem">`+tt.want+"<")
					assert.Empty(t, a.header.Get("Location"))
				}
				_, err := endpointstest.Approve(t.Context(), browser(t), page)
				assert.EqualError(t, err, "endpointstest: no consent page to approve at, but 400 Bad Request: "+tt.want)
				assert.Zero(t, s.Stats(p).Approved)
				assert.Equal(t, 3, s.Stats(p).Rejected["malformed: "+tt.want])
			})
		}
		t.Run(name+"/repeated", func(t *testing.T) {
			q := query(s, p)
			q.Add("state", "other")
			a := send(t, "GET", consentURL(s, p, q), nil, nil)
			assert.Equal(t, http.StatusBadRequest, a.status)
			assert.Contains(t, html.UnescapeString(a.body), `repeated parameter "state"`)
			a = send(t, "GET", consentURL(s, p, query(s, p))+"&%zz=1", nil, nil)
			assert.Contains(t, html.UnescapeString(a.body), "the query string can't be parsed")
		})
		t.Run(name+"/decision", func(t *testing.T) {
			for _, form := range []string{"", "decision=", "decision=maybe", "decision=approve&decision=deny", "%zz"} {
				a := send(t, "POST", consentURL(s, p, query(s, p)), nil, []byte(form))
				assert.Equal(t, http.StatusBadRequest, a.status, form)
			}
		})
	}
}

func TestFinchOptions(t *testing.T) {
	p := endpoints.Finch
	s := endpointstest.New(t)
	for sandbox, want := range map[string]string{"finch": "finch", "true": "finch", "provider": "provider"} {
		q := query(s, p)
		q.Set("sandbox", sandbox)
		q.Set("payroll_provider", "rippling")
		q.Set("manual", "false")
		u, err := endpointstest.Approve(t.Context(), browser(t), consentURL(s, p, q))
		require.NoError(t, err)
		m := post(t, s, p, with(exchange(s, p), map[string]any{"code": u.Query().Get("code")})).members(t)
		assert.Equal(t, want, m["connection_type"])
		assert.Equal(t, "rippling", m["provider_id"])
	}
}

func TestConsentPage(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		a := send(t, "GET", consentURL(s, p, query(s, p)), nil, nil)
		assert.Equal(t, http.StatusOK, a.status, name)
		assert.Equal(t, "text/html; charset=utf-8", a.header.Get("Content-Type"))
		assert.Equal(t, "no-store", a.header.Get("Cache-Control"))
		for _, want := range []string{
			`<html lang="en">`, "<title>Connect your " + p.Name + " account</title>", "<main>", "localhost:8080",
			`value="approve">Approve<`, `value="deny">Deny<`,
		} {
			assert.Contains(t, a.body, want)
		}
		assert.NotContains(t, a.body, s.Config(p, "").ClientSecret)
	}
}

func TestApproveAndDeny(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		t.Run(name, func(t *testing.T) {
			// A redirect URL that has a query already, and a state that needs escaping.
			const redirect, state = "http://localhost:8080/callback?tenant=7", `a&b="<é`
			s.Config(p, redirect)
			q := query(s, p)
			q.Set("redirect_uri", redirect)
			q.Set("state", state)

			u, err := endpointstest.Approve(t.Context(), nil, consentURL(s, p, q))
			require.NoError(t, err)
			got := u.Query()
			assert.NotEmpty(t, got.Get("code"))
			got.Del("code")
			assert.Equal(t, url.Values{"tenant": {"7"}, "state": {state}}, got)
			u.RawQuery = ""
			assert.Equal(t, "http://localhost:8080/callback", u.String())

			u, err = endpointstest.Deny(t.Context(), nil, consentURL(s, p, q))
			require.NoError(t, err)
			assert.Equal(t, url.Values{
				"tenant": {"7"}, "state": {state}, "error": {"access_denied"}, "error_description": {"The user said no"},
			}, u.Query())
			assert.Equal(t, 1, s.Stats(p).Approved)
			assert.Equal(t, 1, s.Stats(p).Denied)

			q.Del("state")
			u, err = endpointstest.Approve(t.Context(), nil, consentURL(s, p, q))
			require.NoError(t, err)
			assert.False(t, u.Query().Has("state"), "no state, as none was sent")
		})
	}
}

// TestEmbeddedPage hands the answer to the page that opened it, in the words that
// the providers' own JavaScript waits for.
func TestEmbeddedPage(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range map[string]endpoints.Provider{"finch": endpoints.Finch, "chart": endpoints.Chart} {
		const state = `a&b="<é{title}</code>`
		q := query(s, p)
		q.Del("redirect_uri")
		q.Set("state", state)
		page := consentURL(s, p, q)
		a := send(t, "POST", page, nil, []byte("decision=approve"))
		assert.Equal(t, http.StatusOK, a.status)
		assert.Regexp(t, `application\.postMessage\(\{"code":"[0-9a-f-]{36}","kind":"success","name":"`+name+`-auth-message","state":"a\\u0026b=\\"\\u003cé\{title\}\\u003c/code\\u003e"\}, "\*"\);`, a.body)
		a = send(t, "POST", page, nil, []byte("decision=deny"))
		assert.Contains(t, a.body, `application.postMessage({"error":"The user said no","kind":"error","name":"`+name+`-auth-message"}, "*");`)

		u, err := endpointstest.Approve(t.Context(), nil, page)
		require.NoError(t, err)
		assert.Empty(t, u.Host)
		assert.Equal(t, state, u.Query().Get("state"))
		assert.Len(t, u.Query(), 2)
		u, err = endpointstest.Deny(t.Context(), nil, page)
		require.NoError(t, err)
		assert.Equal(t, url.Values{"state": {state}, "error": {"access_denied"}, "error_description": {"The user said no"}}, u.Query())
	}
}

// TestApproveFromTheApplication starts at the application's own page, which sets a
// cookie and redirects, and goes back to it.
func TestApproveFromTheApplication(t *testing.T) {
	s := endpointstest.New(t)
	var app *httptest.Server
	app = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redirect := app.URL + "/callback"
		if r.URL.Path == "/connect" {
			s.Config(endpoints.Chart, redirect)
			q := query(s, endpoints.Chart)
			q.Set("redirect_uri", redirect)
			http.SetCookie(w, &http.Cookie{Name: "attempt", Value: "1", Path: "/callback"})
			http.Redirect(w, r, consentURL(s, endpoints.Chart, q), http.StatusFound)
			return
		}
		if c, err := r.Cookie("attempt"); err != nil || c.Value != "1" || r.FormValue("code") == "" {
			http.Error(w, "no attempt", http.StatusForbidden)
		}
	}))
	defer app.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client := &http.Client{Jar: jar}
	defer client.CloseIdleConnections()
	u, err := endpointstest.Approve(t.Context(), client, app.URL+"/connect")
	require.NoError(t, err)
	resp, err := client.Get(u.String())
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

func TestApproveElsewhere(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`<html><a href=x>hello & welcome</p><!-- <button name="decision" value="approve"> -->`))
	}))
	_, err := endpointstest.Approve(t.Context(), nil, page.URL)
	assert.EqualError(t, err, "endpointstest: no consent page to approve at, but 200 OK: it isn't a page of this server")
	page.Close()
	_, err = endpointstest.Approve(t.Context(), nil, page.URL)
	assert.ErrorContains(t, err, "endpointstest: Get ")
	_, err = endpointstest.Deny(t.Context(), nil, ":")
	assert.Error(t, err)
}
