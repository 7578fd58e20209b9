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
	m   *Manager
	key string

	current     atomic.Pointer[snapshot] // what is served
	pending     atomic.Pointer[unsaved]  // a token that the store hasn't taken yet
	rejected    atomic.Pointer[string]   // the ID of the token that the API refused
	stale       atomic.Pointer[string]   // the ID of the token that Run wants refreshed
	useless     atomic.Pointer[uselessToken]
	lastFailure atomic.Pointer[noted] // what this process knows of the last failure

	mu     sync.Mutex // guards flight
	flight *flight

	// order is held from a read or write of the record until what came of it is
	// published, so that an older token is never published over a newer one.
	order gate

	// unsent is the ID of an attempt of ours that may be in the record and spent
	// nothing. Only the flight touches it.
	unsent string
}

// snapshot is a token as this process knows it. It is never changed.
type snapshot struct {
	record  *record
	times   times
	holdOff time.Time // no refresh is tried before, while the token is valid
	bearer  string    // the Authorization header
}

// noted is a failure to refresh the token with the ID id.
type noted struct {
	id      string
	failure failure
	err     error
	until   time.Time // err is returned without looking again until then
	holdOff time.Time // no refresh is tried before
}

// flight is one refresh of one connection, shared by everyone who waits for it.
type flight struct {
	done chan struct{}
	snap *snapshot // these two are set before done is closed
	err  error
}

// Token returns a valid token, refreshed if necessary. It implements
// oauth2.TokenSource, and is TokenContext with a context that is never done.
func (s *Source) Token() (*oauth2.Token, error) {
	return s.TokenContext(context.Background())
}

// TokenContext returns a valid token. The caller may change it.
//
// Most calls return at once. While a token is due for refresh but still valid, it
// is returned, and refreshed in the background. Otherwise TokenContext waits until
// the refresh has ended or ctx is done; the refresh itself is never given up for
// ctx, since its answer may be the only copy of a new refresh token.
//
// The error wraps [ErrLoginRequired] if only the user can mend the connection,
// storage.ErrNotFound if there is none, and storage.ErrOpen if its record can't be
// decrypted. Other errors pass: the next call tries again when it is time to.
func (s *Source) TokenContext(ctx context.Context) (*oauth2.Token, error) {
	snap, err := s.get(ctx)
	if err != nil {
		return nil, err
	}
	return snap.record.token(), nil
}

// String names the connection.
func (s *Source) String() string { return fmt.Sprintf("tokensource.Source(%q)", s.key) }

// GoString returns what String returns.
func (s *Source) GoString() string { return s.String() }

// LogValue returns what String returns.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }

// get is TokenContext without the copy.
func (s *Source) get(ctx context.Context) (*snapshot, error) {
	now := time.Now()
	if snap := s.current.Load(); snap != nil && !snap.times.over(now) && !s.isRejected(snap) {
		if snap.times.due(now) && now.After(snap.holdOff) && snap.record.RefreshToken != "" {
			s.start(ctx)
		}
		return snap, nil
	}
	if n := s.lastFailure.Load(); n != nil && now.Before(n.until) {
		return nil, n.err
	}
	if err := s.m.check(); err != nil {
		return nil, err
	}
	f := s.start(ctx)
	select {
	case <-f.done:
		return f.snap, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// start returns the flight that is under way, or a new one.
func (s *Source) start(ctx context.Context) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	f := &flight{done: make(chan struct{})}
	s.flight = f
	s.m.busy.add()
	go func() {
		defer s.m.busy.done()
		f.snap, f.err = s.refresh(context.WithoutCancel(ctx))
		s.mu.Lock()
		s.flight = nil
		s.mu.Unlock()
		close(f.done)
	}()
	return f
}

func (s *Source) inFlight() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flight != nil
}

// reject notes that the API refused this very token, and reports whether that was
// news: a token that was replaced meanwhile is left alone.
func (s *Source) reject(snap *snapshot) bool {
	if now := s.current.Load(); now == nil || now.record.ID != snap.record.ID {
		return false
	}
	before := s.rejected.Swap(&snap.record.ID)
	return before == nil || *before != snap.record.ID
}

func (s *Source) isRejected(snap *snapshot) bool {
	return isID(s.rejected.Load(), snap.record.ID)
}

func isID(p *string, id string) bool { return p != nil && *p == id }

// publish makes r the token that is served. The caller holds s.order.
func (s *Source) publish(r *record) *snapshot {
	if snap := s.current.Load(); snap != nil && snap.record.ID == r.ID {
		return snap
	}
	snap := &snapshot{
		record: r,
		times:  timesOf(r, time.Now(), s.m.EarlyExpiry, s.m.random()),
		bearer: r.token().Type() + " " + r.AccessToken,
	}
	s.current.Store(snap)
	return snap
}

// hold has snap served on without a refresh until then, unless it is no longer the
// token that is served.
func (s *Source) hold(snap *snapshot, until time.Time) *snapshot {
	if snap.holdOff.Equal(until) {
		return snap
	}
	held := *snap
	held.holdOff = until
	s.current.CompareAndSwap(snap, &held)
	return &held
}
