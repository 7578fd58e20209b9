package loopback

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

// DefaultTimeout is the time that a user has, unless Login.Timeout says otherwise.
const DefaultTimeout = 15 * time.Minute

// grace is how long a prompt waits for what becomes of the browser. Only tests change it.
var grace = 2 * time.Second

// Login logs one user in at one provider, as often as Token is called. Config is
// required, and the zero value of everything else works. All of it may be used
// concurrently: each call of Token has a port, a state and a verifier of its own.
type Login struct {
	// Config is the client at the provider: an *oauth2.Config or a *Config of package
	// endpoints. The device grant needs a [DeviceAuthorizer], which both are. Of a plain
	// *oauth2.Config, Endpoint.AuthStyle must be set.
	//
	// Its redirect URL is the one that is registered with the provider, at 127.0.0.1,
	// [::1] or localhost, such as "http://127.0.0.1/callback". If it has no port, each
	// attempt takes a free one, as RFC 8252, section 7.3, has it; otherwise, that port.
	// If it is empty, it stands for "http://127.0.0.1/callback", or
	// "http://[::1]/callback" on a machine without IPv4. Config itself isn't changed.
	Config pkce.Exchanger

	// Program is the program's name, which the user reads. Empty means "the program".
	Program string

	// Method says how the user logs in. The zero value is [Auto].
	Method Method

	// Options are parameters of the consent page and of the request for a device's
	// codes, or values of the provider's variables (see package endpoints), which
	// the exchange gets as well.
	Options []oauth2.AuthCodeOption

	// ExchangeOptions are parameters of the exchange, and of a device's requests for
	// its token.
	ExchangeOptions []oauth2.AuthCodeOption

	// Issuer is the issuer identifier that the callback has to carry (RFC 9207), as
	// that of a pkce.Flow.
	Issuer string

	// Ports are tried in this order, for a provider with which redirect URLs are
	// registered port by port. They take the place of the redirect URL's. Zero is a
	// free one.
	Ports []int

	// Timeout is the time that the user has. Zero, or less, means [DefaultTimeout]. The
	// codes of a device may expire earlier. The exchange after that has 5 minutes of its own.
	Timeout time.Duration

	// OpenBrowser shows the user a page, which is an http or https URL. It returns an
	// error if there is no browser that could, and may return late: it isn't waited for.
	// Its context ends with the attempt. Nil means [OpenBrowser].
	OpenBrowser func(ctx context.Context, url string) error

	// Show tells the user what to do, once or not at all: not if the user has come back
	// before. Nil means to print the Prompt on os.Stderr.
	Show func(Prompt)
}

// Method is a way to log in.
type Method string

const (
	// Auto is Browser, or Device if there is no browser here and the provider has codes
	// for devices. If it hasn't, the user is told the URL, and may open it by hand.
	Auto Method = ""

	// Browser is the authorization code grant in a browser on this machine.
	Browser Method = "browser"

	// Device is the grant of RFC 8628: the user enters a code in a browser anywhere.
	Device Method = "device"
)

// Token has the user log in, and returns the token. It returns when the user has seen
// the page that tells how it went, and everything of the attempt's is gone by then: its
// port is closed.
//
// Every error wraps one of pkce's three, which say what to do about it:
//
//   - [pkce.ErrDenied]: the user said no.
//   - [pkce.ErrMisconfigured]: a field of Login, or the client's registration at the
//     provider, has to be changed; or no port could be had.
//   - [pkce.ErrStartAgain]: another attempt may work. If the user didn't come back in
//     time, it is a context.DeadlineExceeded as well; if ctx was done, its cause.
//
// A Device that the provider or Config doesn't know is an errors.ErrUnsupported. No error
// holds a secret.
//
// The requests to the provider are made with ctx, and the HTTP client in it, under the
// key oauth2.HTTPClient, which doesn't follow redirects here. When ctx is done, the
// attempt is over, also during the exchange.
func (l Login) Token(ctx context.Context) (*oauth2.Token, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of what still opens a browser
	if l.Method == Device {
		d, err := l.newDevice(ctx)
		if err != nil {
			return nil, err
		}
		return d.token(ctx)
	}
	registered, err := redirectOf(l.Config)
	if err != nil {
		return nil, err
	}
	a, err := l.begin(ctx, registered)
	if err != nil && l.Method == Auto {
		// The provider may have no consent page, the machine no port.
		if d, unable := l.newDevice(ctx); unable == nil {
			return d.token(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	defer a.end(0)
	return l.follow(ctx, a)
}

// follow goes with the user through an attempt that has begun.
func (l *Login) follow(ctx context.Context, a *attempt) (*oauth2.Token, error) {
	opened := make(chan error, 1)
	go func() { opened <- l.open(ctx, a.url) }()
	late, over := time.NewTimer(grace), time.NewTimer(l.timeout())
	defer late.Stop()
	defer over.Stop()
	var instead fallback
	defer instead.end()
	shown := false
	show := func(opened bool) {
		if !shown && !a.back.Load() {
			l.show(Prompt{Program: l.Program, URL: a.url, Opened: opened, Expiry: a.session.Expiry})
		}
		shown = true
	}
	for {
		select {
		case r := <-a.result:
			a.end(deliveryTimeout)
			return r.token()
		case err := <-opened:
			if err != nil && l.Method == Auto && !shown && !a.back.Load() {
				late.Reset(fallbackTimeout + cancelTimeout) // until then the answer says what to show
				instead.begin(ctx, l)
				continue
			}
			show(err == nil)
		case <-late.C:
			show(!instead.begun())
		case answer := <-instead.answer:
			d := answer.codes()
			if d == nil || shown {
				show(false)
				continue
			}
			// The user may have come back by now, and the code be on its way.
			if t, err := a.last(exchangeTimeout, nil); t != nil || err != nil {
				return t, err
			}
			return d.token(ctx)
		case <-over.C:
			return a.last(exchangeTimeout, timedOut(l.timeout()))
		case <-ctx.Done():
			t, err := a.last(deliveryTimeout, nil)
			if t == nil || err != nil {
				return nil, ended(ctx)
			}
			return t, nil
		}
	}
}

// check reports a field that can't be used.
func (l *Login) check() error {
	c, plain := l.Config.(*oauth2.Config)
	switch {
	case l.Config == nil, plain && c == nil:
		return misconfigured("Login.Config is missing")
	case plain && c.Endpoint.AuthStyle == oauth2.AuthStyleAutoDetect:
		return misconfigured("Endpoint.AuthStyle of Login.Config is not set: auto-detection would send a code twice; " +
			"set oauth2.AuthStyleInParams or oauth2.AuthStyleInHeader, as the provider's documentation says")
	case clientOf(l.Config) == "":
		return misconfigured("the client id of Login.Config is empty")
	}
	switch l.Method {
	case Auto, Browser, Device:
		return nil
	}
	return misconfigured(fmt.Sprintf("Login.Method is %q, and not Auto, Browser or Device", l.Method))
}

func (l *Login) timeout() time.Duration {
	if l.Timeout <= 0 {
		return DefaultTimeout
	}
	return l.Timeout
}

func (l *Login) open(ctx context.Context, u string) error {
	if l.OpenBrowser == nil {
		return OpenBrowser(ctx, u)
	}
	return l.OpenBrowser(ctx, u)
}

func (l *Login) show(p Prompt) {
	if l.Show == nil {
		fmt.Fprint(os.Stderr, p)
		return
	}
	l.Show(p)
}

// timedOut is the error of a user who has left.
func timedOut(after time.Duration) error {
	return fmt.Errorf("loopback: the user didn't log in within %v (%w): %w", after, context.DeadlineExceeded, pkce.ErrStartAgain)
}

// ended is the error of an attempt whose context is done.
func ended(ctx context.Context) error {
	return fmt.Errorf("loopback: the login was ended (%w): %w", context.Cause(ctx), pkce.ErrStartAgain)
}

func misconfigured(text string) error {
	return fmt.Errorf("loopback: %s: %w", text, pkce.ErrMisconfigured)
}
