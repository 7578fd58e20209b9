package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/assertion"
)

const (
	defaultTolerance = 5 * time.Minute
	maxBody          = 1 << 20 // bytes
	maxSignatures    = 16      // in a header; a provider sends one for each of its secrets
	maxHeader        = 4 << 10 // bytes
	maxDigits        = 15      // of a timestamp: more would overflow a time
)

// Verifier tells the genuine requests of one provider, and is made by [Finch] or
// [Chart]. It is safe for concurrent use. It holds secrets, which nothing prints.
type Verifier struct {
	// Tolerance is how far from now a request's timestamp may be, before and after:
	// five minutes if zero, as the providers recommend. Set it before the first use.
	Tolerance time.Duration

	// What prints values follows pointers, but can't look into a function.
	hidden func() (*scheme, [][]byte)
}

// scheme is how one provider signs.
type scheme struct {
	provider string

	// read reads the headers.
	read func(http.Header) (stamp, error)

	// texts returns all ways to write a signature.
	texts func(mac []byte) []string

	// event reads a body whose signature is right.
	event func(stamp, []byte) (Event, error)
}

// stamp is what the headers of a request say.
type stamp struct {
	id         string    // of the event, if the headers have it
	sent       time.Time // of this try
	prefix     string    // is signed before the body
	signatures []string  // of the version that we know
}

// refusal is the error about a request that isn't the provider's.
type refusal struct {
	status int // of the answer
	text   string
}

func (r *refusal) Error() string { return "webhook: " + r.text }

func malformed(format string, args ...any) error {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

func unverified(format string, args ...any) error {
	return &refusal{http.StatusUnauthorized, fmt.Sprintf(format, args...)}
}

// newVerifier returns one for the keys that key makes of the secrets.
func newVerifier(s *scheme, secrets []string, key func(string) ([]byte, error)) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, fmt.Errorf("webhook: %s needs a secret", s.provider)
	}
	var keys [][]byte
	for i, secret := range secrets {
		if strings.TrimSpace(secret) != secret {
			return nil, fmt.Errorf("webhook: %s: there is space around secret %d", s.provider, i+1)
		}
		k, err := key(secret)
		if err != nil {
			return nil, fmt.Errorf("webhook: %s: secret %d: %w", s.provider, i+1, err)
		}
		if len(k) == 0 {
			return nil, fmt.Errorf("webhook: %s: secret %d is empty", s.provider, i+1)
		}
		if err := assertion.CheckMACKey(k); err != nil {
			return nil, fmt.Errorf("webhook: %s: secret %d: %w", s.provider, i+1, err)
		}
		keys = append(keys, k)
	}
	return &Verifier{hidden: func() (*scheme, [][]byte) { return s, keys }}, nil
}

// Verify returns the event in a request with that header and that body, exactly as they
// were received, or an error if it isn't genuine or isn't of now. That a request is
// new is only known to [Handler], which should be used where there is an HTTP server.
func (v *Verifier) Verify(header http.Header, body []byte) (Event, error) {
	s, err := v.stamp(header)
	if err != nil {
		return Event{}, err
	}
	return v.event(s, body)
}

// stamp reads the headers and checks what can be checked without the body.
func (v *Verifier) stamp(header http.Header) (stamp, error) {
	if v == nil || v.hidden == nil {
		return stamp{}, errors.New("webhook: a Verifier is made by Finch or Chart")
	}
	scheme, _ := v.hidden()
	s, err := scheme.read(header)
	if err != nil {
		return stamp{}, err
	}
	// To the second, as Finch's SDKs compare it.
	switch off := time.Now().Truncate(time.Second).Sub(s.sent); {
	case off > v.tolerance():
		return stamp{}, unverified("the timestamp is too old")
	case off < -v.tolerance():
		return stamp{}, unverified("the timestamp is in the future")
	}
	return s, nil
}

func (v *Verifier) tolerance() time.Duration {
	if v.Tolerance > 0 {
		return v.Tolerance
	}
	return defaultTolerance
}

// event returns the event in body if a signature of s is right.
func (v *Verifier) event(s stamp, body []byte) (Event, error) {
	scheme, keys := v.hidden()
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(s.prefix))
		mac.Write(body)
		for _, want := range scheme.texts(mac.Sum(nil)) {
			for _, signature := range s.signatures {
				if hmac.Equal([]byte(want), []byte(signature)) {
					return scheme.event(s, body)
				}
			}
		}
	}
	return Event{}, unverified("no signature is right")
}

// only returns the value of a header that is there once.
func only(h http.Header, name string) (string, error) {
	values := h.Values(name)
	if len(values) != 1 || values[0] == "" || len(values[0]) > maxHeader {
		return "", malformed("the request doesn't have one header %s", name)
	}
	return values[0], nil
}

// number returns a number of decimal digits.
func number(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63) // no sign
	if err != nil || len(s) > maxDigits {
		return 0, malformed("the timestamp isn't a number")
	}
	return int64(n), nil
}
