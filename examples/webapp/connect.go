package main

import (
	"errors"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

// connect sends the user to the provider's consent page. It is also how a connection is
// made again.
func (a *application) connect(w http.ResponseWriter, r *http.Request) {
	p, account, options, ok := a.asked(w, r)
	if !ok {
		return
	}
	s, err := p.flow.Begin(w, r, p.connection(userOf(r), account), options...)
	if err != nil {
		a.refuse(w, r, p, account, err)
		return
	}
	http.Redirect(w, r, s.URL, http.StatusSeeOther)
}

// embedded shows the provider's consent page in a frame of the application's own page.
// static/embedded.js takes the code from it to the callback.
func (a *application) embedded(w http.ResponseWriter, r *http.Request) {
	p, account, options, ok := a.asked(w, r)
	if !ok {
		return
	}
	s, err := p.flow.BeginEmbedded(w, r, p.connection(userOf(r), account), options...)
	if err != nil {
		a.refuse(w, r, p, account, err)
		return
	}
	consent, err := url.Parse(s.URL)
	if err != nil {
		a.refuse(w, r, p, account, err)
		return
	}
	origin := consent.Scheme + "://" + consent.Host
	w.Header().Set("Content-Security-Policy", a.policy(origin))
	a.render(w, r, "embedded", page{Title: "Connect " + p.provider.Name, Data: map[string]string{
		"Provider": p.provider.Name, "ID": p.id, "URL": s.URL, "Origin": origin, "Message": p.message,
	}})
}

// asked reads which provider the user has chosen, and which account there.
func (a *application) asked(w http.ResponseWriter, r *http.Request) (p *provider, account string, options []oauth2.AuthCodeOption, ok bool) {
	if p = a.provider(r.PathValue("provider")); p == nil {
		a.fail(w, r, "not_found", nil)
		return nil, "", nil, false
	}
	if account, ok = p.account(r); !ok {
		a.refuse(w, r, p, "", errAccount)
		return nil, "", nil, false
	}
	if p.variable != "" {
		options = append(options, oauth2.SetAuthURLParam(p.variable, account))
	}
	return p, account, options, true
}

// errOtherUser is the error of a callback that a connection of someone else is for, and
// errAccount that of a name which no account can have.
var (
	errOtherUser = errors.New("who came back isn't logged in as the user who went")
	errAccount   = errors.New("the account's name can't be one")
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
