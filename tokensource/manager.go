package tokensource

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"sync"
	"time"
	"weak"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Refresher refreshes tokens. *endpoints.Refresher and *oauth2.Refresher are Configs; of the
// latter, Endpoint.AuthStyle must be set, since auto-detection would spend a
// refresh token twice.
//
// If it also has the method Revoke(context.Context, *oauth2.Token) error, Disconnect
// calls it; if it has APIURLs() []string, Client sends tokens to that origin; and if it
// has TokenRejected(*http.Response) (code string, rejected bool), Client asks it
// what a 401 means. *endpoints.Refresher has them all.
type Refresher interface {
	// TokenSource returns a source whose Token spends t's refresh token.
	TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource
}

// Manager keeps the tokens of one provider's connections: saved, encrypted, fresh
// and never lost. A connection is one account's grant, stored under a key that the
// application chooses.
//
// Config and Store are required; every other field has a useful zero value. The
// fields must not be changed once a method was called. A Manager is safe for
// concurrent use and must not be copied. Programs on other machines may use the
// same store at the same time.
type Manager struct {
	Config Refresher
	Store  *storage.Encrypted

	// OnEvent, if not nil, is told what happens to connections. It is called in the
	// middle of things, by several goroutines at a time: it must return soon, and
	// must not call Flush or wait for a token of the connection that it is told
	// about.
	OnEvent func(context.Context, Event)

	// EarlyExpiry is how long before its end a token is refreshed. Zero means a
	// quarter of its life and at most five minutes, which suits all lifetimes. It
	// never comes to more than half of a token's life.
	EarlyExpiry time.Duration

	// RefreshTimeout ends a token request that hangs. Zero means 30 seconds.
	RefreshTimeout time.Duration

	// KeepAlive is how long Run lets a connection go without a refresh. Zero means a
	// week. It must be shorter than the time after which the provider forgets a
	// refresh token that isn't used.
	KeepAlive time.Duration

	// APIURL is any URL of the API that Client's tokens are for; they are sent to
	// its origin and no other. It is needed only if Config doesn't say it.
	APIURL string

	// Base makes the HTTP requests of Client, and those for tokens if the context
	// holds no oauth2.HTTPClient. Nil means http.DefaultTransport.
	Base http.RoundTripper

	// RequestContext, if not nil, makes the context of token requests from that of the
	// caller. It is the place for the RequestContext method of a Provider of package
	// endpoints if Config is a plain *oauth2.Config.
	RequestContext func(context.Context) context.Context

	mu      sync.Mutex // guards what follows
	sources map[string]weak.Pointer[Source]
	unsaved map[*Source]bool
	saveNow chan struct{} // wakes who saves them; nil if nobody does

	apiOnce sync.Once
	apiURL  *url.URL // of the API, as the fields say
	apiErr  error

	busy       tally
	testRandom func() float64
}

// check reports what is missing.
func (m *Manager) check() error {
	switch c := m.Config.(type) {
	case nil:
		return errors.New("tokensource: Manager.Config is not set")
	case *oauth2.Config:
		if c == nil {
			return errors.New("tokensource: Manager.Config is a nil *oauth2.Config")
		}
		if c.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect {
			return errors.New("tokensource: Endpoint.AuthStyle of Manager.Config is not set: auto-detection would spend a refresh token twice")
		}
	}
	if m.Store == nil {
		return errors.New("tokensource: Manager.Store is not set")
	}
	return nil
}

// Save stores t as the connection's new login, in place of whatever was there, and
// clears a failure that required it. Call it once, with the token that an exchange
// returned: refreshed tokens are saved by themselves, and saving an old token again
// would undo that. When it returns an error, t is perhaps not saved.
func (m *Manager) Save(ctx context.Context, key string, t *oauth2.Token) error {
	if err := m.check(); err != nil {
		return err
	}
	if t == nil || t.AccessToken == "" {
		return fmt.Errorf("tokensource: there is no access token to save for connection %q", key)
	}
	rec, err := newLogin(t, time.Now())
	if err != nil {
		return fmt.Errorf("tokensource: connection %q: %w", key, err)
	}
	s := m.Source(key)
	if err := s.saveLogin(ctx, rec); err != nil {
		return err
	}
	m.emit(ctx, Event{Kind: EventSaved, Connection: key, Expiry: rec.Expiry})
	return nil
}

func (s *Source) saveLogin(ctx context.Context, rec *record) error {
	if err := s.order.lock(ctx); err != nil {
		return err
	}
	defer s.order.unlock()
	_, _, err := s.m.update(ctx, s.key, cell{}, func(*record) *record { return rec })
	if err != nil {
		return err
	}
	s.lastFailure.Store(nil)
	s.publish(rec)
	return nil
}

// Source returns the connection's token source. There is one for each key, which
// lives as long as someone uses it. Whether there is a connection under key is
// known when a token is asked for.
//
// It may be wrapped by oauth2.NewClient or oauth2.ReuseTokenSource, which then keep
// a token to its very end; [Manager.Client] does better.
func (m *Manager) Source(key string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sources[key].Value(); s != nil {
		return s
	}
	if m.sources == nil {
		m.sources = make(map[string]weak.Pointer[Source])
	}
	s := &Source{m: m, key: key, order: newGate()}
	m.sources[key] = weak.Make(s)
	runtime.AddCleanup(s, m.forget, key)
	return s
}

// forget removes the entry of a source that was collected.
func (m *Manager) forget(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sources[key].Value() == nil {
		delete(m.sources, key)
	}
}

// existing returns the source of key if there is one.
func (m *Manager) existing(key string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources[key].Value()
}

// read returns the record of key.
func (m *Manager) read(ctx context.Context, key string) (*record, storage.Version, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	data, version, err := m.Store.Get(ctx, key)
	if err != nil {
		return nil, "", fmt.Errorf("tokensource: can't read connection %q: %w", key, err)
	}
	rec, err := decodeRecord(data)
	if err != nil {
		return nil, "", fmt.Errorf("tokensource: connection %q: %w", key, err)
	}
	return rec, version, nil
}

// write stores rec if the record of key is still at the version old.
func (m *Manager) write(ctx context.Context, key string, rec *record, old storage.Version) (storage.Version, error) {
	data, err := rec.encode()
	if err != nil {
		return "", fmt.Errorf("tokensource: connection %q: %w", key, err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	version, err := m.Store.Put(ctx, key, data, old)
	if err != nil {
		return "", fmt.Errorf("tokensource: can't write connection %q: %w", key, err)
	}
	return version, nil
}

// String tells what the Manager is made of, by type only.
func (m *Manager) String() string {
	return fmt.Sprintf("tokensource.Manager(%T, %v)", m.Config, m.Store)
}

// GoString returns what String returns.
func (m *Manager) GoString() string { return m.String() }

// LogValue returns what String returns.
func (m *Manager) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *Manager) refreshTimeout() time.Duration {
	if m.RefreshTimeout > 0 {
		return m.RefreshTimeout
	}
	return defaultRefreshTimeout
}

// withClient returns ctx with the HTTP client that is to make token requests. It
// doesn't follow redirects, which would take the secrets in the request elsewhere.
func (m *Manager) withClient(ctx context.Context) context.Context {
	client := http.Client{Transport: m.Base}
	if m.RequestContext != nil {
		ctx = m.RequestContext(ctx)
	}
	if c, ok := ctx.Value(oauth2.HTTPClient).(*http.Client); ok {
		client = *c
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}
