package loopback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/pkce"
)

// A browser that fails doesn't matter if the user has come back before there are codes to
// enter elsewhere.
func TestBrowserFailsLate(t *testing.T) {
	for name, codes := range map[string]*oauth2.DeviceAuthResponse{
		"codes":    {DeviceCode: "d", UserCode: "u", VerificationURI: "https://plainly.example/device"},
		"no codes": nil,
	} {
		t.Run(name, func(t *testing.T) {
			l := Login{OpenBrowser: NoBrowser}
			l.Show = func(Prompt) { assert.Fail(t, "the user was asked to log in again") }
			var a *attempt
			l.Config = scripted{ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) {
				get(t, approved(t, a.url))
				return codes, nil
			}}
			a, err := l.begin(t.Context(), nil)
			require.NoError(t, err)
			token, err := l.follow(t.Context(), a)
			require.NoError(t, err)
			assert.Equal(t, "access-1", token.AccessToken)
		})
	}
}

// TestBrowserFailsDuringTheExchange: the user has come back, and the token is under way, when the
// device's codes are there.
func TestBrowserFailsDuringTheExchange(t *testing.T) {
	l := Login{OpenBrowser: NoBrowser}
	l.Show = func(Prompt) { assert.Fail(t, "the user was asked to log in again") }
	begun, page := make(chan struct{}), make(chan int, 1)
	var callback string
	c := scripted{exchange: func() error {
		close(begun)
		u, err := url.Parse(callback)
		assert.NoError(t, err)
		for { // until the attempt takes no more callbacks
			conn, err := net.Dial("tcp", u.Host)
			if err != nil {
				return nil
			}
			conn.Close()
		}
	}}
	c.ask = func(context.Context) (*oauth2.DeviceAuthResponse, error) {
		go func() {
			status := 0
			if resp, err := http.Get(callback); assert.NoError(t, err) {
				status = resp.StatusCode
				resp.Body.Close()
			}
			page <- status
		}()
		<-begun
		return &oauth2.DeviceAuthResponse{DeviceCode: "d", UserCode: "u", VerificationURI: "https://plainly.example/device"}, nil
	}
	l.Config = c
	a, err := l.begin(t.Context(), nil)
	require.NoError(t, err)
	callback = approved(t, a.url)
	token, err := l.follow(t.Context(), a)
	require.NoError(t, err)
	assert.Equal(t, "access-1", token.AccessToken)
	assert.Equal(t, http.StatusOK, <-page)
}

// While the codes are asked for, the user may come back, the time be over, or the program
// end. None of them waits for the answer, and the request is over as well.
func TestNothingWaitsForCodes(t *testing.T) {
	ended := errors.New("the program ends")
	for name, tt := range map[string]struct {
		back    time.Duration // when the user is; 0: never
		timeout time.Duration
		program time.Duration // when it ends; 0: never
		want    error
	}{
		"the user comes back": {back: 3 * time.Second},
		"the time is over":    {timeout: 3 * time.Second, want: context.DeadlineExceeded},
		"the program ends":    {program: 3 * time.Second, want: ended},
	} {
		for _, obeys := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					var asking atomic.Bool
					l := Login{OpenBrowser: NoBrowser, Timeout: tt.timeout}
					l.Show = func(p Prompt) { assert.Fail(t, "the user was asked to log in", "%+v", p) }
					l.Config = scripted{ask: func(ctx context.Context) (*oauth2.DeviceAuthResponse, error) {
						asking.Store(true)
						if obeys {
							<-ctx.Done()
						} else {
							time.Sleep(fallbackTimeout)
						}
						asking.Store(false)
						return nil, errors.New("no answer")
					}}
					a, client := l.beginInBubble(t)
					if tt.back != 0 {
						time.AfterFunc(tt.back, func() { open(t, client, approved(t, a.url)) })
					}
					if tt.program != 0 {
						time.AfterFunc(tt.program, func() { cancel(ended) })
					}
					begun := time.Now()
					token, err := l.follow(ctx, a)
					want := 3 * time.Second
					if !obeys {
						want += cancelTimeout
					}
					assert.InDelta(t, want.Seconds(), time.Since(begun).Seconds(), 0.05)
					synctest.Wait()
					assert.Equal(t, !obeys, asking.Load())
					if tt.want != nil {
						assert.ErrorIs(t, err, tt.want)
						assert.ErrorIs(t, err, pkce.ErrStartAgain)
					} else if assert.NoError(t, err) {
						assert.Equal(t, "access-1", token.AccessToken)
					}
					time.Sleep(fallbackTimeout) // what doesn't obey ends, too
				})
			})
		}
	}
}

// The URL is shown when it is known that there are no codes, and not before.
func TestURLIsShownWithoutCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, shown := time.Now(), time.Duration(0)
		l := Login{OpenBrowser: NoBrowser}
		l.Config = scripted{ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) {
			time.Sleep(2 * grace)
			return nil, errors.ErrUnsupported
		}}
		a, client := l.beginInBubble(t)
		l.Show = func(p Prompt) {
			assert.Zero(t, shown, "it was shown before")
			shown = time.Since(begun)
			assert.Equal(t, Prompt{URL: a.url, Expiry: a.session.Expiry}, p)
			time.AfterFunc(2*grace, func() { open(t, client, approved(t, a.url)) })
		}
		token, err := l.follow(t.Context(), a)
		require.NoError(t, err)
		assert.Equal(t, "access-1", token.AccessToken)
		assert.Equal(t, 2*grace, shown)
	})
}

// A Config that doesn't look at its context doesn't keep the URL from the user, who isn't
// shown the codes as well when they are there at last.
func TestURLIsShownIfNothingIsKnownOfCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, shown := time.Now(), time.Duration(0)
		l := Login{OpenBrowser: NoBrowser}
		l.Config = scripted{ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) {
			time.Sleep(2 * fallbackTimeout)
			return &oauth2.DeviceAuthResponse{DeviceCode: "d", UserCode: "u", VerificationURI: "https://plainly.example/device"}, nil
		}}
		a, client := l.beginInBubble(t)
		l.Show = func(p Prompt) {
			assert.Zero(t, shown, "it was shown before")
			shown = time.Since(begun)
			assert.Equal(t, Prompt{URL: a.url, Expiry: a.session.Expiry}, p)
			time.AfterFunc(2*fallbackTimeout, func() { open(t, client, approved(t, a.url)) })
		}
		token, err := l.follow(t.Context(), a)
		require.NoError(t, err)
		assert.Equal(t, "access-1", token.AccessToken)
		assert.Equal(t, fallbackTimeout+cancelTimeout, shown)
	})
}

// Browser is no device, whatever the provider has.
func TestNoCodesAreAskedForByMethodBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Login{Method: Browser, OpenBrowser: NoBrowser}
		l.Config = scripted{ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) {
			assert.Fail(t, "codes were asked for")
			return nil, errors.ErrUnsupported
		}}
		a, client := l.beginInBubble(t)
		begun := time.Now()
		l.Show = func(p Prompt) {
			assert.Zero(t, time.Since(begun))
			assert.Equal(t, Prompt{URL: a.url, Expiry: a.session.Expiry}, p)
			time.AfterFunc(time.Minute, func() { open(t, client, approved(t, a.url)) })
		}
		token, err := l.follow(t.Context(), a)
		require.NoError(t, err)
		assert.Equal(t, "access-1", token.AccessToken)
	})
}

// What Config does wrong is a panic of the program's, and in Token, where it can recover.
func TestConfigPanicsWithoutABrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Login{OpenBrowser: NoBrowser, Config: scripted{ask: func(context.Context) (*oauth2.DeviceAuthResponse, error) { panic("no more tea") }}}
		a, _ := l.beginInBubble(t)
		defer a.end(0)
		assert.PanicsWithValue(t, "no more tea", func() { l.follow(t.Context(), a) })
	})
}
