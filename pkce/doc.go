// Package pkce takes one user to a provider's consent page and back: the
// authorization code grant of RFC 6749 with PKCE (RFC 7636), as RFC 9700, the
// current security practice for OAuth 2.0, wants it done.
//
// A web application needs a [Flow] and two handlers:
//
//	flow := &pkce.Flow{
//		Config: config, // an *endpoints.Config or *oauth2.Config
//		Sealer: keys,
//	}
//	http.HandleFunc("GET /connect", func(w http.ResponseWriter, r *http.Request) {
//		s, err := flow.Begin(w, r, accountOf(r))
//		if err != nil {
//			http.Error(w, "Can't connect now.", http.StatusInternalServerError)
//			return
//		}
//		http.Redirect(w, r, s.URL, http.StatusFound)
//	})
//	http.Handle("/callback", flow.Callback(
//		func(w http.ResponseWriter, r *http.Request, s *pkce.Session, t *oauth2.Token, err error) {
//			if err == nil {
//				err = manager.Save(r.Context(), s.Connection, t)
//			}
//			show(w, r, err)
//		}))
//
// A program without cookies keeps a [Session] in memory instead and calls its methods.
// For a command-line tool or a desktop program, package loopback does all of it.
//
// # What is checked
//
// In this order, and nothing is sent to the provider before all of it holds:
//
//   - The callback is a GET or a POST, and has exactly one state, which is not
//     empty (RFC 6749 section 3.1: parameters are never repeated, and an empty
//     one counts as absent).
//   - This browser holds the sealed cookie of the attempt with that state, so
//     that nobody finishes what someone else began (RFC 6749 section 10.12,
//     RFC 9700 section 4.7), and the attempt began with the same provider, client
//     and redirect URI (RFC 9700 section 4.4).
//   - The sealed state equals the callback's, compared in constant time.
//   - The attempt hasn't expired and wasn't used before.
//   - No other parameter of the response is repeated.
//   - The issuer is the one expected, if the callback names it or the provider has
//     promised to (RFC 9207).
//   - The provider didn't answer with an error (RFC 6749 section 4.1.2.1), and
//     did with a code.
//
// The code is then exchanged together with the PKCE verifier, whose S256
// challenge went with the user to the consent page, so that a code that leaked on
// the way is worth nothing.
//
// # What to do about an error
//
// Every error calls for one of three actions, and wraps exactly one of
// [ErrStartAgain], [ErrDenied] and [ErrMisconfigured]. [ErrAlreadyUsed] means that the
// callback has arrived a second time: the first has decided, but the user sees the answer
// to the second.
//
//	switch {
//	case err == nil, errors.Is(err, pkce.ErrAlreadyUsed):
//		// That page says whether s.Connection is connected.
//		http.Redirect(w, r, "/connections", http.StatusSeeOther)
//	case errors.Is(err, pkce.ErrDenied):
//		// The user said no. Offer the button again, without a complaint.
//	case errors.Is(err, pkce.ErrMisconfigured):
//		// The operator has to change something: alert, and apologize.
//	default: // pkce.ErrStartAgain
//		// Offer to connect once more.
//	}
//
// No error holds a code, a state, a verifier, the client's secret or the body of an
// answer, neither in its text nor in what it wraps: an [oauth2.RetrieveError] found
// with errors.As is a copy without the body and most headers, and its request is
// reduced to method and URL. What errors.Is finds in the client's own error, it finds
// in this one. An error that an [Exchanger] of the application's own returns without
// a RetrieveError is kept, unless its text has one of these secrets.
//
// # Cookies
//
// Each attempt has a cookie of its own, so that several tabs can be at the consent
// page at once. Over https it is named __Host-oauth2keep- and a hash of the state,
// which keeps sibling subdomains and plain http from planting one; it is Secure,
// HttpOnly and SameSite=Lax, and gone after [Flow.MaxAge]. The callback marks it as
// used, or deletes it if it is long.
//
// Over plain http, for development, browsers don't offer that protection and the
// name has no prefix. Whether an attempt is https is decided by the redirect URI
// of [Flow.Config]: one that begins with https always gets the protected cookie,
// and so does a connection that the server or a proxy, by X-Forwarded-Proto,
// reports as https. Without a redirect URI, in an embedded flow, only a loopback
// host is taken for development.
//
// A cookie comes back only to the host that set it, at any port: the page that calls
// [Flow.Begin] and the redirect URI must have the same host name, which www.example.com
// and example.com don't have, nor localhost and 127.0.0.1. Begin refuses the latter
// two. Of others it can't be sure, behind a proxy that changes the Host; there, the
// error of the callback names the host at which it arrived.
//
// SameSite=Lax means that a provider must come back by a redirect. A form posted
// from the provider's site (response_mode=form_post) arrives without the cookie,
// and is refused.
package pkce
