package tokensource

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// recordFormat is written into every record. A record of a later format is never
// read or overwritten by this version.
const recordFormat = 1

// record is what is stored for a connection, as JSON, and sealed. Records are
// values: a changed one is a copy, made by a function in lifecycle.go.
type record struct {
	Format int `json:"format"`

	// Registration says whose the record is. No other client reads, uses or
	// changes it. It is the Manager's own, kept once.
	*Registration

	// LoginID names the login, and Generation counts its tokens: the one that the
	// application saved is 1, and each refresh adds 1. They tell an older token of
	// a login from a newer one. A record with the generation 0 holds no token yet:
	// the first one of a two-legged grant is being obtained.
	LoginID    string `json:"login_id"`
	Generation int    `json:"generation"`

	// ID names this token. Every token that is saved gets a new one, so that two
	// processes can tell whether they speak of the same, even if the provider
	// doesn't rotate the refresh token.
	ID string `json:"id"`

	AccessToken  string         `json:"access_token,omitempty"`
	TokenType    string         `json:"token_type,omitempty"`
	RefreshToken string         `json:"refresh_token,omitempty"`
	Expiry       time.Time      `json:"expiry,omitzero"`
	Extra        map[string]any `json:"extra,omitempty"`

	Login         instant   `json:"login"`                   // when the user consented
	Obtained      time.Time `json:"obtained"`                // when this token was issued
	Rotated       instant   `json:"rotated"`                 // when the refresh token was issued
	RefreshExpiry instant   `json:"refresh_expiry,omitzero"` // when the refresh token ends, if the provider says it
	Recovered     instant   `json:"recovered,omitzero"`      // when a refresh last succeeded after one that had failed

	// NoRefreshToken says that this login came without a refresh token, though the
	// one before it had one.
	NoRefreshToken bool `json:"no_refresh_token,omitempty"`

	// MayBeSpent and SentTwice are what is known of the refresh token's use: see
	// lifecycle.go.
	MayBeSpent bool `json:"may_be_spent,omitempty"`
	SentTwice  bool `json:"sent_twice,omitempty"`

	Attempt *attempt `json:"attempt,omitempty"`
	Failure *failure `json:"failure,omitempty"`
}

// attempt is a refresh in flight. It is written before the refresh token is sent
// and renewed while the answer is awaited.
type attempt struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Renewed int       `json:"renewed,omitempty"` // makes each renewal a new version
	Locked  bool      `json:"locked,omitempty"`  // its owner holds the store's lock for as long as it lives
}

// failure is why the last refresh of this token failed.
type failure struct {
	Reason Reason    `json:"reason"`
	Code   string    `json:"code,omitempty"` // the provider's error code
	At     time.Time `json:"at"`
	Count  int       `json:"count,omitempty"` // how many times in a row
	Next   time.Time `json:"next,omitzero"`   // no one tries earlier
	Final  bool      `json:"final,omitempty"`
}

// bearerType is how most providers write it.
const bearerType = "Bearer"

// recordError is why what is stored is no record.
type recordError struct{ text string }

func (e *recordError) Error() string { return e.text }

var errRecord error = &recordError{"the stored record is damaged"}

func decodeRecord(data []byte) (*record, error) {
	var r record
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil || dec.InputOffset() != int64(len(bytes.TrimRight(data, " \t\r\n"))) || r.Format < 1 || r.Format > recordFormat {
		return nil, undecodable(data)
	}
	if r.Registration == nil {
		r.Registration = new(Registration) // nobody's
	}
	if r.ID == "" || r.LoginID == "" || !r.hasToken() && r.Generation != 0 {
		return nil, errRecord
	}
	if r.TokenType == bearerType {
		r.TokenType = bearerType // the same text, kept once
	}
	for name, v := range r.Extra {
		r.Extra[name] = cloneJSON(v)
	}
	return &r, nil
}

// undecodable says why data can't be used. The members of a later format may have other
// types, so that only the format is looked at. What encoding/json says is not repeated,
// since it could quote a token.
func undecodable(data []byte) error {
	var header struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &header); err != nil || header.Format <= recordFormat {
		return errRecord
	}
	return &recordError{fmt.Sprintf("the stored record has format %d, and this version of oauth2keep reads up to %d: update it", header.Format, recordFormat)}
}

func (r *record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, errors.New("the token can't be stored as JSON")
	}
	return data, nil
}

// hasToken reports whether there is anything to serve or to refresh.
func (r *record) hasToken() bool { return r.AccessToken != "" || r.RefreshToken != "" }

// newLogin makes the record of a token that the application hands over. It fails if the
// token wouldn't come back from the store as it is.
func newLogin(t *oauth2.Token, whose Registration, now time.Time) (*record, error) {
	extra, err := extraOf(t)
	if err != nil {
		return nil, err
	}
	if !storable(t) {
		return nil, errors.New("the token is not valid UTF-8 and can't be stored")
	}
	if !sendable(t.AccessToken) {
		return nil, errors.New("the access token has a control character in it, such as a line break, and no request can carry it")
	}
	r := newRecord(t, extra, now)
	r.Registration, r.LoginID, r.Generation = &whose, newID(), 1
	r.Login = instantOf(r.Obtained)
	r.Rotated = r.Login
	if r.RefreshToken != "" {
		r.RefreshExpiry = instantOf(refreshExpiry(extra, r.Obtained))
	}
	if !fits(extra) {
		return nil, errors.New("what came beside the token is too large, or nested too deep, to be stored")
	}
	if _, err := r.encode(); err != nil {
		return nil, err
	}
	return r, nil
}

// storable reports whether t's strings come back from JSON as they are.
func storable(t *oauth2.Token) bool {
	return utf8.ValidString(t.AccessToken) && utf8.ValidString(t.RefreshToken) && utf8.ValidString(t.TokenType)
}

// sendable reports whether a request can carry an access token, in a header field (RFC 9110,
// section 5.5) or elsewhere.
func sendable(accessToken string) bool {
	return !strings.ContainsFunc(accessToken, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// refreshed makes the record of t, which a refresh of r returned. What the
// provider didn't send again is kept. It never fails: t is perhaps the only copy of
// a refresh token, and that is worth more than what came beside it.
func (r *record) refreshed(t *oauth2.Token, now time.Time) *record {
	came, err := extraOf(t)
	if err != nil {
		came = nil
	}
	next := newRecord(t, nil, now)
	if next.Expiry.IsZero() && !r.Expiry.IsZero() { // what isn't said again is as before
		life := r.Expiry.Sub(r.Obtained)
		if life < shortestLife {
			life = assumedLife
		}
		next.Expiry = next.Obtained.Add(life)
	}
	if soonest := next.Obtained.Add(minLife); !next.Expiry.IsZero() && next.Expiry.Before(soonest) {
		next.Expiry = soonest
	}
	next.Registration, next.LoginID, next.Generation = r.Registration, r.LoginID, r.Generation+1
	next.Login, next.Rotated, next.RefreshExpiry = r.Login, r.Rotated, r.RefreshExpiry
	next.NoRefreshToken, next.Recovered = r.NoRefreshToken, r.Recovered
	if r.Failure != nil {
		next.Recovered = instantOf(next.Obtained)
	}
	if next.RefreshToken == "" {
		next.RefreshToken = r.RefreshToken
	} else if next.RefreshToken != r.RefreshToken {
		next.Rotated, next.RefreshExpiry, next.NoRefreshToken = instantOf(next.Obtained), 0, false
	}
	if end := refreshExpiry(came, next.Obtained); !end.IsZero() {
		next.RefreshExpiry = instantOf(end)
	}
	if next.TokenType == "" {
		next.TokenType = r.TokenType
	}
	next.Extra = maps.Clone(r.Extra)
	if next.Extra == nil {
		next.Extra = came
	} else {
		maps.Copy(next.Extra, came)
	}
	if !fits(next.Extra) {
		next.Extra = r.Extra
	}
	return next
}

func newRecord(t *oauth2.Token, extra map[string]any, now time.Time) *record {
	r := &record{
		Format:       recordFormat,
		ID:           newID(),
		AccessToken:  t.AccessToken,
		TokenType:    t.TokenType,
		RefreshToken: t.RefreshToken,
		Extra:        extra,
		Obtained:     wall(now),
	}
	switch {
	case !t.Expiry.IsZero():
		r.Expiry = wall(t.Expiry)
	case t.ExpiresIn > 0: // as the provider sent it, and nobody has counted from it yet
		life := min(t.ExpiresIn, int64(maxExpiry.Sub(r.Obtained)/time.Second))
		r.Expiry = r.Obtained.Add(time.Duration(life) * time.Second)
	}
	if r.Expiry.After(maxExpiry) {
		r.Expiry = maxExpiry
	}
	return r
}

// maxExtra is how many bytes what is stored beside a token may have, as JSON: a store has to
// take a record of a MiB.
const maxExtra = 512 << 10

// fits reports whether a record with extra can be stored, and read again.
func fits(extra map[string]any) bool {
	data, err := json.Marshal(map[string]any{"extra": extra})
	return err == nil && len(data) <= maxExtra && json.Valid(data) // which is false if it is nested too deep
}

// newID returns a name that no other process chooses.
func newID() string { return strings.Clone(rand.Text()[:16]) } // 80 bits

// minLife is what a refreshed token is taken to live at least. One that seems to be
// over when it arrives, as when a clock is wrong, would be refreshed at every call.
const minLife = 2 * time.Second

// assumedLife is what a refreshed token is taken to live if its lifetime isn't said, and the
// one before had expired, or was about to, when it was saved, as one that is imported. No
// provider leaves out a lifetime shorter than shortestLife.
const (
	assumedLife  = time.Hour
	shortestLife = time.Minute
)

// maxExpiry is the last moment that JSON has a form for. A provider's mistake in the
// unit of a lifetime must not keep its token from being saved.
var maxExpiry = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// token returns a new token that the caller may change.
func (r *record) token() *oauth2.Token {
	t := r.bareToken()
	if len(r.Extra) == 0 {
		return &t
	}
	return t.WithExtra(cloneJSON(r.Extra))
}

// bareToken returns the token without what came beside it.
func (r *record) bareToken() oauth2.Token {
	return oauth2.Token{
		AccessToken:  r.AccessToken,
		TokenType:    r.TokenType,
		RefreshToken: r.RefreshToken,
		Expiry:       r.Expiry,
	}
}

// with returns a copy of r with another attempt and failure.
func (r *record) with(a *attempt, f *failure) *record {
	c := *r
	c.Attempt, c.Failure = a, f
	return &c
}
