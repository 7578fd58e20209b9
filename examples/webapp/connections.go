package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// connections is the page of a user's connections, with a button for each provider.
func (a *application) connections(w http.ResponseWriter, r *http.Request) {
	entries, next, err := a.index.ofUser(r.Context(), userOf(r), r.URL.Query().Get("after"))
	if err != nil {
		a.fail(w, r, "store", err)
		return
	}
	list := connectionList{Next: next, After: r.URL.Query().Get("after")}
	for _, e := range entries {
		list.Connections = append(list.Connections, viewOf(e))
	}
	for _, p := range a.providers {
		list.Offers = append(list.Offers, p.view())
	}
	a.render(w, r, "connections", page{Title: "Your connections", Data: list})
}

type connectionList struct {
	Connections []connectionView
	Offers      []offerView
	After, Next string
}

// connectionView is a connection as its user sees it.
type connectionView struct {
	Name, Owner, Provider, ProviderID, Account string
	Word, Group                                string // of its state
	Why, Hint                                  string // if something is wrong
	Code                                       string // the provider's own, for support
	tokensource.Status
}

func viewOf(e entry) connectionView {
	n := readName(e.Name)
	v := connectionView{
		Name: e.Name, Owner: n.owner, Provider: e.provider.provider.Name, ProviderID: n.provider, Account: n.account,
		Word: stateWords[e.Status.State].word, Group: e.group(),
		Code: e.Status.ErrorCode, Status: e.Status,
	}
	if e.Status.Reason != "" {
		v.Why, v.Hint = reasonWords[e.Status.Reason], hint(e.Status.Reason)
	}
	if errors.Is(e.Err, storage.ErrOpen) { // waiting doesn't help
		v.Why, v.Hint = damagedWhy, damagedHint
	}
	return v
}

// offerView is a provider to connect.
type offerView struct {
	ID, Name, About, Question, Example string
	Embedded                           bool
}

func (p *provider) view() offerView {
	return offerView{p.id, p.provider.Name, p.about, p.question, p.example, p.message != ""}
}

// mine returns the connection that a request is about, if it is one of the user's. That it
// is another's is no different from that there is none.
func (a *application) mine(w http.ResponseWriter, r *http.Request) (entry, bool) {
	name := r.PathValue("name")
	if readName(name).owner == userOf(r).ID {
		if e, ok := a.index.status(r.Context(), name); ok {
			return e, true
		}
	}
	a.fail(w, r, "not_found", nil)
	return entry{}, false
}

// connection is the page of one connection.
func (a *application) connection(w http.ResponseWriter, r *http.Request) {
	if e, ok := a.mine(w, r); ok {
		a.showConnection(w, r, e, nil)
	}
}

func (a *application) showConnection(w http.ResponseWriter, r *http.Request, e entry, answer *apiAnswer) {
	shown := struct {
		connectionView
		Path      string // of the API call
		Answer    *apiAnswer
		RevokeAt  string
		CanExpire bool
	}{viewOf(e), e.provider.path, answer, e.provider.revokeAt, e.Status.Refreshable}
	a.render(w, r, "connection", page{Title: shown.Provider, Data: shown})
}

// apiAnswer is what came of a call of the provider's API.
type apiAnswer struct {
	Status  string // of the answer, or ""
	Body    string
	Problem *problem // if there was none
	Took    time.Duration
}

// callTimeout bounds a call of a provider's API.
const callTimeout = 20 * time.Second

// call calls the provider's API for the connection, and shows what it says.
func (a *application) call(w http.ResponseWriter, r *http.Request) {
	e, ok := a.mine(w, r)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	began := time.Now()
	answer, err := e.provider.call(ctx, e.Name)
	if err != nil {
		answer = &apiAnswer{Problem: findProblem(problemOf(err))}
		a.log.Warn("api call", "name", e.Name, "error", err)
	}
	answer.Took = time.Since(began).Round(time.Millisecond)
	if e, ok = a.mine(w, r); ok { // as it is after the call
		a.showConnection(w, r, e, answer)
	}
}

// mostShown is how much of an answer is shown.
const mostShown = 4 << 10

// call makes one request with the connection's token. The token is fresh, and goes to the
// provider's API alone: to the account's own host, if it has one.
func (p *provider) call(ctx context.Context, name string) (*apiAnswer, error) {
	stored, err := p.manager.Source(name).Stored(ctx) // for the variables beside the token
	if err != nil {
		return nil, err
	}
	urls, err := p.config.APIURLs(stored)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, urls[0]+p.path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.manager.Client(name).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostShown))
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if json.Indent(&indented, body, "", "  ") == nil {
		body = indented.Bytes()
	}
	return &apiAnswer{Status: resp.Status, Body: string(body)}, nil
}

// disconnect revokes the grant at the provider and deletes the token. If the provider has no
// way to revoke, or the token can't be opened any more, it is deleted here alone.
func (a *application) disconnect(w http.ResponseWriter, r *http.Request) {
	e, ok := a.mine(w, r)
	if !ok {
		return
	}
	notice, manager := "disconnected", e.provider.manager
	err := manager.Disconnect(r.Context(), e.Name)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(e.Err, storage.ErrOpen) {
		notice, err = "forgotten", manager.Forget(r.Context(), e.Name)
	}
	if err != nil {
		a.fail(w, r, problemOf(err), err)
		return
	}
	http.Redirect(w, r, "/connections?notice="+notice, http.StatusSeeOther)
}
