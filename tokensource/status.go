package tokensource

import (
	"context"
	"time"
)

// Reason is why a refresh failed or a connection needs a login.
type Reason string

const (
	// ReasonRevoked: the provider says that the grant is gone: revoked by the user
	// or the provider, or expired. A login is required.
	ReasonRevoked Reason = "revoked_or_expired"

	// ReasonResponseLost: the refresh token was spent by a request whose answer
	// was never seen, by a process that died or behind a connection that was cut,
	// and the provider doesn't take it again. A login is required. It may also stand
	// for a revocation, if the refresh before was one that had to be taken over.
	ReasonResponseLost Reason = "response_lost"

	// ReasonRejected: the provider's API refused the token, and there is no refresh
	// token to get another with. A login is required.
	ReasonRejected Reason = "rejected"

	// ReasonExpired: the token has expired, and there is no refresh token. A login
	// is required.
	ReasonExpired Reason = "expired"

	// ReasonMisconfigured: the application is misconfigured: a wrong client id
	// or secret, say. The grant is fine.
	ReasonMisconfigured Reason = "misconfigured"

	// ReasonRateLimited: the provider asked to slow down.
	ReasonRateLimited Reason = "rate_limited"

	// ReasonUnavailable: the provider couldn't be reached, is in trouble, or gave
	// an answer that makes no sense.
	ReasonUnavailable Reason = "unavailable"

	// ReasonStore: the store can't be read or written.
	ReasonStore Reason = "store"
)

func (r Reason) words() string {
	switch r {
	case ReasonRevoked:
		return "the grant was revoked or has expired"
	case ReasonResponseLost:
		return "the refresh token was spent by a request whose answer was lost"
	case ReasonRejected:
		return "the API rejected the token, and there is no refresh token"
	case ReasonExpired:
		return "the token has expired, and there is no refresh token"
	case ReasonMisconfigured:
		return "the application is misconfigured"
	case ReasonRateLimited:
		return "the provider asked to slow down"
	case ReasonUnavailable:
		return "the provider is unavailable"
	case ReasonStore:
		return "the store is unavailable"
	}
	return string(r)
}

// State says how a connection is doing.
type State string

const (
	StateHealthy       State = "healthy"        // the token is valid
	StateExpiring      State = "expiring"       // due to be refreshed, when next used or by Run
	StateRefreshing    State = "refreshing"     // a refresh is in flight, here or elsewhere
	StateUnsaved       State = "unsaved"        // refreshed, but the store doesn't take it
	StateFailing       State = "failing"        // the last refresh failed; it is tried again
	StateLoginRequired State = "login_required" // only the user can mend it
)

// Status is how a connection is doing. It holds no secrets.
type Status struct {
	State State

	// Reason is why the last refresh failed or a login is required, and ErrorCode
	// the provider's own code for it, if it gave one. Both are "" otherwise.
	Reason    Reason
	ErrorCode string
	FailedAt  time.Time // when that was noticed, or zero
	NextTry   time.Time // no refresh is tried earlier, or zero

	Login    time.Time // when the user consented
	Obtained time.Time // when the token was issued: the last success
	Expiry   time.Time // when the token expires; zero if it doesn't

	// Refreshable says whether there is a refresh token, and RefreshTokenIssued
	// since when: some die of age, some when they aren't used.
	Refreshable        bool
	RefreshTokenIssued time.Time
}

// Status reads the connection's record and tells how it is doing. It makes no
// request to the provider. The error wraps storage.ErrNotFound if there is no
// connection under key, and storage.ErrOpen if its record can't be decrypted.
func (m *Manager) Status(ctx context.Context, key string) (Status, error) {
	if err := m.check(); err != nil {
		return Status{}, err
	}
	s, now := m.existing(key), time.Now()
	if s != nil {
		if p := s.pending.Load(); p != nil && s.serves(p.record.ID) {
			st := m.statusOf(p.record, now)
			st.State = StateUnsaved
			return st, nil
		}
	}
	rec, _, err := m.read(ctx, key)
	if err != nil {
		return Status{}, err
	}
	st := m.statusOf(rec, now)
	if s != nil && st.State != StateLoginRequired {
		s.addTo(&st, rec)
	}
	return st, nil
}

// addTo adds to the status of rec what only this process knows.
func (s *Source) addTo(st *Status, rec *record) {
	if id := s.rejected.Load(); id != nil && *id == rec.ID && st.State == StateHealthy {
		st.State = StateExpiring
		if !st.Refreshable {
			st.State, st.Reason = StateLoginRequired, ReasonRejected
		}
	}
	if f := s.lastFailure.Load(); f != nil && f.id == rec.ID && st.Reason == "" {
		st.Reason, st.ErrorCode = f.failure.Reason, f.failure.Code
		st.FailedAt, st.NextTry = f.failure.At, f.failure.Next
		if st.State != StateRefreshing {
			st.State = StateFailing
		}
	}
	if s.inFlight() && (st.State == StateExpiring || st.State == StateFailing) {
		st.State = StateRefreshing
	}
}

// serves reports whether the token with this ID is the one that is served.
func (s *Source) serves(id string) bool {
	snap := s.current.Load()
	return snap != nil && snap.record.ID == id
}

func (m *Manager) statusOf(r *record, now time.Time) Status {
	st := Status{
		State:       StateHealthy,
		Login:       r.Login,
		Obtained:    r.Obtained,
		Expiry:      r.Expiry,
		Refreshable: r.RefreshToken != "",
	}
	if st.Refreshable {
		st.RefreshTokenIssued = r.Rotated
	}
	if f := r.Failure; f != nil {
		st.Reason, st.ErrorCode, st.FailedAt, st.NextTry = f.Reason, f.Code, f.At, f.Next
	}
	t := timesOf(r, now, m.EarlyExpiry, 0)
	switch {
	case r.Failure != nil && r.Failure.Final:
		st.State = StateLoginRequired
	case r.Attempt != nil && now.Sub(r.Attempt.Started).Abs() < abandoned:
		st.State = StateRefreshing
	case r.Failure != nil:
		st.State = StateFailing
	case t.over(now) && r.RefreshToken == "":
		st.State, st.Reason = StateLoginRequired, ReasonExpired
	case t.due(now) && r.RefreshToken != "":
		st.State = StateExpiring
	}
	return st
}
