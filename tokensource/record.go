package tokensource

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"time"

	"golang.org/x/oauth2"
)

// recordFormat is written into every record. A record of a later format is never
// read or overwritten by this version.
const recordFormat = 1

// record is what is stored for a connection, as JSON, and sealed. Records are
// values: a changed one is a copy.
type record struct {
	Format int `json:"format"`

	// ID names this token. Every token that is saved gets a new one, so that two
	// processes can tell whether they speak of the same, even if the provider
	// doesn't rotate the refresh token.
	ID string `json:"id"`

	AccessToken  string         `json:"access_token"`
	TokenType    string         `json:"token_type,omitempty"`
	RefreshToken string         `json:"refresh_token,omitempty"`
	Expiry       time.Time      `json:"expiry,omitzero"`
	Extra        map[string]any `json:"extra,omitempty"`

	Login    time.Time `json:"login"`    // when the user consented
	Obtained time.Time `json:"obtained"` // when this token was issued
	Rotated  time.Time `json:"rotated"`  // when the refresh token was issued

	// InDoubt says that this token's refresh token may have been spent by a
	// request whose answer nobody saw.
	InDoubt bool `json:"in_doubt,omitempty"`

	// Contested says that two processes sent this token's refresh token, or may have,
	// so that a provider that detects reuse ends the grant even if one gets a token.
	Contested bool `json:"contested,omitempty"`

	Attempt *attempt `json:"attempt,omitempty"`
	Failure *failure `json:"failure,omitempty"`
}

// attempt is a refresh in flight. It is written before the refresh token is sent
// and renewed while the answer is awaited.
type attempt struct {
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Renewed int       `json:"renewed,omitempty"` // makes each renewal a new version
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

var errRecord = errors.New("the stored record is damaged")

func decodeRecord(data []byte) (*record, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil || r.Format < 1 || r.Format > recordFormat {
		return nil, undecodable(data)
	}
	if r.ID == "" || r.AccessToken == "" {
		return nil, errRecord
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
	return fmt.Errorf("the stored record has format %d, and this version of oauth2keep reads up to %d: update it", header.Format, recordFormat)
}

func (r *record) encode() ([]byte, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, errors.New("the token can't be stored as JSON")
	}
	return data, nil
}

// newLogin makes the record of a token that the application hands over.
func newLogin(t *oauth2.Token, now time.Time) (*record, error) {
	extra, err := extraOf(t)
	if err != nil {
		return nil, err
	}
	r := newRecord(t, extra, now)
	r.Login, r.Rotated = r.Obtained, r.Obtained
	return r, nil
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
	if soonest := next.Obtained.Add(minLife); !next.Expiry.IsZero() && next.Expiry.Before(soonest) {
		next.Expiry = soonest
	}
	next.Login, next.Rotated = r.Login, r.Rotated
	switch next.RefreshToken {
	case "":
		next.RefreshToken = r.RefreshToken
	case r.RefreshToken:
	default:
		next.Rotated = next.Obtained
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
	return next
}

func newRecord(t *oauth2.Token, extra map[string]any, now time.Time) *record {
	r := &record{
		Format:       recordFormat,
		ID:           rand.Text(),
		AccessToken:  t.AccessToken,
		TokenType:    t.TokenType,
		RefreshToken: t.RefreshToken,
		Extra:        extra,
		Obtained:     now.Round(0).UTC(),
	}
	if !t.Expiry.IsZero() {
		r.Expiry = t.Expiry.Round(0).UTC()
	}
	if r.Expiry.After(maxExpiry) {
		r.Expiry = maxExpiry
	}
	return r
}

// minLife is what a refreshed token is taken to live at least. One that seems to be
// over when it arrives, as when a clock is wrong, would be refreshed at every call.
const minLife = 2 * time.Second

// maxExpiry is the last moment that JSON has a form for. A provider's mistake in the
// unit of a lifetime must not keep its token from being saved.
var maxExpiry = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// token returns a new token that the caller may change.
func (r *record) token() *oauth2.Token {
	t := &oauth2.Token{
		AccessToken:  r.AccessToken,
		TokenType:    r.TokenType,
		RefreshToken: r.RefreshToken,
		Expiry:       r.Expiry,
	}
	if len(r.Extra) == 0 {
		return t
	}
	return t.WithExtra(cloneJSON(r.Extra))
}

// cloneJSON copies what encoding/json decodes into an any.
func cloneJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, member := range v {
			c[name] = cloneJSON(member)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, element := range v {
			c[i] = cloneJSON(element)
		}
		return c
	}
	return v
}

// with returns a copy of r with another attempt and failure.
func (r *record) with(a *attempt, f *failure) *record {
	c := *r
	c.Attempt, c.Failure = a, f
	return &c
}

// extraOf returns what the provider sent beside the token, as it would come back
// from the store: numbers are float64s, and nothing in it is shared with t. x/oauth2
// can be asked for a member by its name, Token.Extra, but not for the names.
func extraOf(t *oauth2.Token) (map[string]any, error) {
	raw := reflect.ValueOf(t).Elem().FieldByName("raw")
	if !raw.IsValid() {
		return nil, errors.New("this version of x/oauth2 keeps what comes beside a token elsewhere, and it would be lost; update oauth2keep")
	}
	if raw.Kind() != reflect.Interface || raw.Elem().Kind() != reflect.Map {
		return nil, nil
	}
	extra := make(map[string]any)
	for _, name := range raw.Elem().MapKeys() {
		extra[name.String()] = t.Extra(name.String())
	}
	for _, own := range []string{"access_token", "refresh_token", "token_type", "expires_in", "expiry"} {
		delete(extra, own)
	}
	data, err := json.Marshal(extra)
	if err != nil {
		return nil, errors.New("what came beside the token can't be stored as JSON")
	}
	var stored map[string]any
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, errors.New("what came beside the token doesn't come back from JSON")
	}
	return stored, nil
}
