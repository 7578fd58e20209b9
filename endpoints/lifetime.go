package endpoints

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// unreadableLifetime is assumed for a token whose lifetime is there but can't be
// read, if it can be refreshed: short enough that it is refreshed well before any
// usual lifetime ends, and long enough that it isn't refreshed at every call.
const unreadableLifetime = 5 * time.Minute

var errLifetime = errors.New("the lifetime in it can't be read")

// setLifetime sets expires_in to a whole number of seconds, the one form that
// x/oauth2 reads, or removes it if the token doesn't expire.
//
// A token is never made to last for ever because its lifetime can't be read. If
// it comes from a refresh, or with a refresh token, it gets a short one, because
// an error would lose a rotated refresh token; otherwise that is an error.
func (s *AuthStyle) setLifetime(members map[string]any, grant string) error {
	lifetime, err := s.lifetime(members)
	switch {
	case err == nil && lifetime > 0:
	case s.DefaultLifetime > 0:
		lifetime = s.DefaultLifetime
	case err != nil && (grant == "refresh_token" || members["refresh_token"] != nil):
		lifetime = unreadableLifetime
	case err != nil:
		return err
	}
	delete(members, "expires_in")
	if lifetime > 0 {
		// At least 1, since x/oauth2 takes 0 for "never"; and no more than fits
		// into the int32 that it reads.
		seconds := min(max(int64(lifetime/time.Second), 1), math.MaxInt32)
		members["expires_in"] = json.Number(strconv.FormatInt(seconds, 10))
	}
	return nil
}

// lifetime reads how long the token lives. Zero means that the response doesn't
// say; so do null, an empty string and 0, which providers send for "never".
func (s *AuthStyle) lifetime(members map[string]any) (time.Duration, error) {
	if s.ExpiresAt != "" {
		at, err := instant(lookup(members, s.ExpiresAt))
		if err != nil {
			return 0, err
		}
		if !at.IsZero() {
			return max(time.Until(at), time.Second), nil
		}
	}
	units, err := number(members["expires_in"])
	switch {
	case err != nil || units == 0:
		return 0, err
	case units < 0:
		return 0, errLifetime
	}
	lifetime := units * float64(s.lifetimeUnit())
	if lifetime >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return max(time.Duration(lifetime), 1), nil // a fraction of a nanosecond isn't never
}

// instant reads a point in time: seconds or milliseconds since 1970, told apart by
// their size, or RFC 3339 text. The zero time means that there is none.
func instant(v any) (time.Time, error) {
	if s, ok := v.(string); ok {
		if t, err := time.Parse(time.RFC3339, strings.TrimSpace(s)); err == nil {
			return t, nil
		}
	}
	n, err := number(v)
	const secondsIn5138 = 1e11 // as milliseconds, 1973
	switch {
	case err != nil:
		return time.Time{}, err
	case n == 0:
		return time.Time{}, nil
	case n < 0 || n > 1000*secondsIn5138:
		return time.Time{}, errLifetime
	case n > secondsIn5138:
		return time.UnixMilli(int64(n)), nil
	}
	return time.Unix(int64(n), 0), nil
}

// number reads a number, or text that is one. What is absent, null or empty is 0.
func number(v any) (float64, error) {
	var digits string
	switch v := v.(type) {
	case nil:
		return 0, nil
	case json.Number:
		digits = v.String()
	case string:
		if digits = strings.TrimSpace(v); digits == "" {
			return 0, nil
		}
	default:
		return 0, errLifetime
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, errLifetime
	}
	return n, nil
}
