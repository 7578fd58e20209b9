package endpoints

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// Revoke asks the provider to revoke t: its refresh token if it has one, and its
// access token otherwise (RFC 7009). It returns nil if the token was dead already,
// also where the provider calls that an error, against section 2.2.
// For a provider that has no endpoint for it, the error wraps errors.ErrUnsupported.
func (c *Config) Revoke(ctx context.Context, t *oauth2.Token) error {
	conf := c.config()
	p := &conf.Provider
	switch {
	case conf.err != nil:
		return conf.err
	case p.RevokeURL == "":
		return p.mistake("the provider has no endpoint to revoke tokens at: %w", errors.ErrUnsupported)
	case t == nil || t.AccessToken == "" && (t.RefreshToken == "" || p.Style.RevokeWithBearer):
		return p.mistake("there is no token to revoke")
	}
	ctx = context.WithValue((&transport{adapter: conf.adapter, known: conf.secrets(t)}).context(ctx), revocation{}, true)
	r, err := conf.revocationRequest(ctx, t)
	if err != nil {
		return p.mistake("can't make the revocation request: %w", err)
	}
	resp, err := ctx.Value(oauth2.HTTPClient).(*http.Client).Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if !isFailure(resp.StatusCode) {
		return nil
	}
	err = retrieveError(resp)
	if p.Style.RevokeWithBearer && resp.StatusCode == http.StatusUnauthorized && KindOf(err) != KindUnreadable {
		return nil // the token that came with the request is dead, or it would have been taken
	}
	if wasDead(err) {
		return nil
	}
	return err
}

// wasDead reports whether the error of a revocation says that the token is dead. It
// goes by a known code, or, for another, by words about the token.
func wasDead(err error) bool {
	var retrieve *oauth2.RetrieveError
	meaning, ok := tokenerror.Of(err)
	if !ok || !errors.As(err, &retrieve) || strings.HasPrefix(retrieve.ErrorDescription, unusable) {
		return false
	}
	words := strings.ToLower(retrieve.ErrorDescription)
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(words, part) })
	}
	known, _ := tokenerror.Lookup(retrieve.ErrorCode)
	switch {
	case has("client") && !has("expired", "revoked"):
		return false // it lives, and is another client's
	case meaning.Kind == tokenerror.GrantRejected, meaning.Kind == tokenerror.LoginRequired:
		return true
	case meaning.Kind == tokenerror.RateLimited, meaning.Kind == tokenerror.Unavailable, known != "" && known != tokenerror.CodeUnreadable:
		return false
	}
	if strings.HasPrefix(words, "http status ") {
		words = "" // ours
	}
	words += " " + strings.ReplaceAll(strings.ToLower(retrieve.ErrorCode), "_", " ")
	return has("token", "grant") && !has("endpoint", "route", "url") &&
		has("not found", "already revoked", "expired", "no longer", "does not exist", "unknown token", "token unknown")
}

// revocationRequest makes the request as RFC 7009 has it, for the transport to adapt.
func (c *config) revocationRequest(ctx context.Context, t *oauth2.Token) (*http.Request, error) {
	p := &c.Provider
	form := url.Values{}
	inParams := p.Endpoint.AuthStyle == oauth2.AuthStyleInParams
	if !p.Style.RevokeWithBearer {
		form.Set("token", t.AccessToken)
		if t.RefreshToken != "" {
			form.Set("token", t.RefreshToken)
		}
		if inParams {
			form.Set("client_id", c.oauth.ClientID)
			form.Set("client_secret", c.oauth.ClientSecret)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", formType)
	switch {
	case p.Style.RevokeWithBearer:
		r.Header.Set("Authorization", "Bearer "+t.AccessToken)
	case !inParams:
		r.SetBasicAuth(url.QueryEscape(c.oauth.ClientID), url.QueryEscape(c.oauth.ClientSecret))
	}
	return r, nil
}

// revocation marks the context of a request that Config.Revoke makes. The API's own
// revocation call has the same URL, but is API traffic.
type revocation struct{}

func isRevocation(ctx context.Context) bool {
	ours, _ := ctx.Value(revocation{}).(bool)
	return ours
}

// adaptRevocation adapts the answer to a revocation, of which nothing is wanted but
// whether it failed. A success may be empty.
func (p *Provider) adaptRevocation(a *answer) adapted {
	members, err := a.members()
	if err != nil {
		if isFailure(a.resp.StatusCode) {
			return p.unreadable(a, err)
		}
		return adapted{status: a.resp.StatusCode}
	}
	failed, told := p.Style.verdict(members)
	members = p.Style.flatten(members)
	lowerStandard(members)
	if isFailure(a.resp.StatusCode) || failed || !told && signalsError(members) {
		return p.failure(a, members)
	}
	return adapted{status: a.resp.StatusCode}
}

// retrieveError makes the error that x/oauth2 makes of an adapted response.
func retrieveError(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var f failureBody
	if err := json.Unmarshal(body, &f); err != nil {
		return err
	}
	return &oauth2.RetrieveError{
		Response: resp, Body: body,
		ErrorCode: f.Error, ErrorDescription: f.Description, ErrorURI: f.URI,
	}
}
