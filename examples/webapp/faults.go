package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// fault is something that can go wrong, and that a button makes go wrong.
type fault struct {
	ID, Title, Text string
	Problem         string             // the failure that follows, or
	Reason          tokensource.Reason // that of the connection's status, or
	Notice          string             // what one is told
	try             func(s *sandbox, w http.ResponseWriter, r *http.Request) error
}

type faultGroup struct {
	Title, Text string
	Faults      []fault
}

// faultGroups are all faults. The first group goes through the application's own handlers:
// the sandbox plays the user at the consent page, and the browser is sent to the callback.
func faultGroups() []faultGroup {
	return []faultGroup{
		{"While an account is connected", "Each button begins to connect TaxRock, and presses Approve at the provider for you.", connectFaults},
		{"While a connection is used", "Each button connects an account for you, makes trouble, and calls the provider's API. You see what becomes of the connection.", useFaults},
		{"In the application", "The store of tokens, and what users type.", ownFaults},
	}
}

var connectFaults = []fault{
	{ID: "denied", Title: "The user says no", Text: "Deny is pressed instead.", Problem: "denied", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Deny, nil)
	}},
	{ID: "late", Title: "The code has expired", Text: "The user comes back after half an hour.", Problem: "code_rejected", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error { s.server.Advance(30 * time.Minute); return nil })
	}},
	{ID: "secret", Title: "The client secret is wrong", Text: "The exchange is sent with another secret.", Problem: "client_rejected", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error { s.wrongSecret(s.taxrock()); return nil })
	}},
	{ID: "redirect", Title: "The redirect URL is wrong", Text: "The exchange names another redirect URL.", Problem: "redirect_mismatch", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error {
			redirectURL := s.taxrock().config.RedirectURL()
			s.network.set(redirectURL, redirectURL+"/elsewhere")
			return nil
		})
	}},
	{ID: "state", Title: "The state is lost", Text: "The browser comes back without the attempt's cookie.", Problem: "state", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error { w.Header().Del("Set-Cookie"); return nil })
	}},
	{ID: "twice", Title: "The callback is opened twice", Text: "As by a double click. It works the first time.", Notice: "opened_twice", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(callback *url.URL) error { return s.open(w, r, callback) })
	}},
	{ID: "other-user", Title: "Someone else comes back", Text: "Another user logs in to this browser meanwhile. You are that user then.", Problem: "other_user", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error {
			other := "bob"
			if userOf(r).ID == other {
				other = "alice"
			}
			return s.app.sessions.begin(w, r, findUser(other))
		})
	}},
	{ID: "down", Title: "The provider is down", Text: "It answers the exchange with 503.", Problem: "provider_trouble", try: failExchange(endpointstest.Unavailable)},
	{ID: "lost", Title: "The answer is lost", Text: "The connection is cut when the code has been taken.", Problem: "provider_trouble", try: failExchange(endpointstest.LostAnswer)},
	{ID: "busy", Title: "The provider is busy", Text: "It answers the exchange with 429.", Problem: "rate_limited", try: failExchange(endpointstest.RateLimited)},
	{ID: "firewall", Title: "A firewall answers", Text: "A page comes instead of a token.", Problem: "unreadable", try: failExchange(endpointstest.Firewall)},
	{ID: "scope", Title: "A permission is missing", Text: "The provider doesn't grant what is asked for.", Problem: "insufficient_scope", try: failExchange(endpointstest.InsufficientScope)},
}

var useFaults = []fault{
	{ID: "revoked", Title: "The user revokes at TaxRock", Text: "The renewal is refused: invalid_grant.", Reason: tokensource.ReasonRevoked, try: useWith("taxrock", "", func(s *sandbox, p *provider) { s.server.RevokeAll(p.provider) })},
	{ID: "rejected", Title: "The user revokes at Finch", Text: "Its tokens can't be renewed: the API itself says so.", Reason: tokensource.ReasonRejected, try: useWith("finch", "", func(s *sandbox, p *provider) { s.server.RevokeAll(p.provider) })},
	{ID: "renewal-lost", Title: "The answer to a renewal is lost", Text: "Zendesk takes a refresh token once, and its answer never arrives.", Reason: tokensource.ReasonResponseLost, try: useWith("zendesk", "tea-house", func(s *sandbox, p *provider) {
		s.server.Advance(25 * time.Hour)
		s.server.Fail(p.provider, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: endpointstest.LostAnswer, Times: 1})
	})},
	{ID: "renewal-down", Title: "The provider is down for a while", Text: "A renewal is answered with 503, until you end it.", Reason: tokensource.ReasonUnavailable, try: useWith("taxrock", "", func(s *sandbox, p *provider) {
		s.server.Advance(2 * time.Hour)
		s.setOutage(p, endpointstest.Unavailable, "TaxRock's token endpoint is down.")
	})},
	{ID: "renewal-busy", Title: "The provider asks to slow down", Text: "A renewal is answered with 429, until you end it.", Reason: tokensource.ReasonRateLimited, try: useWith("taxrock", "", func(s *sandbox, p *provider) {
		s.server.Advance(2 * time.Hour)
		s.setOutage(p, endpointstest.RateLimited, "TaxRock's token endpoint has too many requests.")
	})},
	{ID: "renewal-secret", Title: "The secret has changed", Text: "A renewal is sent with the old one.", Reason: tokensource.ReasonMisconfigured, try: useWith("taxrock", "", func(s *sandbox, p *provider) {
		s.server.Advance(2 * time.Hour)
		s.wrongSecret(p)
	})},
}

var ownFaults = []fault{
	{ID: "store", Title: "The store is down", Text: "Until you end it. The account is connected at the provider, and can't be saved.", Problem: "store", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error { s.store.down.Store(true); return nil })
	}},
	{ID: "damaged", Title: "A record can't be opened", Text: "Chart's is overwritten with what no key opens, as if its key were lost.", Reason: tokensource.ReasonStore, try: (*sandbox).damage},
	{ID: "account", Title: "There can't be such an account", Text: "The user types “tea house/” for the subdomain of Zendesk.", Problem: "account", try: func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		r.PostForm.Set("account", "tea house/")
		r.SetPathValue("provider", "zendesk")
		s.app.connect(w, r)
		return nil
	}},
}

// try makes something go wrong, and nothing else.
func (s *sandbox) try(w http.ResponseWriter, r *http.Request) {
	s.endTrouble()
	r.ParseForm() // which leaves an empty one if it can't
	for _, g := range faultGroups() {
		for _, f := range g.Faults {
			if f.ID == r.PathValue("fault") {
				if err := f.try(s, w, r); err != nil {
					s.app.fail(w, r, "failed", err)
				}
				return
			}
		}
	}
	s.app.fail(w, r, "not_found", nil)
}

func (s *sandbox) taxrock() *provider { return s.app.provider("taxrock") }

// comeBack begins to connect TaxRock, decides at the consent page, does what goes wrong on
// the way, and sends the browser to the callback.
func (s *sandbox) comeBack(w http.ResponseWriter, r *http.Request, decide func(context.Context, *http.Client, string) (*url.URL, error), onTheWay func(callback *url.URL) error) error {
	p := s.taxrock()
	attempt, err := p.flow.Begin(w, r, p.connection(userOf(r), ""))
	if err != nil {
		return err
	}
	callback, err := decide(r.Context(), nil, attempt.URL)
	if err != nil {
		return err
	}
	if onTheWay != nil {
		if err := onTheWay(callback); err != nil {
			return err
		}
	}
	http.Redirect(w, r, callback.String(), http.StatusSeeOther)
	return nil
}

// open opens the callback as the browser will, with its cookies and those that it is about
// to get.
func (s *sandbox) open(w http.ResponseWriter, r *http.Request, callback *url.URL) error {
	first, err := http.NewRequestWithContext(r.Context(), http.MethodGet, callback.String(), nil)
	if err != nil {
		return err
	}
	for _, c := range r.Cookies() {
		first.AddCookie(c)
	}
	for _, line := range w.Header()["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil {
			return err
		}
		first.AddCookie(c)
	}
	s.app.handler.ServeHTTP(discarded{make(http.Header)}, first)
	return nil
}

// discarded is an answer that nobody reads.
type discarded struct{ header http.Header }

func (d discarded) Header() http.Header         { return d.header }
func (d discarded) Write(b []byte) (int, error) { return len(b), nil }
func (d discarded) WriteHeader(int)             {}

func failExchange(trouble endpointstest.Trouble) func(*sandbox, http.ResponseWriter, *http.Request) error {
	return func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		return s.comeBack(w, r, endpointstest.Approve, func(*url.URL) error {
			s.server.Fail(s.taxrock().provider, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: trouble, Times: 1, RetryAfter: time.Minute})
			return nil
		})
	}
}

// wrongSecret has the next token request to p be sent with another secret.
func (s *sandbox) wrongSecret(p *provider) {
	s.network.set(s.server.Config(p.provider, "").ClientSecret, "another secret")
}

// useWith connects the user, makes trouble, calls the API, and shows the connection.
func useWith(id, account string, trouble func(*sandbox, *provider)) func(*sandbox, http.ResponseWriter, *http.Request) error {
	return func(s *sandbox, w http.ResponseWriter, r *http.Request) error {
		p := s.app.provider(id)
		name, err := s.connect(r.Context(), p, userOf(r), account)
		if err != nil {
			return err
		}
		trouble(s, p)
		p.call(r.Context(), name) // what comes of it is what the page shows
		http.Redirect(w, r, "/connections/"+name, http.StatusSeeOther)
		return nil
	}
}

// damage overwrites a record, below what encrypts it.
func (s *sandbox) damage(w http.ResponseWriter, r *http.Request) error {
	name, err := s.connect(r.Context(), s.app.provider("chart"), userOf(r), "")
	if err != nil {
		return err
	}
	_, version, err := s.store.Get(r.Context(), name)
	if err != nil {
		return err
	}
	if _, err := s.store.Put(r.Context(), name, fmt.Append(nil, "damaged"), version); err != nil {
		return err
	}
	s.app.index.update(r.Context(), name)
	http.Redirect(w, r, "/connections/"+name, http.StatusSeeOther)
	return nil
}
