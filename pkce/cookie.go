package pkce

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/oauth2keep/oauth2keep/internal/loginerror"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/storage"
)

const (
	cookiePrefix = "oauth2keep-"
	hostPrefix   = "__Host-" // RFC 6265bis: Secure, Path=/, no Domain, or the browser refuses it

	// hashLen is the length of the hash of the state in a cookie's name: 96 bits.
	hashLen = 16

	// maxAttempts is the number of unfinished attempts that a browser may keep, and
	// maxCookies the number of bytes that they may take of the Cookie header: many
	// servers and proxies accept 8 KiB for all cookies of a site together. It is
	// also the size from which browsers drop a cookie.
	maxAttempts = 8
	maxCookies  = 4 << 10

	// sealLabel keeps a cookie apart from whatever else the same key seals. It
	// changes with the format.
	sealLabel = "oauth2keep pkce attempt 2"

	// usedMark stands in front of the value of a cookie whose attempt was used.
	// Removing it is no more than keeping a copy of the cookie. maxUsed is the
	// length from which such a cookie isn't kept.
	usedMark = "."
	maxUsed  = 1 << 10
)

// binding is what an attempt's cookie is bound to besides the state. Begin and
// Callback find it independently. Where an application has several providers, a
// callback is accepted only from the one at which the attempt began: RFC 9700
// section 4.4.2.2, with a redirect URI for each.
type binding struct {
	secure      bool   // __Host-, or the plain name
	provider    string // its issuer, or scheme, host and path of its consent page
	clientID    string
	redirectURI string
	names       *consentNames // nil if Config is an Authorizer
}

var (
	errNoURL    = misconfigured("the Config gives no URL for the consent page: a setting or an option is missing or invalid")
	errNoClient = misconfigured("ClientID of the Config is empty")
)

// bind returns the binding of attempts that r begins or finishes.
func (f *Flow) bind(r *http.Request) (binding, error) {
	if err := check(f.Config, "Flow.Config"); err != nil {
		return binding{}, err
	}
	if f.Sealer == nil {
		return binding{}, misconfigured("Flow.Sealer is missing")
	}
	b, err := bindingOf(f.Config)
	b.secure = isSecure(r, b.redirectURI)
	return b, err
}

// bindingOf returns what c says of itself.
func bindingOf(c Exchanger) (binding, error) {
	if a, ok := c.(Authorizer); ok {
		issuer, clientID := a.Registration()
		return binding{provider: issuer, clientID: clientID, redirectURI: a.RedirectURL()}, nil
	}
	u, err := url.Parse(c.AuthCodeURL("state"))
	if err != nil || u.Host == "" {
		return binding{}, errNoURL
	}
	names, params := namesOf(c), u.Query()
	return binding{
		provider:    u.Scheme + "://" + u.Host + u.Path,
		clientID:    params.Get(names.clientID),
		redirectURI: params.Get(names.redirectURI),
		names:       names,
	}, nil
}

func (b binding) prefix() string {
	if b.secure {
		return hostPrefix + cookiePrefix
	}
	return cookiePrefix
}

// cookieName returns the name of the cookie for the attempt with that state.
func (b binding) cookieName(state string) string {
	h := sha256.Sum256([]byte(state))
	return b.prefix() + base64.RawURLEncoding.EncodeToString(h[:])[:hashLen]
}

// cookie returns a cookie with the right attributes. A negative maxAge, in seconds,
// deletes it.
func (b binding) cookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name:     name,
		Value:    value,
		Path:     "/",
		MaxAge:   maxAge,
		Secure:   b.secure,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// associatedData is what a cookie's content can't be opened without.
func (b binding) associatedData(name string) []byte {
	var ad []byte
	for _, part := range []string{sealLabel, name, b.provider, b.clientID, b.redirectURI} {
		ad = binary.AppendUvarint(ad, uint64(len(part)))
		ad = append(ad, part...)
	}
	return ad
}

// attempt is the content of a cookie: what a [Session] hides.
type attempt struct {
	State      string `json:"s"`
	Verifier   string `json:"v,omitempty"`
	Connection string `json:"c,omitempty"`
	Expiry     int64  `json:"e"` // in milliseconds since 1970
	Embedded   bool   `json:"m,omitempty"`

	Kept map[string]string `json:"k,omitempty"`
}

// seal returns the cookie of s.
func (f *Flow) seal(ctx context.Context, b binding, s *Session) (*http.Cookie, error) {
	plain, _ := json.Marshal(attempt{s.State, s.Verifier, s.Connection, s.Expiry.UnixMilli(), s.Embedded, s.kept}) // never fails
	name := b.cookieName(s.State)
	sealed, err := f.Sealer.Seal(ctx, plain, b.associatedData(name))
	if err != nil {
		return nil, loginerror.New(ErrStartAgain, "can't seal the attempt's cookie: "+redact.Line(err.Error(), loginerror.MaxText, nil), err)
	}
	value := base64.RawURLEncoding.EncodeToString(sealed)
	if len(name)+len(value) > maxCookies {
		return nil, misconfigured("the connection's name, with what the provider wants to have kept, is too long for a cookie")
	}
	return b.cookie(name, value, secondsUntil(s.Expiry)), nil
}

func secondsUntil(t time.Time) int {
	return int(min(math.Ceil(time.Until(t).Seconds()), math.MaxInt32))
}

// used returns the cookie that replaces c when its attempt, which lives until
// expiry, was used: the same with a mark, by which another callback of the same
// browser is known for what it is.
func (b binding) used(c *http.Cookie, expiry time.Time) *http.Cookie {
	if len(c.Value) > maxUsed {
		return b.cookie(c.Name, "", -1)
	}
	return b.cookie(c.Name, usedMark+strings.TrimPrefix(c.Value, usedMark), secondsUntil(expiry))
}

func isUsed(c *http.Cookie) bool { return strings.HasPrefix(c.Value, usedMark) }

// open returns the attempt in a cookie. The caller compares its state.
func (f *Flow) open(ctx context.Context, b binding, c *http.Cookie) (*Session, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimPrefix(c.Value, usedMark))
	if err != nil {
		return nil, stateError("the attempt's cookie was changed")
	}
	plain, err := f.Sealer.Open(ctx, sealed, b.associatedData(c.Name))
	switch {
	case errors.Is(err, storage.ErrOpen):
		return nil, loginerror.New(ErrState, "the attempt's cookie can't be opened: it was changed, is from another provider, client or redirect URL, or was sealed with a key that this process doesn't have", err)
	case err != nil:
		return nil, loginerror.New(ErrStartAgain, "can't open the attempt's cookie: "+redact.Line(err.Error(), loginerror.MaxText, nil), err)
	}
	var a attempt
	if err := json.Unmarshal(plain, &a); err != nil {
		return nil, stateError("the attempt's cookie isn't readable")
	}
	return &Session{
		Connection: a.Connection,
		State:      a.State,
		Verifier:   a.Verifier,
		Expiry:     time.UnixMilli(a.Expiry),
		Embedded:   a.Embedded,
		Issuer:     f.Issuer,
		kept:       a.Kept,
	}, nil
}

// attempts returns the cookies of attempts among cookies, oldest first: browsers send
// them in the order in which they were set.
func (b binding) attempts(cookies []*http.Cookie) []*http.Cookie {
	return slices.DeleteFunc(slices.Clone(cookies), func(c *http.Cookie) bool {
		hash, ok := strings.CutPrefix(c.Name, b.prefix())
		return !ok || len(hash) != hashLen
	})
}

// surplus returns the names of the attempts that must go so that added fits: those
// that were used, and then the middle ones. The user is most likely at the consent
// page with one of the latest, or with an early one that something which follows
// links has added to since.
func surplus(attempts []*http.Cookie, added *http.Cookie) (names []string) {
	size := len(added.Name) + len(added.Value)
	for _, c := range attempts {
		size += len(c.Name) + len(c.Value)
	}
	for len(attempts) >= maxAttempts || (size > maxCookies && len(attempts) > 0) {
		i := slices.IndexFunc(attempts, isUsed)
		if i < 0 {
			i = len(attempts) / 2
		}
		size -= len(attempts[i].Name) + len(attempts[i].Value)
		names = append(names, attempts[i].Name)
		attempts = slices.Delete(attempts, i, i+1)
	}
	return names
}
