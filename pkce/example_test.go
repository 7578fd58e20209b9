package pkce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/storage"
)

// A web application, and a browser that goes through it.
func ExampleFlow() {
	provider := newProvider()
	defer provider.Close()
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		fmt.Println(err)
		return
	}

	mux := http.NewServeMux()
	app := httptest.NewServer(mux)
	defer app.Close()
	flow := &pkce.Flow{
		Config: &oauth2.Config{
			ClientID:    "my-app",
			RedirectURL: app.URL + "/callback",
			Endpoint: oauth2.Endpoint{
				AuthURL:   provider.URL + "/authorize",
				TokenURL:  provider.URL + "/token",
				AuthStyle: oauth2.AuthStyleInParams,
			},
		},
		Sealer: keys,
	}
	mux.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
		s, err := flow.Begin(w, r, "acct-7")
		if err != nil {
			http.Error(w, "Can't connect now.", http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, s.URL, http.StatusFound)
	})
	mux.Handle("/callback", flow.Callback(
		func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
			switch {
			case err == nil:
				fmt.Fprintf(w, "%s is connected: %v", s.Connection, t.Valid())
			case errors.Is(err, pkce.ErrAlreadyUsed): // a reload
				fmt.Fprintf(w, "%s: done before", s.Connection)
			default:
				fmt.Fprint(w, errors.Is(err, pkce.ErrState))
			}
		}))

	jar, _ := cookiejar.New(nil)
	browser := &http.Client{Jar: jar}
	show := func(resp *http.Response, err error) {
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(string(body))
	}
	show(browser.Get(app.URL + "/connect"))
	show(browser.Get(app.URL + "/callback?code=stolen&state=guessed"))
	// Output:
	// acct-7 is connected: true
	// true
}

// A command-line program keeps the Session in memory. The provider sends the
// browser back to a port that the program listens on.
func ExampleSession() {
	provider := newProvider()
	defer provider.Close()
	config := &oauth2.Config{
		ClientID: "my-tool",
		Endpoint: oauth2.Endpoint{
			AuthURL:   provider.URL + "/authorize",
			TokenURL:  provider.URL + "/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	s := &pkce.Session{Connection: "me"}
	callbacks := make(chan url.Values, 1)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case callbacks <- r.URL.Query():
			fmt.Fprintln(w, "You can close this window.")
		default:
			http.Error(w, "This was done already.", http.StatusGone)
		}
	}))
	defer local.Close()
	config.RedirectURL = local.URL

	consentURL, err := s.Authorize(context.Background(), config)
	if err != nil {
		fmt.Println(err)
		return
	}
	openBrowser(consentURL)
	token, err := s.Exchange(context.Background(), config, <-callbacks)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Connection, "is connected:", token.Valid())
	// Output: me is connected: true
}

func openBrowser(u string) {
	resp, err := http.Get(u)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()
}

// newProvider returns an authorization server that approves everything.
func newProvider() *httptest.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		answer := url.Values{"state": q["state"], "code": {q.Get("code_challenge")}}
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+answer.Encode(), http.StatusFound)
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code") != oauth2.S256ChallengeFromVerifier(r.FormValue("code_verifier")) {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"token","token_type":"Bearer"}`)
	})
	return httptest.NewServer(mux)
}
