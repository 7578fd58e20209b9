package endpoints

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// DeviceAuth asks for the code that a user enters in a browser elsewhere, to connect a
// program that has none (RFC 8628, section 3.1). Show the user UserCode and
// VerificationURI, and call [Config.DeviceAccessToken].
//
// The request is made as Provider.Style says, to Endpoint.DeviceAuthURL, and the client
// authenticates as at the token endpoint (section 3.1). The options are parameters, and
// values of variables. For a provider that doesn't have that endpoint, the error wraps
// errors.ErrUnsupported.
func (c *Config) DeviceAuth(ctx context.Context, opts ...oauth2.AuthCodeOption) (*oauth2.DeviceAuthResponse, error) {
	conf := c.config()
	switch {
	case conf.err != nil:
		return nil, conf.err
	case conf.Endpoint.DeviceAuthURL == "":
		return nil, conf.mistake("the provider has no endpoint for devices: %w", errors.ErrUnsupported)
	}
	params, err := conf.deviceParams(opts)
	if err != nil {
		return nil, conf.mistake("%w", err)
	}
	call := conf.call(grantDeviceAuth, nil)
	call.special = conf.newConversation(AuthStyle{}, conf.Endpoint.DeviceAuthURL)
	var got *answer
	call.members = func(a *answer) { got = a }
	asked := time.Now()
	if err := call.do(ctx, params); err != nil {
		return nil, err
	}
	if got.members == nil {
		return nil, conf.unusable(got, got.whyNone())
	}
	da, err := conf.Answer.deviceAuth(got.members, asked)
	if err != nil {
		return nil, conf.unusable(got, err)
	}
	return da, nil
}

// deviceParams returns the parameters of RFC 8628, section 3.1, with the options applied.
func (c *config) deviceParams(opts []oauth2.AuthCodeOption) (url.Values, error) {
	params, err := c.optionsOf("", "", opts)
	if err != nil {
		return nil, err
	}
	delete(params, "response_type")
	if params.Get("redirect_uri") == c.oauth.RedirectURL {
		delete(params, "redirect_uri")
	}
	if !params.Has("scope") && len(c.Consent.Scopes) > 0 {
		params.Set("scope", strings.Join(c.Consent.Scopes, " "))
	}
	separator, err := url.QueryUnescape(c.scopeSeparator())
	if scopes := strings.Fields(params.Get("scope")); err == nil && len(scopes) > 0 {
		params.Set("scope", strings.Join(scopes, separator))
	}
	return params, nil
}

// deviceAuth reads the answer of RFC 8628, section 3.2.
func (a *Answer) deviceAuth(members map[string]any, asked time.Time) (*oauth2.DeviceAuthResponse, error) {
	member := func(names ...string) string {
		for _, name := range names {
			if s, _ := a.at(members, name).(string); s != "" {
				return s
			}
		}
		return ""
	}
	da := &oauth2.DeviceAuthResponse{
		DeviceCode:              member("device_code"),
		UserCode:                member("user_code"),
		VerificationURI:         member("verification_uri", "verification_url"), // the latter is Google's
		VerificationURIComplete: member("verification_uri_complete", "verification_url_complete"),
	}
	const maxURI = 2 << 10
	switch {
	case da.DeviceCode == "" || da.UserCode == "":
		return nil, errors.New("there is no device_code or user_code in it")
	case redact.URL(da.VerificationURI, maxURI, nil) == "":
		return nil, errors.New("there is no verification_uri in it that a user can be sent to")
	case redact.URL(da.VerificationURIComplete, maxURI, nil) == "":
		da.VerificationURIComplete = ""
	}
	if lifetime, err := a.readLifetime(members); err == nil && lifetime > 0 {
		da.Expiry = asked.Add(lifetime)
	}
	if interval, err := number(a.at(members, "interval")); err == nil && interval > 0 {
		da.Interval = int64(math.Ceil(min(interval, maxInterval.Seconds())))
	}
	return da, nil
}

const (
	// defaultInterval is RFC 8628's, section 3.2.
	defaultInterval = 5 * time.Second

	// maxInterval bounds the time between two requests that a provider can ask for.
	maxInterval = 24 * time.Hour

	// slowDown is what one slow_down adds to that time (RFC 8628, section 3.5).
	slowDown = 5 * time.Second

	// maxBackoff bounds what a lost answer makes of it. The user may be waiting.
	maxBackoff = time.Minute

	// pollTimeout bounds one request.
	pollTimeout = time.Minute
)

// DeviceAccessToken waits for the user to answer, and returns the token: it asks the
// token endpoint (RFC 8628, section 3.4) every da.Interval seconds, and more slowly when
// the provider wants that (section 3.5). Variables have to be given again, as options.
//
// An answer that is lost, or says that the provider is in trouble, doesn't end it: it
// asks again, after twice the time. What ends it is an error of the provider's, of
// [KindDenied] if the user has said no and of [KindCodeRejected] if the codes have
// expired, when the user has to start again from [Config.DeviceAuth]; da.Expiry, with
// that same error; and ctx.
//
// Unlike x/oauth2's method of that name it takes an Interval below zero for none, has a
// limit for each request, and needs no Expiry.
func (c *Config) DeviceAccessToken(ctx context.Context, da *oauth2.DeviceAuthResponse, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	conf := c.config()
	switch {
	case conf.err != nil:
		return nil, conf.err
	case da == nil || da.DeviceCode == "":
		return nil, conf.mistake("there is no device code to wait for")
	}
	interval := defaultInterval
	if da.Interval > 0 {
		interval = time.Duration(min(da.Interval, int64(maxInterval/time.Second))) * time.Second
	}
	wait := interval
	var lost error // the last answer that was none
	for {
		if !da.Expiry.IsZero() && time.Until(da.Expiry) <= wait {
			return nil, after(lost, conf.expiredToken())
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, after(lost, conf.mistake("the user hasn't answered yet: %w", err))
		}
		t, err := conf.poll(ctx, da.DeviceCode, opts)
		if err == nil {
			return t, nil
		}
		switch meaning, answered := tokenerror.Of(err); {
		case ctx.Err() != nil:
			return nil, after(lost, err)
		case meaning.Code == "authorization_pending":
			wait = interval
		case meaning.Kind == tokenerror.RateLimited: // slow_down, too
			interval += slowDown
			wait = max(interval, meaning.RetryAfter)
		case isLost(err, meaning, answered):
			interval = max(interval, min(2*interval, maxBackoff))
			wait = max(interval, meaning.RetryAfter)
			lost = err
		default:
			return nil, after(lost, err)
		}
	}
}

// poll asks for the token once.
func (c *config) poll(ctx context.Context, code string, opts []oauth2.AuthCodeOption) (*oauth2.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	return c.call(grantDevice, nil).retrieve(ctx, url.Values{"grant_type": {grantDevice}, "device_code": {code}}, opts)
}

// isLost reports whether the error of a request doesn't say what the provider makes of
// it, and may be another one the next time.
func isLost(err error, meaning tokenerror.Meaning, answered bool) bool {
	if !answered {
		return !tokenerror.WasNotSent(err)
	}
	return meaning.Kind == tokenerror.Unavailable || meaning.Kind == tokenerror.Unreadable && meaning.Status == http.StatusBadGateway
}

// sleep waits, at most until ctx is done.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// expiredToken is the error that the provider gives for a device code that has expired.
func (c *config) expiredToken() error {
	body := failureBody{Error: "expired_token", Description: "the user hasn't answered in time"}
	u, _ := url.Parse(c.Endpoint.TokenURL)
	r := withoutSecrets(&http.Request{Method: http.MethodPost, URL: u}, tokenerror.Adapted{Grant: grantDevice})
	return &oauth2.RetrieveError{
		Response:  &http.Response{Status: "400 Bad Request", StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: http.NoBody, Request: r},
		Body:      body.marshal(),
		ErrorCode: body.Error, ErrorDescription: body.Description,
	}
}

// after adds to err that an answer before it was lost, in which there may have been the
// token.
func after(lost, err error) error {
	if lost == nil {
		return err
	}
	return fmt.Errorf("%w (an answer before that was lost: %v)", err, lost)
}
