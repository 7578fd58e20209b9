package tokensource

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"
)

// extraOf returns what the provider sent beside the token, as it would come back
// from the store; nothing in it is shared with t. x/oauth2 can be asked for a member
// by its name, Token.Extra, but not for the names.
func extraOf(t *oauth2.Token) (stored map[string]any, err error) {
	defer func() {
		if p := recover(); p != nil { // of a MarshalJSON
			stored, err = nil, errors.New("what came beside the token can't be stored as JSON")
		}
	}()
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
	if len(extra) == 0 {
		return nil, nil
	}
	data, err := json.Marshal(extra)
	if err != nil {
		return nil, errors.New("what came beside the token can't be stored as JSON")
	}
	// encoding/json writes this, and not the character itself, for bytes that aren't UTF-8.
	// What a MarshalJSON returns, as that of a json.RawMessage, it leaves as it is.
	if !utf8.Valid(data) || bytes.Contains(bytes.ReplaceAll(data, []byte(`\\`), nil), []byte(`\ufffd`)) {
		return nil, errors.New("what came beside the token is not valid UTF-8 and can't be stored")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&stored); err != nil {
		return nil, errors.New("what came beside the token doesn't come back from JSON")
	}
	return cloneJSON(stored).(map[string]any), nil
}

// cloneJSON copies what comes from decoding JSON into an any, with the float64 that x/oauth2
// has for a number in place of each json.Number, unless that is an integer which would lose
// digits. A user's id mustn't become another user's.
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
	case json.Number:
		f, err := v.Float64()
		if integer := !strings.ContainsAny(v.String(), ".eE"); err != nil || integer && strconv.FormatFloat(f, 'f', -1, 64) != v.String() {
			return v
		}
		return f
	}
	return v
}

// Members by which providers say when a refresh token, or the user's consent, ends.
// None is standard. Google, GitHub, LinkedIn and Amazon use the first, Keycloak and
// TikTok the second, QuickBooks the third.
var (
	endsIn = []string{"refresh_token_expires_in", "refresh_expires_in", "x_refresh_token_expires_in", "consent_expires_in"} // seconds
	endsAt = []string{"refresh_token_expires_at", "refresh_token_expiration", "consent_expires_at"}                         // Unix time in seconds, or RFC 3339
)

// refreshExpiry returns the earliest end that extra names, as of now, or zero.
func refreshExpiry(extra map[string]any, now time.Time) (end time.Time) {
	consider := func(t time.Time) {
		if t.After(now) && t.Before(maxExpiry) && (end.IsZero() || t.Before(end)) {
			end = wall(t)
		}
	}
	for _, name := range endsIn {
		if s, ok := number(extra[name]); ok && s > 0 && s < maxExpiry.Sub(now).Seconds() {
			consider(now.Add(time.Duration(s * float64(time.Second))))
		}
	}
	for _, name := range endsAt {
		if s, ok := number(extra[name]); ok && s > 0 && s < float64(maxExpiry.Unix()) {
			consider(time.Unix(int64(s), 0))
		} else if text, ok := extra[name].(string); ok {
			if t, err := time.Parse(time.RFC3339, text); err == nil {
				consider(t)
			}
		}
	}
	return end
}

// number reads a number, or a text that is one.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(v, 64)
		return f, err == nil
	}
	return 0, false
}
