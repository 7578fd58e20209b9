package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// Authorize implements auth.OAuthHandler. A 401 is answered by a refresh, and by a new
// consent only if that can't help: see the package's documentation. A 403 is answered by a
// consent to more scopes if it says insufficient_scope (RFC 6750, section 3.1) and they
// weren't granted yet, and by nothing otherwise.
//
// Most errors pass, and the next request tries again. One that is
// [tokensource.ErrLoginRequired], or [ErrDeclined], or the AuthorizationCodeFetcher's, means
// that the user didn't consent.
func (h *Handler) Authorize(ctx context.Context, req *http.Request, resp *http.Response) error {
	discard(resp.Body)
	if err := h.init(); err != nil {
		return err
	}
	if server, err := canonical(req.URL.String()); err != nil || server != h.server {
		return fmt.Errorf("mcpauth: the Handler of %s was given a request to %s://%s: make one for each MCP server", h.server, req.URL.Scheme, req.URL.Host)
	}
	if at := resp.Request; at != nil && !httpclient.SameOrigin(at.URL, req.URL) {
		// Where it says that tokens come from is nothing to the MCP server.
		return fmt.Errorf("mcpauth: %s has redirected to %s://%s, which refuses the request: make a Handler for that server, if you trust it", h.server, at.URL.Scheme, at.URL.Host)
	}
	challenges, err := parseChallenges(resp)
	if err != nil {
		return err
	}
	bare := *resp
	bare.Body = http.NoBody
	r := &request{Request: req, response: &bare}
	if scope := challenged(challenges, "scope"); scope != "" {
		r.scopes = strings.Fields(scope)
	}
	seen, err := h.state(ctx)
	if err != nil {
		return err
	}
	switch {
	case resp.StatusCode != http.StatusForbidden:
		return h.renew(ctx, r, seen)
	case challenged(challenges, "error") == "insufficient_scope":
		return h.stepUp(ctx, r, seen)
	}
	return nil
}

// discard reads what is left of a body, a little at most, and closes it.
func discard(body io.ReadCloser) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, 64<<10))
	body.Close()
}

// token returns the token that was sent, or "".
func (r *request) token() string {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return token
}

// renew is for a 401.
func (h *Handler) renew(ctx context.Context, r *request, seen state) error {
	t, err := h.token(ctx)
	var needed *consentError
	switch {
	case errors.As(err, &needed) && needed.reason == GrantEnded && seen.alive && seen.token != r.token():
		h.adopt(ctx, seen) // what has ended was the grant before, as this process knows it
		return nil
	case errors.As(err, &needed):
		return h.ask(ctx, needed.reason, r, seen)
	case err != nil:
		return err
	case t.AccessToken != r.token():
		return nil // another call has renewed it meanwhile
	case h.moved(ctx, r, seen):
		return h.ask(ctx, IssuerChanged, r, seen)
	}
	fresh, err := h.refresh(ctx, t)
	switch {
	case errors.As(err, &needed):
		return h.ask(ctx, needed.reason, r, seen)
	case err != nil:
		return err
	case fresh.AccessToken != t.AccessToken:
		return nil
	case time.Since(seen.login).Abs() < refusedFor:
		return fmt.Errorf("mcpauth: %s refuses a token that the user has just consented to", h.server)
	}
	return h.ask(ctx, TokenRefused, r, seen)
}

// refusedFor is how long after a consent the user isn't asked again because the MCP server
// refuses what came of it.
const refusedFor = time.Minute

// refresh returns another token than the one that was refused. It returns the same if the
// Manager knows that another would be of no use, since it has just been issued because the one
// before was refused.
func (h *Handler) refresh(ctx context.Context, refused *oauth2.Token) (*oauth2.Token, error) {
	c, err := h.connection(ctx)
	if err != nil || c == nil {
		return nil, errors.Join(err, &consentError{reason: FirstConsent})
	}
	c.source.Reject(refused)
	return h.token(ctx)
}

// moved reports whether the MCP server now trusts other authorization servers than the one
// that its tokens are from. Where that can't be found out, it doesn't.
func (h *Handler) moved(ctx context.Context, r *request, seen state) bool {
	if seen.client == nil || h.discover(ctx, r, seen.client) != nil {
		return false
	}
	return !r.found.trusts(seen.client.Issuer)
}

// discover fetches what the MCP server says of itself. c is the client that it was used with.
func (h *Handler) discover(ctx context.Context, r *request, c *client) error {
	challenges, err := parseChallenges(r.response)
	if err != nil {
		return err
	}
	r.found, err = h.discoverResource(ctx, challenges, r.URL.String(), c)
	return err
}

// stepUp is for a 403 that says insufficient_scope.
func (h *Handler) stepUp(ctx context.Context, r *request, seen state) error {
	if seen.client == nil {
		return h.ask(ctx, FirstConsent, r, seen)
	}
	if seen.token != r.token() && seen.alive { // another process's, which may have more scopes
		t, err := h.refresh(ctx, &oauth2.Token{AccessToken: r.token()})
		if err != nil || t.AccessToken != r.token() {
			return err
		}
	}
	switch {
	case len(r.scopes) > 0 && hasAll(seen.client.Scopes, r.scopes):
		return fmt.Errorf("mcpauth: %s asks for scopes that were granted already: %s", h.server, strings.Join(r.scopes, " "))
	case hasAll(seen.client.Asked, r.scopes) && time.Since(seen.login).Abs() < refusedFor:
		return fmt.Errorf("mcpauth: %s wants scopes that were asked for a moment ago and weren't granted: %s", h.server, strings.Join(r.scopes, " "))
	}
	return h.ask(ctx, MoreScopes, r, seen)
}

// state is what the store says of a connection at one moment.
type state struct {
	client   *client // nil: none of Config's
	token    string
	alive    bool // the token can be used, or refreshed
	login    time.Time
	declined time.Time // when a consent failed last
}

// state looks into the store.
func (h *Handler) state(ctx context.Context) (state, error) {
	k, _, err := h.read(ctx)
	if err != nil {
		return state{}, err
	}
	s := state{declined: k.Declined}
	c := h.use(k.Client)
	if c == nil {
		return s, nil
	}
	s.client = &c.client
	// The token is read first: if another process saves a login in between, it isn't taken for
	// one that has ended.
	t, err := c.source.Stored(ctx)
	if err == nil {
		s.token = t.AccessToken
		var st tokensource.Status
		if st, err = c.manager.Status(ctx, h.name); err == nil {
			s.alive, s.login = st.State != tokensource.StateLoginRequired, st.Login
			return s, nil
		}
	}
	if reasonFor(err, c.client) != "" {
		return state{client: s.client, declined: s.declined}, nil // there is no token of this client's
	}
	return state{}, err
}

// restored reports whether somebody else has had the user consent since seen.
func (s state) restored(reason ConsentReason, r *request, seen state) bool {
	if s.client == nil || !s.alive {
		return false
	}
	switch reason {
	case IssuerChanged:
		return r.found.trusts(s.client.Issuer)
	case MoreScopes:
		return hasAll(s.client.Scopes, r.scopes) && s.token != seen.token
	case ClientUnknown:
		return seen.client == nil || s.client.ClientID != seen.client.ClientID
	}
	return s.token != seen.token
}

// adopt has the token served that is in the store, of another login than the one that this
// process knows. The next call makes another Manager, which knows nothing of how that ended.
func (h *Handler) adopt(ctx context.Context, s state) {
	if t, err := h.token(ctx); err == nil && t.AccessToken == s.token {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.current = nil
}

// union returns all scopes of both, in their order.
func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
