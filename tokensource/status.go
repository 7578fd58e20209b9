package tokensource

import (
	"context"
	"iter"
	"log/slog"
	"time"
)

// State says how a connection is doing.
type State string

const (
	StateHealthy       State = "healthy"        // the token is valid
	StateExpiring      State = "expiring"       // due to be refreshed, when next used or by Run
	StateRefreshing    State = "refreshing"     // a refresh is in flight, here or elsewhere
	StateUnsaved       State = "unsaved"        // refreshed, but the store doesn't take it
	StateFailing       State = "failing"        // the last refresh failed; it is tried again
	StateLoginRequired State = "login_required" // only the user can restore it
	StateUnreadable    State = "unreadable"     // the record can't be opened or read
)

// Status is how a connection is doing. It holds no secrets.
type Status struct {
	Connection string
	State      State

	// Reason is why the last refresh failed or a login is required, and ErrorCode
	// the provider's own code for it, if it gave one that is known. Both are ""
	// otherwise.
	Reason    Reason
	ErrorCode string
	FailedAt  time.Time // when that was noticed, or zero
	Failures  int       // how many refreshes failed in a row
	NextTry   time.Time // no refresh is tried earlier, or zero
	Recovered time.Time // when a refresh last succeeded after one that had failed, or zero

	Login    time.Time // when the user consented
	Obtained time.Time // when the token was issued: the last success
	Expiry   time.Time // when the token expires; zero if it doesn't

	// Refreshable says whether there is something to refresh the token with, also if
	// the provider has refused it: see State. RefreshTokenIssued is since when there is
	// this refresh token: some die of age, some when they aren't used. RefreshTokenExpiry
	// is when it, or the user's consent, ends, if the provider says so: the user has to
	// connect again before.
	Refreshable        bool
	RefreshTokenIssued time.Time
	RefreshTokenExpiry time.Time

	// NoRefreshToken says that the last login came without a refresh token, though the
	// one before had one: some providers send one at the first consent only.
	NoRefreshToken bool
}

// LogValue is a group of what is known, under the names that oauth2keep status prints.
func (s Status) LogValue() slog.Value {
	return logged(
		slog.String("connection", s.Connection), slog.String("state", string(s.State)),
		slog.String("reason", string(s.Reason)), slog.String("error_code", s.ErrorCode),
		slog.Time("failed_at", s.FailedAt), slog.Int("failures", s.Failures), slog.Time("next_try", s.NextTry), slog.Time("recovered", s.Recovered),
		slog.Time("login", s.Login), slog.Time("obtained", s.Obtained), slog.Time("expiry", s.Expiry),
		slog.Bool("refreshable", s.Refreshable), slog.Time("refresh_token_issued", s.RefreshTokenIssued),
		slog.Time("refresh_token_expiry", s.RefreshTokenExpiry), slog.Bool("no_refresh_token", s.NoRefreshToken),
	)
}

// Status reads the connection's record and tells how it is doing. It makes no
// request to the provider. The error is [ErrLoginRequired] with ReasonNotConnected if there
// is no connection of that name, and wraps storage.ErrOpen if its record can't be decrypted.
func (m *Manager) Status(ctx context.Context, name string) (Status, error) {
	v := m.knownOf(name)
	r := v.record
	if v.unsaved == nil {
		c, err := m.read(ctx, name)
		if err != nil {
			return Status{Connection: name}, err
		}
		r = c.record
	}
	s := m.existing(name)
	return m.statusOf(name, r, v, s != nil && s.inFlight(), time.Now()), nil
}

// Connections yields the names of all connections of this Manager's [Registration], each
// with its Status, in no particular order. It reads one record at a time, so their number
// doesn't matter, and makes no request to the provider. Records of others are passed over.
// One that can't be opened or read has the State StateUnreadable and an error beside it,
// and doesn't end the walk; it may be another's. Any other error does end it, and then
// Status.Connection is "". The error is errors.ErrUnsupported if the store can't list.
func (m *Manager) Connections(ctx context.Context) iter.Seq2[Status, error] {
	return func(yield func(Status, error) bool) {
		if _, err := m.settings(); err != nil {
			yield(Status{}, err)
			return
		}
		for name, err := range m.names(ctx) {
			if err != nil {
				yield(Status{}, m.storeError("", err))
				return
			}
			st, err := m.Status(ctx, name)
			switch {
			case ctx.Err() != nil:
				yield(Status{}, ctx.Err())
				return
			case isGone(err):
				continue // gone meanwhile, or not ours
			case err != nil:
				st.State, st.Reason = StateUnreadable, ReasonStore
			}
			if !yield(st, err) {
				return
			}
		}
	}
}

// statusOf tells how the connection with the record r is doing. v is what this process knows,
// perhaps of another token, and inFlight says that it is at work.
func (m *Manager) statusOf(name string, r *record, v *view, inFlight bool, now time.Time) Status {
	st := Status{
		Connection:     name,
		State:          StateHealthy,
		Recovered:      r.Recovered.time(),
		Login:          r.Login.time(),
		Obtained:       r.Obtained,
		Expiry:         r.Expiry,
		Refreshable:    r.RefreshToken != "" || m.set.twoLegged,
		NoRefreshToken: r.NoRefreshToken,
	}
	if r.RefreshToken != "" {
		st.RefreshTokenIssued, st.RefreshTokenExpiry = r.Rotated.time(), r.RefreshExpiry.time()
	}
	if v.id() != r.ID {
		v = new(view) // it is of another token
	}
	f := r.Failure
	if t := v.lastFailure; t != nil && (f == nil || !f.Final) {
		f = &t.failure
	}
	if f != nil {
		st.Reason, st.ErrorCode, st.FailedAt, st.Failures = f.Reason, f.Code, f.At, f.Count
		if !f.Next.IsZero() && !isFuture(f.At, now) {
			st.NextTry = f.Next
		}
	}
	times := timesOf(r, now, m.EarlyExpiry, 0)
	over := times.over(now) || r.AccessToken == "" || v.isRejected()
	due := over || times.due(now)
	switch {
	case f != nil && f.Final:
		st.State = StateLoginRequired
	case v.unsaved != nil:
		st.State, st.Reason = StateUnsaved, ReasonStore
	case over && !st.Refreshable:
		st.State, st.Reason = StateLoginRequired, v.whyOver()
	case r.Attempt.isRecent(now) || inFlight && (due || f != nil):
		st.State = StateRefreshing
	case f != nil:
		st.State = StateFailing
	case due && st.Refreshable:
		st.State = StateExpiring
	}
	return st
}
