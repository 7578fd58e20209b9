package main

import (
	"fmt"
	"time"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// stateWords are what a user reads about a connection, and the group that it is in.
var stateWords = map[tokensource.State]struct{ word, group string }{
	tokensource.StateHealthy:       {"Connected", groupWorking},
	tokensource.StateExpiring:      {"Connected", groupWorking}, // it is renewed when it is used
	tokensource.StateRefreshing:    {"Renewing", groupWorking},
	tokensource.StateUnsaved:       {"Connected, not saved yet", groupTrouble},
	tokensource.StateFailing:       {"Can't be renewed now", groupTrouble},
	tokensource.StateLoginRequired: {"Ended", groupLogin},
	tokensource.StateUnreadable:    {"Can't be read", groupUnreadable},
}

// The groups of connections, by what there is to do about them.
const (
	groupWorking    = "working"    // nothing
	groupTrouble    = "trouble"    // it is tried again
	groupLogin      = "login"      // for the user: to connect again
	groupUnreadable = "unreadable" // for the operator
)

// reasonWords say why. What to do about it is the library's hint: see hint.
var reasonWords = map[tokensource.Reason]string{
	tokensource.ReasonNotConnected:  "This account isn't connected.",
	tokensource.ReasonRevoked:       "The provider has ended the connection: someone revoked it there, or it has expired.",
	tokensource.ReasonResponseLost:  "The provider has renewed the connection, but its answer was lost on the way.",
	tokensource.ReasonRejected:      "The provider refuses the connection.",
	tokensource.ReasonExpired:       "The connection has expired, and the provider gave no means to renew it.",
	tokensource.ReasonOtherClient:   "The connection was made with another registration of this application.",
	tokensource.ReasonMisconfigured: "The provider doesn't accept this application's id or secret.",
	tokensource.ReasonRateLimited:   "The last renewal has failed. It is tried again when the connection is used.",
	tokensource.ReasonUnavailable:   "The last renewal has failed. It is tried again when the connection is used.",
	tokensource.ReasonStore:         "Our store of connections can't be read or written.",
}

// hint says what to do about a reason, in the library's words where it has them.
func hint(reason tokensource.Reason) string {
	if reason == tokensource.ReasonStore {
		return "This is our fault. Please try again in a few minutes."
	}
	return endpoints.KindOf(&tokensource.Error{Reason: reason}).Hint()
}

// What a user reads about a record that can't be opened: it is damaged, or its key is lost.
const (
	damagedWhy  = "What we have stored for this connection can't be opened."
	damagedHint = "Please contact our support. If you can't wait, disconnect the account here and connect it again."
)

// moment is a time that is shown in words, such as "in 52 minutes".
type moment struct{ at, now time.Time }

// Exact is for a title, and Machine for the attribute datetime.
func (m moment) Exact() string   { return m.at.UTC().Format("2 January 2006, 15:04:05 UTC") }
func (m moment) Machine() string { return m.at.UTC().Format(time.RFC3339) }

func (m moment) Words() string {
	d := m.at.Sub(m.now)
	if d.Abs() < time.Second {
		return "now"
	}
	if d < 0 {
		return lengthOf(-d) + " ago"
	}
	return "in " + lengthOf(d)
}

// lengthOf rounds a duration to its largest unit.
func lengthOf(d time.Duration) string {
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}}
	for _, u := range units {
		if n := (d + u.length/2) / u.length; d >= u.length-u.length/60 {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "a moment"
}
