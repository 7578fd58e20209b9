package main

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// visit is the press of a button at which something goes wrong.
type visit struct {
	*sandbox
	w http.ResponseWriter
	r *http.Request

	provider *provider
	callback *url.URL // that the browser is sent to
	name     string   // of the connection that is used
}

// connecting begins to connect TaxRock, presses Approve at the consent page, has what goes
// wrong happen on the way, and sends the browser to the callback.
func connecting(onTheWay func(*visit) error) func(*visit) error {
	return func(v *visit) error {
		if err := v.decide(endpointstest.Approve); err != nil {
			return err
		}
		if err := onTheWay(v); err != nil {
			return err
		}
		http.Redirect(v.w, v.r, v.callback.String(), http.StatusSeeOther)
		return nil
	}
}

// decide begins to connect TaxRock, and presses a button at the consent page.
func (v *visit) decide(press func(context.Context, *http.Client, string) (*url.URL, error)) error {
	v.provider = v.app.provider("taxrock")
	attempt, err := v.provider.flow.Begin(v.w, v.r, v.provider.connection(userOf(v.r), ""))
	if err == nil {
		v.callback, err = press(v.r.Context(), nil, attempt.URL)
	}
	return err
}

func (v *visit) deny() error {
	if err := v.decide(endpointstest.Deny); err != nil {
		return err
	}
	http.Redirect(v.w, v.r, v.callback.String(), http.StatusSeeOther)
	return nil
}

func (v *visit) late() error {
	v.server.Advance(30 * time.Minute)
	return nil
}

func (v *visit) wrongSecret() error {
	v.network.set(v.server.Config(v.provider.provider, "").ClientSecret, "another secret")
	return nil
}

func (v *visit) wrongRedirect() error {
	v.network.set(v.provider.config.RedirectURL(), v.provider.config.RedirectURL()+"/elsewhere")
	return nil
}

func (v *visit) loseCookie() error {
	v.w.Header().Del("Set-Cookie")
	return nil
}

func (v *visit) becomeAnother() error {
	other := "bob"
	if userOf(v.r).ID == other {
		other = "alice"
	}
	return v.app.sessions.begin(v.w, v.r, findUser(other))
}

func (v *visit) storeDown() error {
	v.store.down.Store(true)
	return nil
}

// openCallback opens the callback as the browser will once more, with its cookies and those that it is
// about to get.
func (v *visit) openCallback() error {
	first, err := http.NewRequestWithContext(v.r.Context(), http.MethodGet, v.callback.String(), nil)
	if err != nil {
		return err
	}
	for _, c := range v.r.Cookies() {
		first.AddCookie(c)
	}
	for _, line := range v.w.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			return err
		}
		first.AddCookie(c)
	}
	v.app.handler.ServeHTTP(discarded{make(http.Header)}, first)
	return nil
}

// discarded is an answer that nobody reads.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}

// once has the next token request run into trouble.
func once(trouble endpointstest.Trouble) func(*visit) error {
	return func(v *visit) error {
		v.server.Fail(v.provider.provider, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: trouble, Times: 1, RetryAfter: time.Minute})
		return nil
	}
}

// untilEnd has all token requests run into trouble until the user ends it.
func untilEnd(trouble endpointstest.Trouble, what string) func(*visit) error {
	return func(v *visit) error {
		v.setOutage(v.provider, trouble, v.provider.provider.Name+"'s token endpoint "+what+".")
		return nil
	}
}

// using connects the user, makes trouble, calls the API, and shows the connection.
func using(id string, troubles ...func(*visit) error) func(*visit) error {
	return func(v *visit) (err error) {
		v.provider = v.app.provider(id)
		account := v.provider.example // "" if it has no accounts with names
		if v.name, err = v.connect(v.r.Context(), v.provider, userOf(v.r), account); err != nil {
			return err
		}
		for _, trouble := range troubles {
			if err := trouble(v); err != nil {
				return err
			}
		}
		v.provider.call(v.r.Context(), v.name) // what comes of it is what the page shows
		http.Redirect(v.w, v.r, "/connections/"+v.name, http.StatusSeeOther)
		return nil
	}
}

func (v *visit) revoke() error { return v.endGrant(v.r.Context(), v.provider, v.name) }

func (v *visit) expire() error {
	v.server.Advance(2 * time.Hour)
	return nil
}

// damage overwrites a record, below what encrypts it.
func (v *visit) damage() error {
	_, version, err := v.store.Get(v.r.Context(), v.name)
	if err != nil {
		return err
	}
	if _, err := v.store.Put(v.r.Context(), v.name, []byte("damaged"), version); err != nil {
		return err
	}
	v.app.index.update(v.r.Context(), v.name)
	return nil
}

func (v *visit) typeNonsense() error {
	v.r.ParseForm() // there is nothing in it
	v.r.PostForm.Set("account", "tea house/")
	v.r.SetPathValue("provider", "zendesk")
	v.app.connect(v.w, v.r)
	return nil
}
