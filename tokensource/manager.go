package tokensource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"runtime"
	"sync"
	"time"
	"weak"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// A Refresher refreshes tokens. *endpoints.Config and *oauth2.Config are Refreshers; of the
// latter, Endpoint.AuthStyle must be set, since auto-detection would spend a
// refresh token twice.
//
// What else one can do is said by the interfaces [Registrant], [Revoker] and [API]. A type
// that embeds the interface Refresher hides them: embed the Refresher's own type, or give
// the type their methods.
type Refresher interface {
	// TokenSource returns a source whose Token spends t's refresh token. t is the whole
	// stored token, with what the provider sent beside it, and has expired. The context
	// ends after Manager.RefreshTimeout.
	TokenSource(ctx context.Context, t *oauth2.Token) oauth2.TokenSource
}

// Manager keeps the tokens of one provider's connections: saved, encrypted, fresh
// and never lost. A connection is one account's grant, stored under a name that the
// application chooses.
//
// Config and Store are required; every other field has a useful zero value, and a
// negative duration is like zero. The fields must not be changed once a method was
// called. Make a Manager when the program starts and keep it, since what it knows of a
// refresh that isn't to be tried yet may end with it: one for each request sends a token
// request with each, where a client's secret is wrong or the API refuses every token.
// A Manager is safe for concurrent use and must not be copied. Programs on other
// machines may use the same store at the same time, and so may any number of Managers, of
// other providers and clients too: each keeps to the records of its own [Registration].
//
// A test with testing/synctest makes a Manager in its bubble, for that bubble alone: used
// outside as well, it meets channels of the bubble, and the runtime ends the program.
type Manager struct {
	// Config refreshes the tokens of one client at one provider.
	Config Refresher

	// Store keeps the records. One is enough for all Managers of a program.
	Store *storage.Encrypted

	// Registration says whose tokens Config refreshes. It is needed only if Config
	// doesn't say it, and needs an Issuer then: see Registrant. If it is set, what Config
	// says doesn't count: the tokens of another client would be sent to Config's provider.
	Registration Registration

	// OnEvent, if not nil, is told what happens to connections. It is called by several
	// goroutines at a time, with no lock held, and may use the Manager, but must not
	// call Flush. Callers that wait for the token wait for it to return. A panic of it is
	// dropped. Its context is that of a call of Save, Disconnect, Forget or Run, and
	// carries nothing otherwise.
	OnEvent func(context.Context, Event)

	// EarlyExpiry is how long before its end a token is refreshed. Zero means a
	// quarter of its life and at most five minutes, which suits all lifetimes. A random
	// part of up to a tenth of its life, at most an hour, comes on top, so that not all
	// are refreshed at once. Together they never come to more than half of its life: a
	// larger EarlyExpiry is reduced by as much as it takes.
	EarlyExpiry time.Duration

	// RefreshTimeout ends a token request that hangs. Zero means 30 seconds, and more than an
	// hour is an hour. A process that was stopped for longer, as by SIGSTOP, has a second more
	// when it goes on. The Timeout of an HTTP client that a context has doesn't count: an answer
	// that isn't waited for can cost a refresh token.
	RefreshTimeout time.Duration

	// StaleAfter bounds how long a process goes on with a valid token after another
	// process has replaced or disconnected it. When a connection is used whose record was
	// last looked at longer ago, it is looked at again in the background; if that was ten
	// times as long ago, before the token is served. While the store doesn't answer, the
	// token is served on. Zero means a minute.
	StaleAfter time.Duration

	// KeepAlive is how long Run lets a connection go without a refresh. Zero means a
	// week. It must be shorter than the time after which the provider forgets a
	// refresh token that isn't used.
	KeepAlive time.Duration

	// APIURLs are URLs of the APIs that Client's tokens are for: one of each origin that
	// they may be sent to. They are needed only if Config doesn't say them: see API.
	APIURLs []string

	// InsecureHTTP lets tokens go to http URLs of other machines. Without it they are
	// refused, except on the loopback: see OAuth 2.1, section 1.5.
	InsecureHTTP bool

	// Base makes the HTTP requests of Client, and those for tokens if the context
	// holds no oauth2.HTTPClient. Nil means http.DefaultTransport. It must not repeat
	// requests by itself, as some clients do: a request for a token is to be sent once.
	Base http.RoundTripper

	// RequestContext, if not nil, makes the context of a token request. Of the caller's
	// context, the one that it is given has the oauth2.HTTPClient at most, since others
	// wait for the same request. It is the place for the Context method of a Provider of
	// package endpoints if Config is a plain *oauth2.Config.
	RequestContext func(context.Context) context.Context

	once sync.Once // guards set and err
	set  settings
	err  error

	apiOnce sync.Once // guards apiSet
	apiSet  apiSettings

	mu       sync.Mutex // guards what follows
	sources  map[string]weak.Pointer[Source]
	cleanup  func(name string)     // collected, made once
	pinned   map[*Source]time.Time // kept although nobody holds them: see pin
	untold   map[news]time.Time    // see keepNews
	unsaved  map[*Source]*unsaved
	saveNow  chan struct{}           // wakes the goroutine that saves them; nil if there is none
	nextLook map[*Source]*sharedLook // that hasn't begun: see sharedLook

	inflight   inflight
	testRandom func() float64
}

// settings are what follows from a Manager's fields.
type settings struct {
	registration Registration
	twoLegged    bool // Config needs no refresh token
	stale        time.Duration
	claims       semaphore // a place each for maxClaims connections, held from claim to save
	looks        semaphore // a place for each of maxLooks reads of flights
	discards     semaphore // a place for one that deletes a record that can't be read
	api          API       // Config, if it is one
}

const (
	// maxClaims is how many connections of a Manager are at a time between claim and
	// save. However many fall due at once, their writes, renewals and saves then go
	// through a store with a few connections in a fraction of a lease.
	maxClaims = 32

	// maxLooks is how many reads of flights are under way at a time. Those who wait for
	// another process's attempt mustn't keep the store from those who save.
	maxLooks = 16
)

// settings returns what follows from the fields, or what is wrong with them.
func (m *Manager) settings() (*settings, error) {
	if m == nil {
		return nil, errors.New("tokensource: there is no Manager; a Source is made by Manager.Source")
	}
	m.once.Do(func() {
		m.err = errors.New("tokensource: a method of Manager.Config panicked")
		m.err = m.init()
	})
	return &m.set, m.err
}

func (m *Manager) init() error {
	m.set.claims, m.set.looks, m.set.discards = make(semaphore, maxClaims), make(semaphore, maxLooks), make(semaphore, 1)
	m.set.stale = cmp.Or(max(m.StaleAfter, 0), defaultStale)
	var err error
	if m.set.registration, err = m.registration(); err != nil {
		return err
	}
	if m.Store == nil {
		return errors.New("tokensource: Manager.Store is not set")
	}
	m.set.twoLegged = m.set.registration.TwoLegged
	m.set.api, _ = m.Config.(API)
	issuer, _ := url.Parse(m.set.registration.Issuer) // which may be no URL
	return m.checkSecure(issuer)
}

// registration returns the Manager's, which Config says if the Manager doesn't, or what is
// wrong with Config.
func (m *Manager) registration() (whose Registration, err error) {
	if m.Config == nil {
		return Registration{}, errors.New("tokensource: Manager.Config is not set")
	}
	if v := reflect.ValueOf(m.Config); v.Kind() == reflect.Pointer && v.IsNil() {
		return Registration{}, fmt.Errorf("tokensource: Manager.Config is a nil %T", m.Config)
	}
	if c, ok := m.Config.(*oauth2.Config); ok && c.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect {
		return Registration{}, errors.New("tokensource: Endpoint.AuthStyle of Manager.Config is not set: auto-detection would spend a refresh token twice; " +
			"set oauth2.AuthStyleInParams or oauth2.AuthStyleInHeader, as the provider's documentation says")
	}
	whose = m.Registration
	switch {
	case whose == (Registration{}):
		if whose, err = registrationOf(m.Config); err != nil {
			return Registration{}, err
		}
	case whose.Issuer == "":
		return Registration{}, errors.New("tokensource: Manager.Registration has no Issuer, and what has none can't be told apart")
	}
	_, whose.TwoLegged = m.Config.(twoLegged)
	return whose, nil
}

// Save stores t as the connection's new login, in place of what was there, and
// clears a failure that required it. Call it once, with the token that an exchange
// returned: refreshed tokens are saved by themselves, and saving an old token again
// would undo that. A refresh token alone will do. What came beside it may have 512 KiB as
// JSON, and all of it together 1 MiB, as [storage.Store] has it. An access token that no
// request can carry, such as one with a line break in it, is an error. When Save returns an
// error, t is perhaps not saved.
//
// It is an error if the connection belongs to another [Registration]: one name can't stand
// for an account at two providers. If t has no refresh token, though the login before had
// one, [EventNoRefreshToken] says so: some providers send one at the first consent only.
func (m *Manager) Save(ctx context.Context, name string, t *oauth2.Token) error {
	set, err := m.settings()
	switch {
	case err != nil:
		return err
	case name == "":
		return errors.New("tokensource: a connection needs a name")
	case t == nil || t.AccessToken == "" && t.RefreshToken == "":
		return fmt.Errorf("tokensource: there is no token to save for connection %q", name)
	}
	login, err := newLogin(t, set.registration, time.Now())
	if err != nil {
		return fmt.Errorf("tokensource: connection %q: %w", name, err)
	}
	login.Registration = &set.registration
	if login.RefreshToken == "" && !set.twoLegged && !login.Expiry.IsZero() && !login.Expiry.After(login.Obtained) {
		login.Failure = &failure{Reason: ReasonExpired, At: login.Obtained, Final: true}
	}
	s := m.Source(name)
	basis, began := s.known(), time.Now()
	c, _, err := m.update(ctx, name, versioned{}, func(stored *record) *record { return stored.replacedBy(login) })
	if err != nil {
		return err
	}
	before, after, ok := s.publish(basis, c.record, began)
	if !ok { // someone else saved one too: look which came last
		s.change(func(v *view) *view {
			if v.unsaved == nil {
				return new(view)
			}
			return v // the only copy of a token
		})
	}
	m.takeNews(news{EventDisconnected, name}) // it is connected again, which is told instead
	m.emit(ctx, Event{Kind: EventSaved, Connection: name, Expiry: c.Expiry})
	if ok && before.lastFailure != nil && !before.lastFailure.Final {
		tellRecovery(before, after, func(e Event) { m.emitAll(ctx, name, []Event{e}) })
	}
	if c.NoRefreshToken {
		m.emit(ctx, Event{Kind: EventNoRefreshToken, Connection: name})
	}
	if f := c.Failure; f != nil {
		m.emit(ctx, Event{Kind: EventLoginRequired, Connection: name, Reason: f.Reason, Err: newError(name, *f, nil)})
	}
	return nil
}

// Source returns the connection's token source. There is one for each name, which
// lives as long as someone uses it. Whether there is a connection of that name is
// known when a token is asked for.
//
// It may be wrapped by oauth2.NewClient or oauth2.ReuseTokenSource, which then keep
// a token to its very end; [Manager.Client] does better.
func (m *Manager) Source(name string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sources[name].Value(); s != nil {
		return s
	}
	if m.sources == nil {
		m.sources = make(map[string]weak.Pointer[Source])
	}
	s := &Source{m: m, name: name}
	m.sources[name] = weak.Make(s)
	if m.cleanup == nil {
		manager := weak.Make(m) // if sources that it pins kept it, neither would ever be collected
		m.cleanup = func(name string) {
			if m := manager.Value(); m != nil {
				m.collected(name)
			}
		}
	}
	runtime.AddCleanup(s, m.cleanup, name)
	return s
}

// collected removes the entry of a source that was collected.
func (m *Manager) collected(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sources[name].Value() == nil {
		delete(m.sources, name)
	}
}

// existing returns the source of name if there is one.
func (m *Manager) existing(name string) *Source {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sources[name].Value()
}

// maxPinned bounds the sources that are kept although nobody holds them.
const maxPinned = 10_000

// pin keeps s for as long as v, its view, says what the record doesn't: a program that makes a
// Source for each request mustn't send a token request with each, nor be given a token again
// that was refused. A name that isn't connected isn't kept, as there is no end of them; its
// record is looked for with each call. If more than maxPinned would be kept, any of them are
// dropped, and what only their views said of a failure or a refusal is forgotten.
func (m *Manager) pin(s *Source, v *view) {
	now := time.Now()
	until := v.keepUntil()
	m.mu.Lock()
	defer m.mu.Unlock()
	if v.record == nil || !now.Before(until) {
		delete(m.pinned, s)
		return
	}
	if m.pinned == nil {
		m.pinned = make(map[*Source]time.Time)
	}
	if _, known := m.pinned[s]; !known && len(m.pinned) >= maxPinned {
		m.unpin(now)
	}
	m.pinned[s] = until
}

// unpin makes room for another source. The caller holds m.mu.
func (m *Manager) unpin(now time.Time) {
	for s, until := range m.pinned {
		if !now.Before(until) {
			delete(m.pinned, s)
		}
	}
	for s := range m.pinned {
		if len(m.pinned) <= maxPinned*9/10 { // so that this isn't done each time
			return
		}
		delete(m.pinned, s) // any
	}
}

// String names the client, if Config says which it is, and the store's type.
func (m *Manager) String() string {
	whose, err := m.registration()
	if err != nil {
		return fmt.Sprintf("tokensource.Manager(%T, %v)", m.Config, m.Store)
	}
	return fmt.Sprintf("tokensource.Manager(%v, %v)", whose, m.Store)
}

// GoString returns what String returns.
func (m *Manager) GoString() string { return m.String() }

// LogValue returns what String returns.
func (m *Manager) LogValue() slog.Value { return slog.StringValue(m.String()) }

func (m *Manager) refreshTimeout() time.Duration {
	return min(cmp.Or(max(m.RefreshTimeout, 0), defaultRefreshTimeout), maxRefreshTimeout)
}
