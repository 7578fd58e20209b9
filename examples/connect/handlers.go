package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

func (a *application) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", a.home)
	mux.HandleFunc("POST /connect", a.connect)
	mux.Handle("/callback", a.flow.Callback(a.connected))
	return http.NewCrossOriginProtection().Handler(mux) // only our own pages can press a button
}

// only refuses requests for another host: a page elsewhere that has its own name stand for this
// machine (DNS rebinding) could read ours.
func only(host string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != host {
			http.Error(w, "this application is at "+host, http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// account names the connection. In your application it is made of the user who is logged in.
func account(*http.Request) string { return "github/alice" }

func (a *application) connect(w http.ResponseWriter, r *http.Request) {
	s, err := a.flow.Begin(w, r, account(r))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	http.Redirect(w, r, s.URL, http.StatusSeeOther)
}

func (a *application) connected(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
	if err == nil && s.Connection != account(r) {
		err = errors.New("another user began this")
	}
	if err == nil {
		err = a.manager.Save(r.Context(), s.Connection, t)
	}
	switch {
	case err == nil, errors.Is(err, pkce.ErrAlreadyUsed):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case errors.Is(err, pkce.ErrDenied):
		page(w, http.StatusOK, "You said no, and nothing was connected.", "Connect after all")
	case errors.Is(err, pkce.ErrState):
		page(w, http.StatusBadRequest, "This took too long, or began in another browser.", "Try again")
	default:
		page(w, http.StatusBadGateway, endpoints.KindOf(err).Hint()+" ("+err.Error()+")", "Try again")
	}
}

// home calls the API and shows what it answers, or why it can't be called.
func (a *application) home(w http.ResponseWriter, r *http.Request) {
	req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, a.api+"/user", nil)
	if err != nil {
		page(w, http.StatusInternalServerError, err.Error(), "Connect")
		return
	}
	resp, err := a.manager.Client(account(r)).Do(req)
	switch {
	case errors.Is(err, tokensource.ErrLoginRequired):
		page(w, http.StatusOK, "The account isn't connected.", "Connect")
	case err != nil:
		page(w, http.StatusBadGateway, err.Error(), "Connect again")
	default:
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			page(w, http.StatusBadGateway, err.Error(), "Connect again")
			return
		}
		page(w, http.StatusOK, fmt.Sprintf("Connected. The API answers %s: %s", resp.Status, body), "Connect again")
	}
}
