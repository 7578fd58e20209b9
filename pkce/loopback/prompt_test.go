package loopback

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/pipenet"
	"github.com/oauth2keep/oauth2keep/pkce"
)

// scripted is a client, also for devices, at a provider that does what a test says.
type scripted struct {
	approving
	exchange func() error
	ask      func(context.Context) (*oauth2.DeviceAuthResponse, error)
}

func (c scripted) Exchange(ctx context.Context, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	if c.exchange != nil {
		if err := c.exchange(); err != nil {
			return nil, err
		}
	}
	return c.approving.Exchange(ctx, code, opts...)
}

func (c scripted) DeviceAuth(ctx context.Context, _ ...oauth2.AuthCodeOption) (*oauth2.DeviceAuthResponse, error) {
	return c.ask(ctx)
}

func (scripted) DeviceAccessToken(context.Context, *oauth2.DeviceAuthResponse, ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
	return &oauth2.Token{AccessToken: "device"}, nil
}

// beginInBubble begins an attempt in a bubble of testing/synctest, whose browser has the
// client that is returned.
func (l *Login) beginInBubble(t *testing.T) (*attempt, *http.Client) {
	t.Helper()
	port := pipenet.Listen()
	a, err := l.beginAt(t.Context(), parse(t, "http://127.0.0.1:80/callback"), []net.Listener{port})
	require.NoError(t, err)
	return a, &http.Client{Transport: &http.Transport{DialContext: port.Dial, DisableKeepAlives: true}}
}

// open opens a page, and returns its status.
func open(t *testing.T, browser *http.Client, page string) int {
	resp, err := browser.Get(page)
	if !assert.NoError(t, err) {
		return 0
	}
	_, err = io.Copy(io.Discard, resp.Body)
	assert.NoError(t, err)
	assert.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// A user who is back isn't asked to log in while the code is exchanged, whatever becomes of
// the browser meanwhile, nor when that has failed: the attempt is over then.
func TestNothingIsShownDuringTheExchange(t *testing.T) {
	late := func(err error) func(context.Context) error {
		return func(context.Context) error {
			time.Sleep(time.Second)
			return err
		}
	}
	for name, browser := range map[string]func(context.Context) error{
		"it stays":       func(ctx context.Context) error { <-ctx.Done(); return nil },
		"it was opened":  late(nil),
		"it fails later": late(errors.New("it has crashed")),
	} {
		for _, method := range []Method{Auto, Browser} {
			for _, failed := range []error{nil, errors.New("the provider is down")} {
				t.Run(name+", "+string(method), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						ctx, cancel := context.WithCancel(t.Context())
						defer cancel()
						l := Login{Method: method, OpenBrowser: func(ctx context.Context, _ string) error { return browser(ctx) }}
						l.Show = func(p Prompt) { assert.Fail(t, "the user was asked to log in again", "%+v", p) }
						l.Config = scripted{
							exchange: func() error { time.Sleep(5 * time.Second); return failed },
							ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) {
								assert.Fail(t, "codes were asked for")
								return nil, errors.ErrUnsupported
							},
						}
						a, client := l.beginInBubble(t)
						page := make(chan int, 1)
						go func() { page <- open(t, client, approved(t, a.url)) }()
						synctest.Wait()
						begun := time.Now()
						token, err := l.follow(ctx, a)
						assert.InDelta(t, 5, time.Since(begun).Seconds(), 0.1)
						if failed != nil {
							assert.ErrorIs(t, err, failed)
							checkError(t, err)
							assert.Equal(t, http.StatusBadGateway, <-page)
							return
						}
						require.NoError(t, err)
						assert.Equal(t, "access-1", token.AccessToken)
						assert.Equal(t, http.StatusOK, <-page)
					})
				})
			}
		}
	}
}

// What others send to the port doesn't keep the URL from the user.
func TestURLIsShownInSpiteOfStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var shown []time.Duration
		begun := time.Now()
		l := Login{Config: approving{}, OpenBrowser: func(ctx context.Context, _ string) error { <-ctx.Done(); return nil }}
		l.Show = func(Prompt) { shown = append(shown, time.Since(begun)); cancel() }
		a, client := l.beginInBubble(t)
		assert.Equal(t, http.StatusBadRequest, open(t, client, a.redirect.String()+"?code=c&state=guessed"))
		endless, end := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			client.Post(a.redirect.String(), "application/x-www-form-urlencoded", endless)
		}()
		synctest.Wait()
		_, err := l.follow(ctx, a)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, pkce.ErrStartAgain)
		assert.Equal(t, []time.Duration{grace}, shown)
		end.Close()
		<-ended
	})
}
