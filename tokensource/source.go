package tokensource

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"
)

// Source is the oauth2.TokenSource of one connection. It is safe for concurrent
// use, and all sources of a connection, in this process and others, share its
// refreshes. Get one from [Manager.Source].
type Source struct {
	m        *Manager
	name     string
	view     atomic.Pointer[view]     // nil: nothing is known
	fastPath atomic.Pointer[fastPath] // nil: a call has to look at the view

	mu     sync.Mutex // guards flight
	flight *flight

	// unsent, if not nil, is the ID of an attempt of ours with which nothing was sent. It may
	// still be in the record: the next flight goes on with it. Only the flight touches it.
	unsent *string
}

// Token returns a valid token, refreshed if necessary. It implements
// oauth2.TokenSource, and is TokenContext with a context that is never done.
func (s *Source) Token() (*oauth2.Token, error) {
	return s.copyToken(context.Background(), new(oauth2.Token))
}

// TokenContext returns a valid token. The caller may change it.
//
// Most calls return at once. While a token is due for refresh but still valid, it
// is returned, and refreshed in the background. Otherwise TokenContext waits until
// the refresh has ended or ctx is done; the refresh itself is never given up for
// ctx, since its answer may be the only copy of a new refresh token. Of ctx the refresh
// takes nothing but the HTTP client under the key oauth2.HTTPClient.
//
// What another process did to the connection, such as a new login, is noticed as
// [Manager.StaleAfter] says.
//
// The error is an [*Error], or that of ctx. It is [ErrLoginRequired] if only the user can
// restore the connection, also if there is none under this name. After others, the next
// call tries again when it is time to.
func (s *Source) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	return s.copyToken(ctx, new(oauth2.Token))
}

// copyToken is TokenContext with a place for the token. TokenContext is small enough to be
// inlined, so that a caller who doesn't keep the token has that place on its stack.
func (s *Source) copyToken(ctx context.Context, t *oauth2.Token) (*oauth2.Token, error) {
	v, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case v.token != nil:
		*t = *v.token
	case len(v.record.Extra) == 0:
		*t = v.record.bareToken()
	default:
		*t = *v.record.token()
	}
	return t, nil
}

// Stored returns the token as it is stored, without a refresh, however old it is, also if
// the connection requires a login: for what the provider sent beside it, by Token.Extra, or
// to introspect it. The caller may change it. The error is an [*Error]: [ErrLoginRequired] if
// there is no connection of this name.
func (s *Source) Stored(ctx context.Context) (*oauth2.Token, error) {
	c, err := s.m.read(ctx, s.name)
	if err != nil {
		return nil, err
	}
	if !c.hasToken() {
		return nil, s.m.notConnected(s.name) // its first token is being obtained
	}
	return c.token(), nil
}

// String names the connection.
func (s *Source) String() string { return fmt.Sprintf("tokensource.Source(%q)", s.name) }

// GoString returns what String returns.
func (s *Source) GoString() string { return s.String() }

// LogValue returns what String returns.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// get is TokenContext without the copy.
func (s *Source) get(ctx context.Context) (*view, error) {
	if c := s.fastPath.Load(); c != nil && monotonic() < c.until {
		return c.view, nil
	}
	now := time.Now()
	set, err := s.m.settings()
	if err != nil {
		return nil, err
	}
	waited := false // for a flight: it has looked at the record, or tried to
	for range maxFlights {
		v := s.known()
		servable, look := v.servable(now), v.needsLook(now, set.stale)
		switch t := v.lastFailure; {
		case servable && look && !waited && v.isStale(now, veryStale*set.stale):
			// It is perhaps not the connection's any more: see what the store says first.
		case servable && (look || v.needsRefresh(now, set.twoLegged)):
			s.start(ctx)
			return v, nil
		case servable:
			s.openFastPath(v, now)
			return v, nil
		case t != nil && now.Before(t.until):
			return nil, t.err
		}
		if err := s.start(ctx).wait(ctx, servable); err != nil {
			return nil, err
		}
		waited, now = true, time.Now()
	}
	return nil, newError(s.name, failure{Reason: ReasonUnavailable}, nil)
}

const (
	// A view is looked up again in the background when it is older than StaleAfter,
	// and before it is served when it is older than ten times that.
	defaultStale = time.Minute
	veryStale    = 10

	// maxFlights is how many flights one call waits for. The first may have begun before
	// what made the call necessary.
	maxFlights = 4
)

// known returns the view, never nil.
func (s *Source) known() *view {
	if v := s.view.Load(); v != nil {
		return v
	}
	return new(view)
}

// change replaces the view by what edit makes of it; edit may be called several times. It
// returns the view as it is then.
func (s *Source) change(edit func(v *view) *view) *view {
	for {
		old := s.view.Load()
		v := old
		if v == nil {
			v = new(view)
		}
		next := edit(v)
		if next == v {
			return v
		}
		if s.view.CompareAndSwap(old, next) {
			s.fastPath.Store(nil)
			s.m.pin(s, next)
			return next
		}
	}
}

// publish makes r the view. r is what was read or written, and basis was the view at looked, before
// that began. If the view has a later token of the same login by now, or another login than
// basis had, r is old: publish changes nothing, and ok is false.
func (s *Source) publish(basis *view, r *record, looked time.Time) (before, after *view, ok bool) {
	fresh := s.m.viewOf(r, looked)
	after = s.change(func(v *view) *view {
		before, ok = v, false
		switch {
		case v.login() != basis.login():
			return v
		case r.isBehind(v.latest()):
			return v
		case v.id() != r.ID:
			ok = true
			if v.refusal != nil && v.login() == r.LoginID {
				fresh.refusal = v.refusal.carriedTo(r, time.Now())
			}
			return fresh
		}
		ok = true
		next := *v
		next.record, next.looked = r, looked
		return &next
	})
	return before, after, ok
}

// clearFailure drops the failure of a connection that works again, and tells of it.
func (s *Source) clearFailure(emit func(Event)) {
	var before *view
	after := s.change(func(v *view) *view {
		before = v
		if v.lastFailure == nil || !v.servable(time.Now()) {
			return v
		}
		next := *v
		next.lastFailure = nil
		return &next
	})
	tellRecovery(before, after, emit)
}

// tellRecovery tells that what had failed in before works again in after. Where there was
// no connection, nothing had failed.
func tellRecovery(before, after *view, emit func(Event)) {
	t := before.lastFailure
	if t != nil && t.Reason != ReasonNotConnected && t.Reason != ReasonOtherClient && after.lastFailure == nil && after.servable(time.Now()) {
		emit(Event{Kind: EventRecovered, Reason: t.Reason, Expiry: after.record.Expiry})
	}
}

// forget drops what is known, if it is about this login, and leaves t, which may be nil.
func (s *Source) forget(login string, t *lastFailure) {
	s.change(func(v *view) *view {
		if v.login() != login {
			return v
		}
		return &view{lastFailure: t}
	})
}
