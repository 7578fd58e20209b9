package main

import (
	"errors"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

// connect sends the user to the provider's consent page. It is also how an account is
// connected again.
func (a *application) connect(w http.ResponseWriter, r *http.Request) {
	if _, s := a.begin(w, r, (*pkce.Flow).Begin); s != nil {
		http.Redirect(w, r, s.URL, http.StatusSeeOther)
	}
}

// embedded shows the provider's consent page in a frame of the application's own page.
// static/embedded.js takes the code from it to the callback.
func (a *application) embedded(w http.ResponseWriter, r *http.Request) {
	if p := a.provider(r.PathValue("provider")); p != nil && p.message == "" {
		a.fail(w, r, "not_found", nil)
		return
	}
	p, s := a.begin(w, r, (*pkce.Flow).BeginEmbedded)
	if s == nil {
		return
	}
	consent, err := url.Parse(s.URL)
	if err != nil {
		a.fail(w, r, "failed", err)
		return
	}
	origin := consent.Scheme + "://" + consent.Host
	w.Header().Set("Content-Security-Policy", a.policy(origin))
	a.render(w, r, "embedded", page{Title: "Connect " + p.provider.Name, Data: map[string]string{
		"Provider": p.provider.Name, "ID": p.id, "URL": s.URL, "Origin": origin, "Message": p.message,
	}})
}

// beginner is one of the two methods of a Flow that begin an attempt.
type beginner func(f *pkce.Flow, w http.ResponseWriter, r *http.Request, connection string, opts ...oauth2.AuthCodeOption) (*pkce.Session, error)

// begin begins to connect the account that the user has chosen. If it can't, it answers the
// request, and returns nil.
func (a *application) begin(w http.ResponseWriter, r *http.Request, begin beginner) (*provider, *pkce.Session) {
	p := a.provider(r.PathValue("provider"))
	if p == nil {
		a.fail(w, r, "not_found", nil)
		return nil, nil
	}
	account, options, err := p.account(r)
	if err != nil {
		a.refuse(w, r, p, "", err)
		return nil, nil
	}
	s, err := begin(p.flow, w, r, p.connection(userOf(r), account), options...)
	if err != nil {
		a.refuse(w, r, p, account, err)
		return nil, nil
	}
	return p, s
}

// errAccount is the error of a name that no account can have, and errOtherUser that of a
// callback for a connection of someone else.
var (
	errAccount   = errors.New("no account can have that name")
	errOtherUser = errors.New("who came back isn't logged in as the user who went")
)

// callback is where the provider sends the user back to, and where the embedded page sends
// what it was told.
func (a *application) callback(p *provider) http.Handler {
	return p.flow.Callback(func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
		if errors.Is(err, pkce.ErrAlreadyUsed) {
			// A reload or a second click. What the first one came to is what that page shows.
			http.Redirect(w, r, "/connections?notice=opened_twice", http.StatusSeeOther)
			return
		}
		account := ""
		if s != nil { // it is nil if the state didn't verify
			account = readName(s.Connection).account
		}
		if err == nil {
			err = a.checkUser(r, s)
		}
		if err == nil {
			err = p.manager.Save(r.Context(), s.Connection, t)
		}
		// Either answer is a redirect, so that a reload doesn't repeat the callback, and its
		// code isn't in the URL of what the user looks at.
		if err != nil {
			a.refuse(w, r, p, account, err)
			return
		}
		http.Redirect(w, r, "/connections?notice=connected", http.StatusSeeOther)
	})
}

// checkUser compares who is logged in now with who began. The cookie of the attempt proves
// that it is the same browser; in the meantime, someone else may have logged in there, and
// would have this account under their name.
func (a *application) checkUser(r *http.Request, s *pkce.Session) error {
	u, err := a.sessions.user(r)
	if err != nil {
		return err
	}
	if u == nil || u.ID != readName(s.Connection).owner {
		// The token is dropped. It isn't revoked: at some providers, that would end another
		// connection of the same account, too.
		return errOtherUser
	}
	return nil
}
