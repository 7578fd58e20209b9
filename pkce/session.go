package pkce

import (
	"context"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/arrival"
	"github.com/oauth2keep/oauth2keep/internal/loginerror"
)

// defaultMaxAge is the time for everything between the button and the callback:
// the user has to find a password and a second factor, and some providers' forms
// are long. The code that comes back lives shorter, but only from then on. As an
// attempt is sealed, bound to its browser and good for one use, a longer life
// costs no more than a cookie.
const defaultMaxAge = 30 * time.Minute

// Session is one attempt to connect one account: what has to be remembered while
// the user is at the consent page. A web application gets it from [Flow.Begin] and
// has it back in [Flow.Callback]. A program without cookies makes one for each attempt,
// keeps it in memory, and calls [Session.Exchange] once, or serves [Session.Callback].
// The zero Session is ready for that:
//
//	s := &pkce.Session{Connection: "me"}
//	consentURL, err := s.Authorize(ctx, config)
//
// Authorize and Callback begin an attempt whose State is empty: they fill in State,
// Verifier, and Expiry if that is zero. A Session that has a State is used as it is. A
// copy of one that has none is another attempt.
//
// To go on in another process, keep the exported fields, encrypted, and make a Session of
// them. What Authorize remembers beside them, the values of the provider's variables, has to
// be given to Exchange, as the same options.
//
// Exchange and the handler of Callback only read the Session, and may be used
// concurrently. Authorize and Callback themselves must not be called at the same time as
// anything else, but the handler may serve already when Authorize is called for the first
// time.
//
// State, Verifier and URL are secrets until the attempt is over. A Session hides
// them from fmt, log/slog and encoding/json, also inside of another struct. Only an
// unexported field is printed by package fmt without asking: one that holds a
// *Session shows an address with %v, %+v and %#v, but one that holds a Session
// shows it all, so keep the pointer.
type Session struct {
	// Connection names the connection that the attempt is for, in the application's own
	// words. It is any valid UTF-8.
	Connection string

	// State comes back with the callback: 256 random bits in base64url. Empty means
	// that the attempt hasn't begun, and every callback is refused.
	State string

	// Verifier is the PKCE code verifier, 256 random bits in base64url. If it is empty
	// and State isn't, neither a challenge nor a verifier is sent: for an attempt without
	// PKCE, set State, as [oauth2.GenerateVerifier] makes one, and Expiry.
	Verifier string

	// Expiry is the time from which a callback is refused. Zero means 30 minutes after
	// the attempt begins, and is long past in a Session that has a State.
	Expiry time.Time

	// Embedded tells that the provider's JavaScript runs in the application's own
	// page and that no redirect takes place, so that redirect_uri must stay out of
	// the consent page's URL and of the exchange.
	Embedded bool

	// Issuer, if not empty, is the issuer identifier that the callback has to
	// carry (RFC 9207). See [Flow.Issuer], also if it is empty.
	Issuer string

	// URL is the URL of the consent page, filled in by [Flow.Begin] and
	// [Flow.BeginEmbedded] and by nothing else.
	URL string

	kept map[string]string // what an Authorizer wants to have again at the exchange
}

// begin gives s a state, a verifier and an expiry, if it has no state.
func (s *Session) begin() {
	if s == nil || s.State != "" {
		return
	}
	s.State, s.Verifier = oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	if s.Expiry.IsZero() {
		s.Expiry = time.Now().Add(defaultMaxAge)
	}
}

// Authorize begins the attempt, and returns the URL of its consent page. Called once
// more, it returns the URL of the same attempt. The options go into the URL. They don't
// go into the exchange, but for the provider's variables, if c is an [Authorizer] that has
// any: the Session remembers them for [Session.Exchange].
//
// The error wraps [ErrMisconfigured], as where c has no client id, or [ErrStartAgain] if a
// variable's value isn't accepted, which the user may have typed.
func (s *Session) Authorize(ctx context.Context, c Exchanger, opts ...oauth2.AuthCodeOption) (consentURL string, err error) {
	if err := check(c, "the Config of the consent page"); err != nil {
		return "", err
	}
	if s == nil {
		return "", misconfigured("the Session is nil")
	}
	s.begin()
	if a, ok := c.(Authorizer); ok {
		if _, clientID := a.Registration(); clientID == "" {
			return "", errNoClient
		}
		return s.authorize(ctx, a, opts)
	}
	if consentURL = s.authCodeURL(c, opts); consentURL == "" {
		return "", errNoURL
	}
	if !namesClient(c, consentURL) {
		return "", errNoClient
	}
	return consentURL, nil
}

// authCodeURL has c make the URL of the RFCs.
func (s *Session) authCodeURL(c Exchanger, opts []oauth2.AuthCodeOption) string {
	opts = slices.Clone(opts)
	if s.Verifier != "" {
		opts = append(opts, oauth2.S256ChallengeOption(s.Verifier))
	}
	if !s.Embedded {
		return c.AuthCodeURL(s.State, opts...)
	}
	// An option can empty a parameter of a plain oauth2.Config, but not remove it.
	opts = append(opts, noRedirectURI)
	base, query, _ := strings.Cut(c.AuthCodeURL(s.State, opts...), "?")
	params := slices.DeleteFunc(strings.Split(query, "&"), func(p string) bool { return p == "redirect_uri=" })
	if query = strings.Join(params, "&"); query != "" {
		base += "?" + query
	}
	return base
}

// noRedirectURI keeps the redirect URI out of an exchange by a Config of package
// endpoints, which doesn't send empty parameters.
var noRedirectURI = oauth2.SetAuthURLParam("redirect_uri", "")

// Exchange checks the parameters of a callback, as the package documentation
// lists it, and exchanges the code in them for a token. The options go into the
// exchange; the value of one goes before what the callback has for it. The HTTP client is
// that of ctx, under the key [oauth2.HTTPClient], or [http.DefaultClient], but redirects of
// the token endpoint aren't followed.
//
// A callback whose state doesn't verify is an [ErrState], and nothing is sent. An
// error that the provider sent to the callback is an [*AuthError]; the answer of
// its token endpoint is an [*oauth2.RetrieveError], wrapped. Every error wraps
// [ErrStartAgain], [ErrDenied] or [ErrMisconfigured].
//
// A code is good for one exchange, and Exchange doesn't remember that it was
// called: forget the Session when it returns, and take a new one for another attempt.
// If ctx ends while the provider answers, the token is lost, so don't use the context
// of an HTTP request whose client may leave; [Flow.Callback] takes care of that.
func (s *Session) Exchange(ctx context.Context, c Exchanger, callback url.Values, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	read := readCallback(c, callback)
	if err := s.verify(read.Values); err != nil {
		return nil, err
	}
	return s.exchange(ctx, c, read, opts)
}

// Callback returns the handler for the redirect URI of a program that keeps s in memory
// and serves the callback itself, as package loopback does. It does what
// [Flow.Callback]'s does, without a cookie: any browser may finish the attempt that knows
// its state. So it must serve nobody but the user whose attempt it is, on the loopback of
// the user's own machine (RFC 8252, section 7.3).
//
// The exchange is made with ctx, its HTTP client and the options, as by
// [Session.Exchange], and bounded to 5 minutes. Whatever else is true of the handler and
// of done is said at Flow.Callback: done has a token, or an error, and the Session s, or
// nil if the state didn't verify. Such a callback, of which there may be any number,
// doesn't end the attempt; the first one whose state verifies does, and those after it
// are an [ErrAlreadyUsed] when done has returned for the first.
func (s *Session) Callback(ctx context.Context, c Exchanger, done func(w http.ResponseWriter, r *http.Request, s *Session, t *oauth2.Token, err error), opts ...oauth2.AuthCodeOption) http.Handler {
	if done == nil {
		panic("pkce: Session.Callback with a nil done")
	}
	s.begin() // Authorize would, while the handler reads the state
	resume := func(w http.ResponseWriter, r *http.Request) (*Session, parameters, error) {
		callback := readForm(c, w, r)
		if err := s.verify(callback.Values); err != nil {
			return nil, callback, err
		}
		return s, callback, nil
	}
	exchange := func(_ context.Context, s *Session, callback parameters) (*oauth2.Token, error) {
		arrival.Tell(ctx)
		ctx, cancel := context.WithTimeout(ctx, defaultExchangeTimeout)
		defer cancel()
		return s.exchange(ctx, c, callback, opts)
	}
	// What the handler remembers is one state, until it is gone.
	const always = math.MaxInt64
	return &callbackHandler{resume, exchange, done, new(spentStates), always, defaultExchangeTimeout}
}

// verify checks the state of a callback against that of the attempt.
func (s *Session) verify(callback url.Values) error {
	state, err := stateOf(callback)
	if err != nil {
		return err
	}
	if s != nil && s.State == "" {
		return stateError("the attempt hasn't begun: Session.Authorize wasn't called, or was for a copy")
	}
	if s == nil || subtle.ConstantTimeCompare([]byte(state), []byte(s.State)) != 1 {
		return stateError("the callback's state belongs to another attempt")
	}
	if s.Expiry.IsZero() {
		return stateError("the attempt has expired: Session.Expiry is zero, which a Session that has a State needs")
	}
	if !time.Now().Before(s.Expiry) {
		return stateError("the attempt has expired")
	}
	return nil
}

// stateOf returns the one state of a callback, which is not empty.
func stateOf(callback url.Values) (string, error) {
	switch states := callback["state"]; {
	case len(states) > 1:
		return "", stateError("the callback has more than one state")
	case len(states) == 0 || states[0] == "":
		return "", stateError("the callback has no state")
	default:
		return states[0], nil
	}
}

// exchange does what comes after verify.
func (s *Session) exchange(ctx context.Context, c Exchanger, callback parameters, opts []oauth2.AuthCodeOption) (*oauth2.Token, error) {
	for _, name := range []string{"code", "error", "error_description", "error_uri", "iss"} {
		if len(callback.Values[name]) > 1 {
			callback.repeated = name
		}
	}
	if callback.repeated != "" {
		return nil, startAgain("the callback repeats the parameter " + callback.repeated)
	}
	// The issuer comes before the error: that of someone else says nothing about
	// this provider.
	if err := s.checkIssuer(c, callback.Get("iss")); err != nil {
		return nil, err
	}
	if callback.Get("error") != "" {
		return nil, newAuthError(callback.Values, s.State, s.Verifier)
	}
	code := callback.Get("code")
	if code == "" {
		return nil, startAgain("the callback has neither a code nor an error")
	}
	if err := check(c, "the Config to exchange the code with"); err != nil {
		return nil, err
	}
	opts, err := s.withKept(opts, callback.kept)
	if err != nil {
		return nil, err
	}
	if s.Verifier != "" {
		opts = append(opts, oauth2.VerifierOption(s.Verifier))
	}
	if s.Embedded {
		opts = append(opts, noRedirectURI)
	}
	t, err := c.Exchange(withClient(ctx), code, opts...)
	switch {
	case err != nil:
		return nil, loginerror.OfRequest("the exchange failed: ", c, err, code, s.State, s.Verifier)
	case t == nil:
		return nil, startAgain("the exchange gave no token")
	}
	return t, nil
}

// checkIssuer compares a callback's iss with the issuer that is expected, by the
// plain comparison of RFC 9207, section 2.4, or with the one that c knows. The
// latter comes from a definition, where a slash at the end may be left out.
func (s *Session) checkIssuer(c Exchanger, iss string) error {
	known := s.Issuer
	if a, ok := c.(Authorizer); ok && known == "" {
		issuer, inCallbacks := a.Issuer()
		if iss != "" || inCallbacks {
			known, iss = strings.TrimSuffix(issuer, "/"), strings.TrimSuffix(iss, "/")
		}
	}
	switch {
	case known == "" || iss == known:
		return nil
	case iss == "":
		return misconfigured("the callback doesn't name its issuer (iss), but one is expected")
	default:
		return misconfigured("the callback is from another issuer (iss) than the one expected")
	}
}

// Format keeps the secrets out of every verb of package fmt.
func (s Session) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, "pkce.Session(for %q until %s, secrets redacted)", s.Connection, s.Expiry.UTC().Format(time.RFC3339))
}

// MarshalText keeps the secrets out of encoding/json and its like. There is no way
// back from that text to a Session.
func (s Session) MarshalText() ([]byte, error) { return fmt.Append(nil, s), nil }

// LogValue keeps the secrets out of log/slog.
func (s Session) LogValue() slog.Value {
	return slog.GroupValue(slog.String("connection", s.Connection), slog.Time("expiry", s.Expiry), slog.Bool("embedded", s.Embedded))
}
