package tokenerror

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Meaning is what is known of an error of a token endpoint.
type Meaning struct {
	Kind Kind

	// Code is the provider's error code if it may be printed and kept. A code that
	// isn't known could be anything, also a secret that the provider repeats: it
	// is Unprintable, unless package endpoints has looked at it. It is "" if the
	// provider gave none.
	Code string

	Status     int           // of the answer, or 0
	Grant      string        // the grant_type of the request, if package endpoints made it
	RetryAfter time.Duration // how long the provider asks to wait, at most MaxRetryAfter
}

// DeviceGrant is the grant_type of RFC 8628, section 3.4.
const DeviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// Unprintable stands for an error code that could be a secret.
const Unprintable = "(unknown code)"

// Of returns the meaning of the *oauth2.RetrieveError in err, and false if there is
// none: then no token endpoint has answered.
func Of(err error) (Meaning, bool) {
	var retrieve *oauth2.RetrieveError
	if !errors.As(err, &retrieve) || retrieve == nil {
		return Meaning{}, false
	}
	var m Meaning
	var a Adapted
	adapted := false
	if resp := retrieve.Response; resp != nil {
		m.Status = resp.StatusCode
		m.RetryAfter = RetryAfter(resp.Header)
		if resp.Request != nil {
			a, adapted = AdaptedFrom(resp.Request.Context())
		}
	}
	m.Grant = a.Grant
	known, kind := Lookup(retrieve.ErrorCode)
	switch {
	case known != "":
		m.Code = known
	case adapted:
		m.Code = retrieve.ErrorCode
	case retrieve.ErrorCode != "":
		m.Code = Unprintable
	}
	switch {
	case a.Kind != Unknown:
		m.Kind = a.Kind
	case !adapted && wantedAdapting(retrieve.Response):
		m.Kind = NotAdapted
	default:
		m.Kind = m.kindOf(kind, retrieve)
	}
	switch {
	case m.Kind == GrantRejected && m.Grant == "refresh_token":
		m.Kind = LoginRequired
	case m.Grant == DeviceGrant && m.Code == "access_denied" && a.Kind == Unknown:
		m.Kind = Denied // RFC 8628, section 3.5
	}
	return m, true
}

// kindOf decides between what the code means and what the status does.
func (m *Meaning) kindOf(kind Kind, err *oauth2.RetrieveError) Kind {
	switch {
	case m.Status == http.StatusTooManyRequests:
		return RateLimited
	case kind == Unreadable && (m.Status < 300 || m.Status == http.StatusBadGateway):
		return Unreadable // 502 also stands for a success that can't be read
	case m.Status >= 500:
		return Unavailable
	case m.Status >= 300 && m.Status < 400:
		return ClientRejected // the endpoint is elsewhere, and what holds secrets isn't sent after it
	case kind == Unknown || kind == Unreadable:
		return m.kindOfStatus(kind, err)
	case kind == GrantRejected && m.Grant == "refresh_token":
		return kind
	case m.Code == "invalid_request" && saysRefreshTokenIsDead(err.ErrorDescription):
		return LoginRequired
	case (kind == GrantRejected || kind == ClientRejected) && BlamesRedirect(err.ErrorDescription):
		return RedirectMismatch // also Auth0's unauthorized_client
	}
	return kind
}

// kindOfStatus is the kind of an error whose code says nothing.
func (m *Meaning) kindOfStatus(kind Kind, err *oauth2.RetrieveError) Kind {
	switch m.Status {
	case http.StatusUnauthorized:
		// RFC 6749, section 5.2: the client's credentials. A page is someone else's.
		if kind != Unreadable && !isPage(err.Response) {
			return ClientRejected
		}
	case http.StatusPaymentRequired, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusUnsupportedMediaType:
		return ClientRejected
	}
	if err.ErrorCode == "" {
		return Unreadable
	}
	return kind
}

func isPage(resp *http.Response) bool {
	if resp == nil {
		return false
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return media == "text/html"
}

// tokenURLs are those of the providers of package endpoints that take no form.
var tokenURLs = []string{
	"https://api.tryfinch.com/auth/token",
	"https://api.trychartapi.com/auth/token",
	"https://login.taxrock.com/oauth/token",
	"https://login-demo.taxrock.com/oauth/token",
}

// wantedAdapting reports whether what answers takes something else than x/oauth2's
// own form.
func wantedAdapting(resp *http.Response) bool {
	if resp == nil || resp.Request == nil || resp.Request.URL == nil {
		return false
	}
	return resp.StatusCode == http.StatusUnsupportedMediaType || slices.Contains(tokenURLs, resp.Request.URL.String())
}

// Adapted is what package endpoints, which made the request and has read the answer
// by the provider's definition, knows of both. It travels in the context of
// RetrieveError.Response.Request.
type Adapted struct {
	Grant string // the grant_type of the request
	Kind  Kind   // what the definition says that the error means, or Unknown
}

type adaptedKey struct{}

// WithAdapted returns a context that carries a. It says that the error code of the
// answer holds no secret.
func WithAdapted(ctx context.Context, a Adapted) context.Context {
	return context.WithValue(ctx, adaptedKey{}, a)
}

// AdaptedFrom returns what WithAdapted put into ctx.
func AdaptedFrom(ctx context.Context) (Adapted, bool) {
	a, ok := ctx.Value(adaptedKey{}).(Adapted)
	return a, ok
}

// notSent is an error by which a request was never made.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }
func (notSent) NotSent() bool   { return true }

// NotSent marks err as the reason why a request was not made. Its text is that of
// err. Without the mark, net/http's clients and x/oauth2 would have it pass for an
// error of the network's.
func NotSent(err error) error { return notSent{err} }

// WasNotSent reports whether err, or one that it wraps, says that the request was
// never made: by NotSent, or by a method NotSent() bool of its own.
func WasNotSent(err error) bool {
	var e interface{ NotSent() bool }
	return errors.As(err, &e) && e.NotSent()
}

// input is an error about a value that a user may have typed, found before anything was
// sent.
type input struct{ error }

func (e input) Unwrap() error { return e.error }
func (input) NotSent() bool   { return true }

// Input marks err as being about a value that the program was given by someone, such as
// the name of a shop, and not about the program. Nothing was sent.
func Input(err error) error { return input{err} }

// IsInput reports whether Input has marked err.
func IsInput(err error) bool {
	var e input
	return errors.As(err, &e)
}

// meant is an error that isn't of a token endpoint's answer, and means the same as one.
type meant struct {
	error
	kind Kind
}

func (e meant) Unwrap() error { return e.error }

// Meant marks err, such as that of a callback, as one that means kind.
func Meant(err error, kind Kind) error { return meant{err, kind} }

// WasMeant returns what Meant has marked err with.
func WasMeant(err error) (kind Kind, ok bool) {
	var e meant
	ok = errors.As(err, &e)
	return e.kind, ok
}

// Mistake returns the text of what NotSent has marked in err. What it is wrapped in, and
// what says so by a method of its own, could hold anything.
func Mistake(err error) (text string, ok bool) {
	var own notSent
	if !errors.As(err, &own) {
		return "", false
	}
	return own.Error(), true
}

// LooksLikeCode reports whether s has the form of an error code: a word of at most
// 64 letters, digits and ".-_".
func LooksLikeCode(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool {
		isLetter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !isLetter && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	})
}
