package endpoints

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// unreadableLifetime is assumed for a token whose lifetime is there but can't be
// read, if it can be refreshed: short enough that it is refreshed well before any
// usual lifetime ends, and long enough that it isn't refreshed at every call.
const unreadableLifetime = 5 * time.Minute

var errLifetime = errors.New("the lifetime can't be read")

// lifetime returns how long the token in an answer lives. Zero means until it is
// refused, which is also assumed of a token that can't be refreshed and whose lifetime
// is there but can't be read: an error would lose it, after what it was issued for is
// spent.
func (a *Answer) lifetime(members map[string]any, refreshable bool) time.Duration {
	lifetime, err := a.readLifetime(members)
	switch {
	case err == nil && lifetime > 0:
		return lifetime
	case a.DefaultLifetime > 0:
		return a.DefaultLifetime
	case err != nil && refreshable:
		return unreadableLifetime
	}
	return 0
}

// readLifetime reads how long the token lives. Zero means that the answer doesn't say;
// so do null, an empty string, 0 and -1, which providers send for "never".
func (a *Answer) readLifetime(members map[string]any) (time.Duration, error) {
	var unreadable error
	if a.Names["expires_at"] != "" {
		at, err := a.instant(a.at(members, "expires_at"))
		if err == nil && !at.IsZero() {
			return max(time.Until(at), time.Second), nil
		}
		unreadable = err
	}
	units, err := number(a.at(members, "expires_in"))
	switch {
	case err != nil || units == 0 || units == -1:
		return 0, cmp.Or(err, unreadable)
	case units < 0:
		return 0, errLifetime
	}
	lifetime := units * float64(cmp.Or(a.LifetimeUnit, time.Second))
	if lifetime >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return max(time.Duration(lifetime), 1), nil // a fraction of a nanosecond isn't never
}

// layouts are those in which a point in time is read that TimeLayout isn't for.
var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04:05Z07:00"}

// instant reads a point in time: in the layouts, or as seconds or milliseconds since
// 1970, told apart by their size. The zero time means that there is none.
func (a *Answer) instant(v any) (time.Time, error) {
	if s, ok := v.(string); ok {
		s = strings.TrimSpace(s)
		if a.TimeLayout != "" {
			if t, err := time.Parse(a.TimeLayout, s); err == nil {
				return t, nil
			}
		}
		for _, layout := range layouts {
			if t, err := time.Parse(layout, s); err == nil {
				return t, nil
			}
		}
		if t, err := http.ParseTime(s); err == nil {
			return t, nil
		}
	}
	n, err := number(v)
	const secondsIn5138 = 1e11 // as milliseconds, 1973
	switch {
	case err != nil:
		return time.Time{}, err
	case n == 0 || n == -1:
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
