package loopback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
	"github.com/oauth2keep/oauth2keep/internal/loginerror"
	"github.com/oauth2keep/oauth2keep/internal/redact"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
	"github.com/oauth2keep/oauth2keep/pkce"
)

// DeviceAuthorizer is an optional ability of a Config: the device authorization grant
// (RFC 8628), with the methods of *oauth2.Config. DeviceAuth's error is an
// errors.ErrUnsupported if the provider doesn't know it.
type DeviceAuthorizer interface {
	pkce.Exchanger

	// DeviceAuth asks for the codes (section 3.1).
	DeviceAuth(ctx context.Context, opts ...oauth2.AuthCodeOption) (*oauth2.DeviceAuthResponse, error)

	// DeviceAccessToken asks for the token until the user has decided, or the codes have
	// expired (section 3.4): every da.Interval seconds, and more slowly when the provider
	// wants that.
	DeviceAccessToken(ctx context.Context, da *oauth2.DeviceAuthResponse, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error)
}

var _ DeviceAuthorizer = (*oauth2.Config)(nil)

const (
	// requestTimeout bounds one request of a device.
	requestTimeout = time.Minute

	// maxInterval bounds the seconds between two of them that a provider can ask for.
	maxInterval = 3600

	// maxCode is the length of a code that a user can enter, in bytes.
	maxCode = 100

	// requestFailed is what the error of a request begins with.
	requestFailed = "the request failed: "
)

// device is one login in a browser elsewhere.
type device struct {
	login  *Login
	config DeviceAuthorizer
	codes  oauth2.DeviceAuthResponse
	asked  time.Time
	prompt Prompt
}

// newDevice asks for the codes.
func (l *Login) newDevice(ctx context.Context) (*device, error) {
	config, ok := l.Config.(DeviceAuthorizer)
	plain, isPlain := l.Config.(*oauth2.Config)
	if !ok || isPlain && plain.Endpoint.DeviceAuthURL == "" {
		return nil, fmt.Errorf("loopback: the provider has no codes for devices, or Login.Config doesn't know them (%w): %w",
			errors.ErrUnsupported, pkce.ErrMisconfigured)
	}
	asked := time.Now()
	codes, err := l.authorizeDevice(ctx, config)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ended(ctx)
	case err != nil:
		return nil, loginerror.OfRequest(requestFailed, config, err)
	case codes == nil:
		return nil, unusable("has no codes")
	}
	d := &device{login: l, config: config, codes: *codes, asked: asked}
	// x/oauth2 makes a ticker of it, and hosts of what can't be one.
	d.codes.Interval = min(max(codes.Interval, 0), maxInterval)
	if end := asked.Add(l.timeout()); d.codes.Expiry.IsZero() || d.codes.Expiry.After(end) {
		d.codes.Expiry = end
	}
	return d, d.setPrompt()
}

// setPrompt makes the prompt of what the provider has answered. That is shown on
// terminals, where a control character may do anything.
func (d *device) setPrompt() error {
	codes := &d.codes
	switch {
	case codes.DeviceCode == "" || codes.UserCode == "":
		return unusable("has no device_code or user_code")
	case redact.Line(codes.UserCode, maxCode, nil) != codes.UserCode:
		return unusable("has a user_code that can't be shown")
	case !isPage(codes.VerificationURI):
		return unusable("has no verification_uri that a user can be sent to")
	}
	d.prompt = Prompt{Program: d.login.Program, URL: codes.VerificationURI, UserCode: codes.UserCode, Expiry: codes.Expiry}
	if isPage(codes.VerificationURIComplete) {
		d.prompt.CompleteURL = codes.VerificationURIComplete
	}
	return nil
}

func unusable(text string) error {
	return fmt.Errorf("loopback: the provider's answer to a device %s: %w", text, pkce.ErrStartAgain)
}

// token shows the prompt, and waits for the user.
func (d *device) token(ctx context.Context) (*oauth2.Token, error) {
	d.login.show(d.prompt)
	// A Config may take longer to notice, or not look at Expiry.
	waiting, cancel := context.WithDeadline(ctx, d.codes.Expiry)
	defer cancel()
	opts := d.login.deviceOptions(ctx)
	t, err := d.config.DeviceAccessToken(d.login.deviceContext(waiting), &d.codes, opts...)
	switch {
	case err == nil && t == nil:
		return nil, unusable("has no token")
	case err == nil:
		return t, nil
	case ctx.Err() != nil:
		return nil, ended(ctx)
	}
	meaning, answered := tokenerror.Of(err)
	switch {
	case !answered && waiting.Err() != nil:
		return nil, timedOut(d.codes.Expiry.Sub(d.asked).Round(time.Second))
	case meaning.Code == "access_denied" && meaning.Grant == "": // a Config doesn't say that it is a device's
		err = errors.Join(err, pkce.ErrDenied) // RFC 8628, section 3.5
	}
	return nil, loginerror.OfRequest(requestFailed, d.config, err, d.codes.DeviceCode, d.codes.UserCode)
}

// deviceOptions are those of the request for the token: the variables among the options
// are given again.
func (l *Login) deviceOptions(ctx context.Context) []oauth2.AuthCodeOption {
	opts := slices.Clone(l.ExchangeOptions)
	a, ok := l.Config.(pkce.Authorizer)
	if !ok {
		return opts
	}
	_, kept, err := a.Authorize(ctx, "state", "", l.Options...)
	if err != nil {
		return opts // there is no consent page to ask: ExchangeOptions have them
	}
	for name, value := range kept {
		opts = append(opts, oauth2.SetAuthURLParam(name, value))
	}
	return opts
}

// deviceContext returns ctx with the HTTP client for the requests of a device. It doesn't
// follow redirects, which would take the codes elsewhere, and sends nothing twice.
func (l *Login) deviceContext(ctx context.Context) context.Context {
	client := httpclient.WithoutRedirects(httpclient.From(ctx, http.DefaultClient))
	client.Transport = httpclient.OnceTransport{Base: client.Transport}
	if client.Timeout == 0 {
		client.Timeout = requestTimeout
	}
	return context.WithValue(ctx, oauth2.HTTPClient, client)
}

// authorizeDevice asks for the codes. x/oauth2 does so without a context, and doesn't close
// the answer's body, which would keep the client's timer.
func (l *Login) authorizeDevice(ctx context.Context, config DeviceAuthorizer) (*oauth2.DeviceAuthResponse, error) {
	ctx = l.deviceContext(ctx)
	client := *httpclient.From(ctx, http.DefaultClient)
	ctx, cancel := context.WithTimeout(ctx, client.Timeout)
	defer cancel()
	if _, ok := config.(*oauth2.Config); ok {
		client.Transport, client.Timeout = bounded{ctx, client.Transport}, 0
		ctx = context.WithValue(ctx, oauth2.HTTPClient, &client)
	}
	return config.DeviceAuth(ctx, l.Options...)
}

// bounded makes all requests with its context.
type bounded struct {
	ctx  context.Context
	base http.RoundTripper // nil means http.DefaultTransport
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	base := b.base
	if base == nil {
		base = http.DefaultTransport
	}
	return base.RoundTrip(r.WithContext(b.ctx))
}
