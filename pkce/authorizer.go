package pkce

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/loginerror"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Authorizer is an optional ability of an [Exchanger]: it makes the authorization
// request, and reads the callback, in its provider's words. The *Config of package
// endpoints is one. Of another Exchanger the request is that of RFC 6749, section
// 4.1.1, with RFC 7636's challenge, and so is the callback, whose issuer is compared with
// Flow.Issuer or Session.Issuer alone.
//
// An Exchanger that wraps an Authorizer has to have its methods as well.
type Authorizer interface {
	Exchanger

	// Registration returns which client of which issuer this is, and RedirectURL where
	// its callbacks arrive. They don't change: an attempt is bound to all three.
	Registration() (issuer, clientID string)
	RedirectURL() string

	// Issuer returns the issuer identifier of the provider's metadata (RFC 8414, section
	// 2), and the metadata's authorization_response_iss_parameter_supported as inCallbacks.
	// A callback that names another issuer (RFC 9207) is refused as [ErrMisconfigured],
	// and so is one that names none if inCallbacks is true.
	//
	// An empty issuer means that it isn't known: an iss isn't looked at then. It must not
	// be guessed from another URL, such as that of the token endpoint, nor be what
	// Registration returns if that was: providers name issuers at other hosts, and their
	// callbacks would be refused. What Flow.Issuer or Session.Issuer says goes first.
	Issuer() (issuer string, inCallbacks bool)

	// Authorize returns the URL of the consent page for one attempt, which has the
	// challenge that the provider takes for the verifier, or none. Without a verifier
	// there is no challenge. An option redirect_uri that is empty stands for an embedded
	// flow, which has none.
	//
	// What belongs to the attempt, such as the shop that is connected, is returned as
	// kept, and given to Exchange as options of these names. It travels in the cookie,
	// so it has to be short.
	//
	// A provider that has to be asked for the URL is asked with the HTTP client of the
	// context, under the key [oauth2.HTTPClient], which doesn't follow redirects.
	Authorize(ctx context.Context, state, verifier string, opts ...oauth2.AuthCodeOption) (consentURL string, kept map[string]string, err error)

	// ReadCallback returns the parameters of a callback under the names of RFC 6749 and
	// RFC 9207, with an error by one of their codes where the provider has another way
	// to say it. It changes nothing in callback. What it returns as kept is given to
	// Exchange as options, before those of the program, so that the program's count. A
	// callback in which a name of kept has another value than Authorize gave it is about
	// another account, and is refused.
	ReadCallback(callback url.Values) (rfc url.Values, kept map[string]string)
}

var _ loginerror.Authorizer = Authorizer(nil)

// parameters are those of a callback, under the RFC's names.
type parameters struct {
	url.Values
	kept     map[string]string // what the exchange is given as well
	repeated string            // a parameter of those that was sent more than once, or ""
}

func readCallback(c Exchanger, callback url.Values) parameters {
	if a, ok := c.(Authorizer); ok {
		rfc, kept := a.ReadCallback(callback)
		read := parameters{Values: rfc, kept: kept}
		for name := range kept {
			if len(callback[name]) > 1 {
				read.repeated = name
			}
		}
		return read
	}
	return parameters{Values: callback}
}

// authorize returns the URL of the consent page for s. A verifier goes there as the
// challenge only.
func (s *Session) authorize(ctx context.Context, a Authorizer, opts []oauth2.AuthCodeOption) (string, error) {
	if s.Embedded {
		opts = append(slices.Clone(opts), noRedirectURI)
	}
	consentURL, kept, err := a.Authorize(withClient(ctx), s.State, s.Verifier, opts...)
	if err != nil {
		return "", s.authorizeError(ctx, a, err)
	}
	s.kept = kept
	return consentURL, nil
}

// authorizeError wraps what a.Authorize returned. An error that isn't of a request to the
// provider is one of the program's, unless it says that it isn't.
func (s *Session) authorizeError(ctx context.Context, a Authorizer, err error) error {
	const what = "can't make the consent page's URL: "
	secrets := []string{s.State, s.Verifier}
	var answer *oauth2.RetrieveError
	var failed *url.Error
	if errors.As(err, &answer) || errors.As(err, &failed) {
		return loginerror.OfRequest(what, a, err, secrets...)
	}
	action := ErrMisconfigured
	if tokenerror.IsInput(err) || ctx.Err() != nil {
		action = ErrStartAgain
	}
	return loginerror.New(action, what+redact.Line(err.Error(), loginerror.MaxText, secrets), redact.Error(err, secrets))
}

// withKept returns opts with what the attempt and its callback have kept. The last option of
// a name counts: the attempt's goes before the program's, and that before the callback's,
// which anyone can write.
func (s *Session) withKept(opts []oauth2.AuthCodeOption, callback map[string]string) ([]oauth2.AuthCodeOption, error) {
	for name, value := range callback {
		if begun, ok := s.kept[name]; ok && begun != value {
			return nil, startAgain("the callback is about another account than the attempt")
		}
	}
	return slices.Concat(optionsOf(callback), opts, optionsOf(s.kept)), nil
}

func optionsOf(kept map[string]string) []oauth2.AuthCodeOption {
	var opts []oauth2.AuthCodeOption
	for _, name := range slices.Sorted(maps.Keys(kept)) {
		opts = append(opts, oauth2.SetAuthURLParam(name, kept[name]))
	}
	return opts
}
