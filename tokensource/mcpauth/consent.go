package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// ConsentReason is why the user is asked.
type ConsentReason string

const (
	// FirstConsent: nobody has consented yet, or to another client than Config's.
	FirstConsent ConsentReason = "first"

	// GrantEnded: the grant was revoked or has expired, or there is no refresh token.
	GrantEnded ConsentReason = "grant_ended"

	// ClientUnknown: the authorization server doesn't know the client any more that was
	// registered there. Another one is registered.
	ClientUnknown ConsentReason = "client_unknown"

	// IssuerChanged: the MCP server trusts another authorization server now. Nothing
	// of the one before is sent there: neither its tokens nor its client.
	IssuerChanged ConsentReason = "issuer_changed"

	// MoreScopes: the MCP server wants scopes that weren't granted (403
	// insufficient_scope). Those that were are asked for as well.
	MoreScopes ConsentReason = "more_scopes"

	// TokenRefused: the MCP server refuses tokens that the authorization server has just
	// issued.
	TokenRefused ConsentReason = "token_refused"
)

// Consent is what the user is asked for, and why. It holds no secret.
type Consent struct {
	Server         string // the MCP server, in its canonical form
	Issuer         string // of the authorization server where the user is sent
	PreviousIssuer string // of the one before, for IssuerChanged
	Reason         ConsentReason
	Scopes         []string // that the MCP server asks for now, if it says
}

// ErrDeclined is the error of a call that doesn't ask the user, because another call or
// another process has just done so, and the user didn't consent: while this one waited, or
// less than 3 seconds ago. The SDK's client makes another request at once. The error wraps that
// of the AuthorizationCodeFetcher if it is known in this process.
var ErrDeclined = errors.New("mcpauth: the user has just been asked, and didn't consent")

// declinedFor is how long the user isn't asked again.
const declinedFor = 3 * time.Second

// consentError says that the user has to be asked. It is tokensource.ErrLoginRequired, and
// has the invalid_grant by which the SDK's transport knows to go on without a token.
type consentError struct {
	reason ConsentReason
	cause  error
}

func (e *consentError) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("mcpauth: the user has to consent (%s): %v", e.reason, e.cause)
	}
	return fmt.Sprintf("mcpauth: the user has to consent (%s)", e.reason)
}

// Is reports whether target is tokensource.ErrLoginRequired.
func (e *consentError) Is(target error) bool { return target == tokensource.ErrLoginRequired }

func (e *consentError) Unwrap() error {
	return &oauth2.RetrieveError{
		Response:  &http.Response{StatusCode: http.StatusBadRequest, Body: http.NoBody},
		ErrorCode: "invalid_grant",
	}
}

// request is a request that the MCP server refused.
type request struct {
	*http.Request
	response *http.Response // its body is closed
	found    *discovery     // nil: not yet
	scopes   []string       // that are asked for
}

// ask has the user consent, unless another call or another process is at it, whose outcome it
// then shares. seen is what was known when that turned out to be necessary.
func (h *Handler) ask(ctx context.Context, reason ConsentReason, r *request, seen state) error {
	done, err := h.myTurn(ctx)
	if err != nil {
		return err
	}
	defer done()
	now, err := h.state(ctx)
	switch {
	case err != nil:
		return err
	case now.restored(reason, r, seen):
		h.adopt(ctx, now)
		return nil
	case time.Since(now.declined).Abs() < declinedFor:
		return h.wasDeclined(now.declined)
	}
	return h.consent(ctx, reason, r, now)
}

// declined is a consent that failed, as this process knows it.
type declined struct {
	at  time.Time
	err error
}

// decline notes that the user was asked and didn't consent, and returns why.
func (h *Handler) decline(ctx context.Context, why error) error {
	now := time.Now().UTC().Round(0) // as it comes back from the store
	h.mu.Lock()
	h.last = declined{now, why}
	h.mu.Unlock()
	return errors.Join(why, h.update(ctx, func(r *record) bool { r.Declined = now; return true }))
}

// wasDeclined is the error of those who don't ask again.
func (h *Handler) wasDeclined(at time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.last.at.Equal(at) && h.last.err != nil {
		return fmt.Errorf("%w: %w", ErrDeclined, h.last.err)
	}
	return ErrDeclined
}

// myTurn waits until nobody else asks the user: no other call here, and no other process if
// the store has locks.
func (h *Handler) myTurn(ctx context.Context) (done func(), err error) {
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	unlock, err := h.Store.Lock(ctx, h.recordName())
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		unlock = func() {}
	case err != nil:
		<-h.turn
		return nil, err
	}
	return func() { unlock(); <-h.turn }, nil
}

// consent has the SDK's handler ask the user, and saves what comes of it.
func (h *Handler) consent(ctx context.Context, reason ConsentReason, r *request, now state) error {
	if r.found == nil {
		if err := h.discover(ctx, r, now.client); err != nil {
			return err
		}
	}
	if err := h.discoverServer(ctx, r.found, now.client); err != nil {
		return err
	}
	next, err := r.found.client()
	if err != nil {
		return err
	}
	if err := h.checkBinding(now.client, next); err != nil {
		return err
	}
	if reason == ClientUnknown && now.client != nil {
		if err := h.forgetClient(ctx, now.client.ClientID); err != nil {
			return err
		}
	}
	why := Consent{Server: h.server, Issuer: next.Issuer, Reason: reason, Scopes: r.scopes}
	if now.client != nil && !now.client.of(next.Issuer) {
		why.Reason, why.PreviousIssuer = IssuerChanged, now.client.Issuer
	}
	if h.OnConsent != nil {
		if err := h.OnConsent(ctx, why); err != nil {
			return err
		}
	}
	return h.askBySDK(ctx, r, now.client, next)
}

// checkBinding refuses to use a client that was registered beforehand at another issuer than
// the one that it has been used with: its secret is for that one (MCP, authorization,
// "Authorization Server Binding").
func (h *Handler) checkBinding(before, next *client) error {
	pre := h.config.PreregisteredClient
	if pre == nil || pre.Issuer != "" || before == nil || before.Dynamic || before.ClientID != pre.ClientID || before.of(next.Issuer) {
		return nil
	}
	return fmt.Errorf("mcpauth: %s trusts the authorization server %s now, and the client %q has been used with %s: "+
		"set PreregisteredClient.Issuer if that client is registered there too", h.server, next.Issuer, pre.ClientID, before.Issuer)
}

// askBySDK runs the SDK's handler, of which next is what becomes of it.
func (h *Handler) askBySDK(ctx context.Context, r *request, before, next *client) error {
	base := h.config.Client.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	rounds := &kept{h: h, found: r.found, base: base}
	asked := false
	config := h.sdkConfig(rounds, before)
	config.AuthorizationCodeFetcher = func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		asked = true
		if !rounds.reused {
			rounds.useless = "" // the SDK has taken it, and the server has just made it
		}
		return h.config.AuthorizationCodeFetcher(ctx, args)
	}
	config.NewTokenSource = func(_ context.Context, c *oauth2.Config, t *oauth2.Token) (oauth2.TokenSource, error) {
		next.ClientID, next.Dynamic, next.Auth = c.ClientID, rounds.dynamic, rounds.method
		if next.Dynamic {
			next.ClientSecret = c.ClientSecret
		}
		next.Scopes, next.Asked = c.Scopes, c.Scopes
		if granted, ok := t.Extra("scope").(string); ok { // RFC 6749, section 5.1
			next.Scopes = strings.Fields(granted)
		}
		return oauth2.StaticTokenSource(t), h.save(ctx, next, t)
	}
	sdk, err := auth.NewAuthorizationCodeHandler(&config)
	if err != nil {
		return err
	}
	err = sdk.Authorize(ctx, r.Request, r.response)
	if err != nil && rounds.dynamic && rounds.useless != "" {
		err = errors.Join(err, h.forgetClient(context.WithoutCancel(ctx), rounds.useless))
	}
	if err != nil && asked && ctx.Err() == nil {
		return h.decline(ctx, err)
	}
	return err
}

// sdkConfig is Config, with requests that are made by rounds. What is asked for includes what
// a client of the same issuer was granted before.
func (h *Handler) sdkConfig(rounds *kept, before *client) auth.AuthorizationCodeHandlerConfig {
	config := h.config
	config.Client = &http.Client{Transport: rounds, Jar: h.config.Client.Jar, Timeout: h.config.Client.Timeout}
	if before.of(rounds.found.issuer()) {
		config.ScopeFilter = func(discovered []string) []string {
			if h.config.ScopeFilter != nil {
				discovered = h.config.ScopeFilter(discovered)
			}
			return union(before.Scopes, discovered)
		}
	}
	return config
}

// saveTime is how long saving may take after the caller has given up: what the user has
// consented to isn't to be lost for that.
const saveTime = 10 * time.Second

// save keeps a client that the user has consented to, and its token, or leaves what another
// process has saved just now of another client's.
func (h *Handler) save(ctx context.Context, c *client, t *oauth2.Token) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	if err := h.update(ctx, func(r *record) bool { r.Client = c; return true }); err != nil {
		return err
	}
	m := h.use(c).manager
	err := m.Save(ctx, h.name, t)
	var e *tokensource.Error
	if !errors.As(err, &e) || e.Reason != tokensource.ReasonOtherClient {
		return err
	}
	// The token of another client, or of another issuer, which no Manager of this one's
	// may use or delete. It is good if that client was saved since, without a lock.
	k, _, err := h.read(ctx)
	if err != nil {
		return err
	}
	if k.Client != nil && !c.sameAs(k.Client) && h.use(k.Client) != nil {
		return nil
	}
	_, version, err := h.Store.Get(ctx, h.name)
	if err == nil {
		err = h.Store.Delete(ctx, h.name, version)
	}
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return m.Save(ctx, h.name, t)
}
