package tokenerror

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that RetryAfter returns. No provider's limit is
// counted over more than a day; a longer one comes from a clock that is wrong.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter returns how long a server asks to wait (RFC 9110, section 10.2.3): a
// number of seconds, or a date. It returns 0 if it doesn't ask, or has no way to say
// so that can be read, and never more than MaxRetryAfter.
//
// A date is compared with that of the response, if there is one: both are of the
// server's clock, which may differ from ours.
func RetryAfter(h http.Header) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if !strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		seconds, err := strconv.ParseUint(value, 10, 64)
		if err != nil || seconds > uint64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter // too large a number to be held
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		now = time.Now()
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}
