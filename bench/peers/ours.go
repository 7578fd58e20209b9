package main

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// keeper is this module's side.
type keeper struct {
	w           *world
	config      *endpoints.Config
	memory, dir *tokensource.Manager
}

func (w *world) keeper() (*keeper, error) {
	p := endpoints.Provider{Name: "loopback", Endpoint: w.oauth.Endpoint}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	k := &keeper{w: w, config: p.Config(*w.oauth)}
	k.memory, k.dir = k.manager(new(storage.Memory), w.provider.URL), k.manager(w.dir, w.provider.URL)
	return k, nil
}

// manager returns a Manager for an API at a URL.
func (k *keeper) manager(s storage.Store, api string) *tokensource.Manager {
	return &tokensource.Manager{Config: k.config, Store: storage.Encrypt(s, k.w.keys), APIURLs: []string{api}, Base: newTransport()}
}

// saved returns the name of a new connection.
func (k *keeper) saved(m *tokensource.Manager, t *oauth2.Token) (string, error) {
	name := connection(k.w.names.Add(1))
	return name, m.Save(k.w.ctx, name, t)
}

func connection(i uint64) string { return fmt.Sprintf("customer-%08d", i) }

func (k *keeper) cached() side { return k.cachedToken(newToken(current, 24*time.Hour)) }

func (k *keeper) cachedExtra() side { return k.cachedToken(withExtra(newToken(current, 24*time.Hour))) }

func (k *keeper) cachedToken(t *oauth2.Token) side {
	s, err := k.source(t)
	if err != nil {
		return failing(ours, err)
	}
	return same(ours, func() (string, error) {
		t, err := s.Token()
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	})
}

func (k *keeper) cachedKept() side {
	s, err := k.source(newToken(current, 24*time.Hour))
	if err != nil {
		return failing(ours, err)
	}
	return kept(ours, s)
}

// source returns the source of a new connection.
func (k *keeper) source(t *oauth2.Token) (*tokensource.Source, error) {
	name, err := k.saved(k.memory, t)
	return k.memory.Source(name), err
}

// kept returns a side that keeps each token until it has the next, for one goroutine.
func kept(library string, s oauth2.TokenSource) side {
	var last *oauth2.Token
	return same(library, func() (string, error) {
		t, err := s.Token()
		if err != nil {
			return "", err
		}
		last = t
		return last.AccessToken, nil
	})
}

// withExtra adds what providers send beside a token.
func withExtra(t *oauth2.Token) *oauth2.Token {
	return t.WithExtra(map[string]any{"scope": "accounts transactions offline_access", "user_id": "usr_1234567890", "tenant": "ten_1234567890"})
}

func (k *keeper) roundTrip() side {
	m := k.manager(new(storage.Memory), noopURL)
	m.Base = noop{}
	name, err := k.saved(m, newToken(current, 24*time.Hour))
	if err != nil {
		return failing(ours, err)
	}
	return roundTrips(ours, m.Client(name).Transport.RoundTrip)
}

func (k *keeper) loopback() side {
	name, err := k.saved(k.memory, newToken(current, 24*time.Hour))
	if err != nil {
		return failing(ours, err)
	}
	return k.w.overLoopback(ours, k.memory.Client(name))
}

func (k *keeper) exchange() side {
	return same(ours, func() (string, error) {
		t, err := k.config.Exchange(k.w.ctx, "code")
		if err != nil {
			return "", err
		}
		return t.AccessToken, nil
	})
}

// refresh asks for the token of a connection whose token is expired, each time of
// another one. The new token is saved when it is returned.
func (k *keeper) refresh(library string, m *tokensource.Manager) side {
	return side{library, func(goroutines, n int) ([]op, error) {
		sources := make(chan *tokensource.Source, goroutines*n)
		for range cap(sources) {
			name, err := k.saved(m, newToken(expired, -time.Hour))
			if err != nil {
				return nil, err
			}
			sources <- m.Source(name)
		}
		return same(library, func() (string, error) { return k.token(<-sources) }).begin(goroutines, n)
	}}
}

func (k *keeper) token(s *tokensource.Source) (string, error) {
	t, err := s.TokenContext(k.w.ctx)
	if err != nil {
		return "", err
	}
	return t.AccessToken, nil
}

func (k *keeper) herd() side {
	return k.w.herd(ours, func() (op, error) {
		name, err := k.saved(k.memory, newToken(expired, -time.Hour))
		s := k.memory.Source(name)
		return func() (string, error) { return k.token(s) }, err
	})
}

// lastRecord is a Store that holds the record that was put last.
type lastRecord struct{ sealed []byte }

func (l *lastRecord) Get(context.Context, string) ([]byte, storage.Version, error) {
	if l.sealed == nil {
		return nil, "", storage.ErrNotFound
	}
	return l.sealed, "1", nil
}

func (l *lastRecord) Put(_ context.Context, _ string, sealed []byte, _ storage.Version) (storage.Version, error) {
	l.sealed = sealed
	return "1", nil
}

func (l *lastRecord) Delete(context.Context, string, storage.Version) error {
	l.sealed = nil
	return nil
}

// idle returns what makes sources that have read their token from a store, in a process
// that isn't the one that saved it.
func (k *keeper) idle() func(*oauth2.Token) (any, error) {
	last := new(lastRecord)
	other, m := k.manager(last, noopURL), k.manager(last, noopURL)
	return func(t *oauth2.Token) (any, error) {
		last.sealed = nil
		name, err := k.saved(other, t)
		if err != nil {
			return nil, err
		}
		s := m.Source(name)
		_, err = k.token(s)
		return s, err
	}
}
