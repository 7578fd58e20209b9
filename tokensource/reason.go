package tokensource

// Reason is why a refresh failed or a connection needs a login.
type Reason string

const (
	// ReasonNotConnected: there is no connection of this name: it was never saved, or
	// was disconnected. A login is required.
	ReasonNotConnected Reason = "not_connected"

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

	// ReasonOtherClient: the record belongs to another Registration. Nothing was sent,
	// and the record was left alone.
	ReasonOtherClient Reason = "other_client"

	// ReasonMisconfigured: the application is misconfigured: a wrong client id
	// or secret, say. The grant is fine.
	ReasonMisconfigured Reason = "misconfigured"

	// ReasonRateLimited: the provider asked to slow down.
	ReasonRateLimited Reason = "rate_limited"

	// ReasonUnavailable: the provider couldn't be reached, is in trouble, or gave
	// an answer that makes no sense.
	ReasonUnavailable Reason = "unavailable"

	// ReasonStore: the record can't be read or written.
	ReasonStore Reason = "store"
)

// reasons are the words for people, and whether only the user can help.
var reasons = map[Reason]struct {
	words string
	login bool
}{
	ReasonNotConnected:  {"there is no connection of that name: it was never saved, or was disconnected", true},
	ReasonRevoked:       {"the grant was revoked or has expired", true},
	ReasonResponseLost:  {"the refresh token was spent by a request whose answer was lost", true},
	ReasonRejected:      {"the API rejected the token, and there is no refresh token", true},
	ReasonExpired:       {"the token has expired, and there is no refresh token", true},
	ReasonOtherClient:   {"the record belongs to another client", false},
	ReasonMisconfigured: {"the application is misconfigured", false},
	ReasonRateLimited:   {"the provider asked to slow down", false},
	ReasonUnavailable:   {"the provider is unavailable", false},
	ReasonStore:         {"the store is unavailable", false},
}

func (r Reason) words() string {
	if known, ok := reasons[r]; ok {
		return known.words
	}
	return string(r)
}

func (r Reason) loginRequired() bool { return reasons[r].login }
