package tokensource

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

// Event is something that happened to a connection. It holds no secrets.
type Event struct {
	Kind       EventKind
	Connection string

	// Reason and Err say what went wrong, for the kinds that mean trouble. Err is an
	// *Error. For EventRecovered, Reason says what had gone wrong.
	Reason Reason
	Err    error

	// Expiry is when the new token expires, for EventRefreshed, EventAdopted,
	// EventRecovered and EventSaved. It is zero if the token doesn't expire.
	Expiry time.Time
}

// LogValue is a group of what the Event says, with the text of Err as error.
func (e Event) LogValue() slog.Value {
	text := ""
	if e.Err != nil {
		text = e.Err.Error()
	}
	return logged(
		slog.String("kind", string(e.Kind)), slog.String("connection", e.Connection), slog.String("reason", string(e.Reason)),
		slog.String("error", text), slog.Time("expiry", e.Expiry),
	)
}

// logged is a group of those that have a value.
func logged(attrs ...slog.Attr) slog.Value {
	return slog.GroupValue(slices.DeleteFunc(attrs, func(a slog.Attr) bool {
		switch a.Value.Kind() {
		case slog.KindTime:
			return a.Value.Time().IsZero()
		case slog.KindString:
			return a.Value.String() == ""
		case slog.KindInt64:
			return a.Value.Int64() == 0
		}
		return false
	})...)
}

// EventKind is the kind of an [Event].
type EventKind string

const (
	EventSaved          EventKind = "saved"            // the application saved a login
	EventNoRefreshToken EventKind = "no_refresh_token" // that login has no refresh token, though the one before had
	EventRefreshed      EventKind = "refreshed"        // this process refreshed the token, and it is saved
	EventAdopted        EventKind = "adopted"          // a token was taken over that another process saved
	EventTakenOver      EventKind = "taken_over"       // a refresh was continued that another process had abandoned
	EventUnsaved        EventKind = "unsaved"          // a new token can't be saved; it is served, and saving is retried
	EventFailed         EventKind = "failed"           // a refresh failed, or the store; it is tried again later
	EventRecovered      EventKind = "recovered"        // what had failed in this process, or in the last refresh, works again
	EventLoginRequired  EventKind = "login_required"   // only the user can restore the connection
	EventDisconnected   EventKind = "disconnected"     // the application disconnected or forgot it
)

// emit tells OnEvent of e. A panic of it ends nothing: the goroutine may be one of ours, and
// the event tells of what has been done.
func (m *Manager) emit(ctx context.Context, e Event) {
	if m.OnEvent == nil {
		return
	}
	defer func() { _ = recover() }()
	m.OnEvent(ctx, e)
}

// emitAll tells of events of the connection, the later ones also if OnEvent ends the goroutine.
func (m *Manager) emitAll(ctx context.Context, name string, events []Event) {
	if len(events) == 0 {
		return
	}
	defer m.emitAll(ctx, name, events[1:])
	e := events[0]
	e.Connection = name
	m.emit(ctx, e)
}
