package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/storage"
)

// What stands in this file, faults.go and trouble.go serves the demonstration alone: nothing of it
// belongs into an application.

// sandbox acts as the providers, and makes trouble.
type sandbox struct {
	app     *application
	server  *endpointstest.Server
	store   *breakableStore
	network *distortion

	mu     sync.Mutex
	outage map[string]string // by the provider's id, what is wrong there
}

func newSandbox(a *application, tokens storage.Store) (*sandbox, error) {
	var definitions []endpoints.Provider
	for _, o := range offers {
		definitions = append(definitions, o.provider)
	}
	server, err := endpointstest.StartProgram(definitions...)
	if err != nil {
		return nil, err
	}
	policy := server.Policy(endpoints.Zendesk)
	policy.Rotate = true
	server.SetPolicy(endpoints.Zendesk, policy)
	return &sandbox{
		app: a, server: server,
		store:   &breakableStore{Store: tokens},
		network: &distortion{},
		outage:  make(map[string]string),
	}, nil
}

func (s *sandbox) routes(mux *http.ServeMux) {
	a := s.app
	mux.Handle("GET /sandbox", a.forUser(s.page))
	mux.Handle("POST /sandbox/end", a.forUser(s.end))
	mux.Handle("POST /sandbox/try/{fault}", a.forUser(s.try))
	mux.Handle("POST /sandbox/expire/{name...}", a.forUser(s.expire))
	mux.Handle("POST /sandbox/revoke/{name...}", a.forUser(s.revoke))
}

// page lists what can go wrong.
func (s *sandbox) page(w http.ResponseWriter, r *http.Request) {
	s.app.render(w, r, "sandbox", page{Title: "Try what goes wrong", Data: faultGroups()})
}

// expire has an hour pass at the provider. The application's own clock stays as it is, and
// so it isn't told.
func (s *sandbox) expire(w http.ResponseWriter, r *http.Request) {
	if e, ok := s.app.mine(w, r); ok {
		s.server.Advance(time.Hour + time.Minute)
		http.Redirect(w, r, "/connections/"+e.Name+"?notice=expired", http.StatusSeeOther)
	}
}

// revoke ends the grant of a connection.
func (s *sandbox) revoke(w http.ResponseWriter, r *http.Request) {
	e, ok := s.app.mine(w, r)
	if !ok {
		return
	}
	if err := s.endGrant(r.Context(), e.provider, e.Name); err != nil {
		s.app.fail(w, r, problemOf(err), err)
		return
	}
	http.Redirect(w, r, "/connections/"+e.Name+"?notice=revoked", http.StatusSeeOther)
}

// endGrant ends a grant, as when its user does so at the provider.
func (s *sandbox) endGrant(ctx context.Context, p *provider, name string) error {
	t, err := p.manager.Source(name).Stored(ctx)
	if err == nil {
		s.server.Revoke(p.provider, t)
	}
	return err
}

// end ends all trouble.
func (s *sandbox) end(w http.ResponseWriter, r *http.Request) {
	s.endTrouble()
	http.Redirect(w, r, "/sandbox?notice=ended", http.StatusSeeOther)
}

func (s *sandbox) endTrouble() {
	for _, p := range s.app.providers {
		s.server.Clear(p.provider)
	}
	s.store.down.Store(false)
	s.network.set("", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.outage)
}

// troubles are what the sandbox is making now, for the banner on each page.
func (s *sandbox) troubles() (list []string) {
	if s.store.down.Load() {
		list = append(list, "The store of tokens is down.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.app.providers {
		if what := s.outage[p.id]; what != "" {
			list = append(list, what)
		}
	}
	return list
}

// setOutage has a provider's token endpoint be in trouble until end is called.
func (s *sandbox) setOutage(p *provider, trouble endpointstest.Trouble, what string) {
	s.server.Fail(p.provider, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: trouble, RetryAfter: time.Minute})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage[p.id] = what
}

// connect connects the user to p anew, without the consent page.
func (s *sandbox) connect(ctx context.Context, p *provider, u *user, account string) (name string, err error) {
	name = p.connection(u, account)
	if err := p.manager.Forget(ctx, name); err != nil {
		return "", err
	}
	if p.variable != "" {
		s.server.SetVars(p.provider, map[string]string{p.variable: account})
	}
	t := s.server.Connect(p.provider)
	if p.variable != "" {
		t = t.WithExtra(map[string]any{p.variable: account})
	}
	return name, p.manager.Save(ctx, name, t)
}

// breakableStore is a store that can be down.
type breakableStore struct {
	storage.Store
	down  atomic.Bool
	reads atomic.Int64
}

var errDown = errors.New("the sandbox has the store down")

func (b *breakableStore) Get(ctx context.Context, name string) ([]byte, storage.Version, error) {
	b.reads.Add(1)
	if b.down.Load() {
		return nil, "", errDown
	}
	return b.Store.Get(ctx, name)
}

func (b *breakableStore) Put(ctx context.Context, name string, value []byte, old storage.Version) (storage.Version, error) {
	if b.down.Load() {
		return "", errDown
	}
	return b.Store.Put(ctx, name, value, old)
}

func (b *breakableStore) Delete(ctx context.Context, name string, old storage.Version) error {
	if b.down.Load() {
		return errDown
	}
	return b.Store.Delete(ctx, name, old)
}

// Names implements storage.Lister.
func (b *breakableStore) Names(ctx context.Context) iter.Seq2[string, error] {
	if b.down.Load() {
		return func(yield func(string, error) bool) { yield("", errDown) }
	}
	return b.Store.(storage.Lister).Names(ctx)
}

// distortion sends what the application sends to the provider, and the next request that
// has a text in its body with another one: as if the application had been set up so.
type distortion struct {
	mu       sync.Mutex
	old, new string
}

func (d *distortion) set(old, new string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.old, d.new = old, new
}

// RoundTrip implements http.RoundTripper.
func (d *distortion) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, err
	}
	body = []byte(d.change(string(body)))
	r = r.Clone(r.Context())
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	return http.DefaultTransport.RoundTrip(r)
}

func (d *distortion) change(body string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.old == "" || !strings.Contains(body, d.old) {
		return body
	}
	body = strings.ReplaceAll(body, d.old, d.new)
	d.old = ""
	return body
}
