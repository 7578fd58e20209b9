package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

func TestBrowserConnectsByRedirect(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	for _, provider := range []string{"finch", "chart", "taxrock"} {
		b.connect(provider)
		assert.Equal(t, app.URL+"/connections?notice=connected", b.url())
		assert.Equal(t, "healthy", b.state(provider+"/alice"))
	}

	b.press(`tr[data-name="taxrock/alice"] .act a`)
	assert.Equal(t, http.StatusOK, b.press("#call"))
	assert.Equal(t, "200 OK", b.text("#answer-status"))

	b.press("#expire")
	b.press("#call")
	assert.Equal(t, "200 OK", b.text("#answer-status"), "an expired token is renewed")
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.TaxRock).Refreshed)

	b.press("#disconnect")
	assert.Contains(t, b.url(), "notice=disconnected")
	assert.Empty(t, b.state("taxrock/alice"))

	b.open("/connections/finch/alice")
	b.press("#revoke")
	b.press("#call")
	assert.Equal(t, "login_required", b.attribute("#status", "data-state"))
	b.press("#reconnect")
	b.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("finch/alice"))
}

func TestBrowserDenies(t *testing.T) {
	b := startForChromium(t).chromium(t)
	b.login("alice")
	b.press("#connect-finch")
	assert.Equal(t, http.StatusForbidden, b.press("button[value=deny]"))
	assert.Equal(t, "denied", b.attribute("#problem", "data-problem"))
	b.press("#again")
	b.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("finch/alice"))
}

func TestBrowserConnectsATenant(t *testing.T) {
	b := startForChromium(t).chromium(t)
	b.login("alice")
	b.do(chromedp.SendKeys(chromedp.ID("account-zendesk"), "tea-house"))
	b.press("#connect-zendesk")
	b.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("zendesk/alice/tea-house"))

	// Another tenant, beside it.
	b.do(chromedp.SendKeys(chromedp.ID("account-zendesk"), "coffee-house"))
	b.press("#connect-zendesk")
	b.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("zendesk/alice/coffee-house"))
	assert.Equal(t, "healthy", b.state("zendesk/alice/tea-house"))
	b.open("/connections/zendesk/alice/coffee-house")
	b.press("#call")
	assert.Equal(t, "200 OK", b.text("#answer-status"))

	// The browser asks for a name before anything is sent.
	b.open("/connections")
	b.do(chromedp.Click(chromedp.ID("connect-zendesk")))
	assert.True(t, value(b, chromedp.Evaluate[bool](`document.getElementById("account-zendesk").matches(":invalid:focus")`)))
}

// inFrame clicks in the consent page that stands in a frame.
func (b *tab) inFrame(selector string) int {
	b.t.Helper()
	frames := value(b, chromedp.Nodes(chromedp.ID("consent")))
	require.Len(b.t, frames, 1)
	return b.leads(chromedp.Click(chromedp.CSS(selector), chromedp.FromNode(frames[0])))
}

func TestBrowserConnectsInAFrame(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	for _, provider := range []string{"finch", "chart"} {
		b.open("/connections")
		b.press("#embed-" + provider)
		b.picture("embedded-" + provider)

		// What another page says, or this one to itself, is no answer of the provider's.
		name := b.attribute("#embedded", "data-message")
		b.do(void(chromedp.Evaluate[any](`window.postMessage({name: "` + name + `", kind: "success", code: "code", state: "state"}, "*")`)))
		assert.Contains(t, b.url(), "/embedded/"+provider)
		b.inFrame("button[value=approve]")
		assert.Equal(t, app.URL+"/connections?notice=connected", b.url())
		assert.Equal(t, "healthy", b.state(provider+"/alice"))
	}
	b.open("/connections")
	b.press("#embed-finch")
	b.inFrame("button[value=deny]")
	assert.Equal(t, "denied", b.attribute("#problem", "data-problem"))
	assert.Equal(t, "healthy", b.state("finch/alice"), "the connection of before")
}

func void[T any](action chromedp.Action[T]) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := action(ctx, t)
		return err
	})
}

func TestBrowserWithoutJavaScript(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.noScripts()
	b.login("alice")
	b.press("#embed-finch")
	b.picture("embedded-without-javascript")
	b.open("/connections")
	b.press("#connect-finch")
	b.press("button[value=approve]")
	assert.True(t, strings.HasSuffix(b.url(), "?notice=connected"))
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.Finch).Exchanged)
}

// Two tabs are at two consent pages at once; each comes back to its own attempt.
func TestBrowserInTwoTabs(t *testing.T) {
	b := startForChromium(t).chromium(t)
	b.login("alice")
	other := b.another()
	other.open("/connections")
	b.press("#connect-finch")
	other.press("#connect-taxrock")
	b.press("button[value=approve]")
	other.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("finch/alice"))
	assert.Equal(t, "healthy", b.state("taxrock/alice"))

	// And at the same one: the later login stays.
	b.press("#connect-chart")
	other.open("/connections")
	other.press("#connect-chart")
	other.press("button[value=approve]")
	b.press("button[value=approve]")
	assert.Equal(t, "healthy", b.state("chart/alice"))
}

// The back button leads to the consent page again, whose code is another then.
func TestBrowserGoesBack(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	b.press("#connect-finch")
	b.press("button[value=approve]")
	b.leads(chromedp.NavigateBack())
	require.True(t, b.has("button[value=approve]"))
	b.press("button[value=approve]")
	assert.Contains(t, b.url(), "notice=opened_twice", "the attempt is over, and the account connected")
	assert.Equal(t, "healthy", b.state("finch/alice"))
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.Finch).Exchanged)
}

// A second click on Connect or Approve, while the first is on its way, changes nothing.
func TestBrowserClicksTwice(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	b.leads(chromedp.DoubleClick(chromedp.CSS("#connect-finch")))
	b.do(chromedp.WaitVisible(chromedp.CSS("button[value=approve]")))
	b.leads(chromedp.DoubleClick(chromedp.CSS("button[value=approve]")))
	b.do(chromedp.WaitVisible(chromedp.ID("notice")))
	assert.Equal(t, "healthy", b.state("finch/alice"))
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.Finch).Exchanged)
}

// callback goes to the consent page and returns the URL that the browser is sent back to,
// which it doesn't open.
func (b *tab) callback(provider string) string {
	b.t.Helper()
	b.open("/connections")
	b.press("#connect-" + provider)
	paused := make(chan *fetch.EventRequestPaused, 1)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	require.NoError(b.t, chromedp.Listen(ctx, func(event any) {
		if e, ok := event.(*fetch.EventRequestPaused); ok {
			paused <- e
		}
	}))
	_, err := chromedp.Call(b.ctx, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{{URLPattern: "*/callback/*"}}})
	require.NoError(b.t, err)
	b.do(chromedp.Click(chromedp.CSS("button[value=approve]")))
	select {
	case e := <-paused:
		// No Content leaves the browser where it is.
		_, err := chromedp.Call(b.ctx, fetch.FulfillRequest, fetch.FulfillRequestParams{RequestID: e.RequestID, ResponseCode: http.StatusNoContent})
		require.NoError(b.t, err)
		_, err = chromedp.Call(b.ctx, fetch.Disable, cdp.Empty{})
		require.NoError(b.t, err)
		return e.Request.URL
	case <-time.After(patience):
		require.Fail(b.t, "the browser isn't sent back")
		return ""
	}
}

func TestBrowserOpensForgedCallbacks(t *testing.T) {
	app := startForChromium(t)
	alice, mallory := app.chromium(t), app.chromium(t)
	alice.login("alice")
	mallory.login("bob")
	forged := mallory.callback("finch") // of an account of his own

	// The victim's browser never began it.
	assert.Equal(t, http.StatusBadRequest, alice.open(forged))
	assert.Equal(t, "state", alice.attribute("#problem", "data-problem"))
	alice.picture("forged-callback")
	assert.Empty(t, alice.state("finch/alice"))

	// Nor does it help to put his state or his code into her own callback.
	own := mustParse(t, alice.callback("finch"))
	q := own.Query()
	q.Set("state", mustParse(t, forged).Query().Get("state"))
	assert.Equal(t, http.StatusBadRequest, alice.open(own.Scheme+"://"+own.Host+own.Path+"?"+q.Encode()))
	assert.Zero(t, app.sandbox.server.Stats(endpoints.Finch).CodeRequests)
}

// TaxRock's callbacks are protected by PKCE as well: a code of another attempt isn't worth
// anything in this one.
func TestBrowserOpensACallbackWithAnothersCode(t *testing.T) {
	app := startForChromium(t)
	alice, mallory := app.chromium(t), app.chromium(t)
	alice.login("alice")
	mallory.login("bob")
	own, forged := mustParse(t, alice.callback("taxrock")), mustParse(t, mallory.callback("taxrock"))
	q := own.Query()
	q.Set("code", forged.Query().Get("code"))
	alice.open(own.Scheme + "://" + own.Host + own.Path + "?" + q.Encode())
	assert.Equal(t, "code_rejected", alice.attribute("#problem", "data-problem"))
	assert.Zero(t, app.sandbox.server.Stats(endpoints.TaxRock).Exchanged)
	assert.Empty(t, alice.state("taxrock/alice"))
}

func mustParse(t testing.TB, rawURL string) *url.URL {
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return u
}

func TestBrowserReplaysACallback(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	callback := b.callback("taxrock")
	b.open(callback)
	assert.Contains(t, b.url(), "notice=connected")
	b.open(callback)
	assert.Contains(t, b.url(), "notice=opened_twice")
	b.another().open(callback)
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.TaxRock).CodeRequests)

	stranger := app.chromium(t)
	stranger.login("bob")
	stranger.open(callback)
	assert.Equal(t, "state", stranger.attribute("#problem", "data-problem"))
	assert.Equal(t, 1, app.sandbox.server.Stats(endpoints.TaxRock).CodeRequests)
}

// A page that has the browser fetch the callback in advance doesn't spend the code.
func TestBrowserFetchesACallbackInAdvance(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	callback := b.callback("finch")
	var asked atomic.Bool
	require.NoError(t, chromedp.Listen(b.ctx, func(event any) {
		if e, ok := event.(*network.EventResponseReceived); ok && strings.Contains(e.Response.URL, "/callback/") && e.Response.Status == http.StatusServiceUnavailable {
			asked.Store(true)
		}
	}))
	b.open("/connections")
	b.do(void(chromedp.Evaluate[any](`{
		const link = document.createElement("link");
		link.rel = "prefetch";
		link.href = "` + callback + `";
		document.head.append(link);
	}`)))
	require.Eventually(t, asked.Load, patience, time.Millisecond, "the browser fetches it")
	assert.Zero(t, app.sandbox.server.Stats(endpoints.Finch).CodeRequests)
	b.open(callback)
	assert.Contains(t, b.url(), "notice=connected")
}

// Who comes back is who went.
func TestBrowserComesBackAsAnother(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	b.press("#connect-finch")
	other := b.another()
	other.open("/connections")
	other.press("#logout")
	other.press("#login-bob")
	assert.Equal(t, http.StatusForbidden, b.press("button[value=approve]"))
	assert.Equal(t, "other_user", b.attribute("#problem", "data-problem"))
	assert.Empty(t, b.state("finch/bob"))
	b.press("#logout")
	b.press("#login-alice")
	assert.Empty(t, b.state("finch/alice"))
}

// Another site can press no button, see no page in a frame, and read no cookie.
func TestBrowserOnAnotherSite(t *testing.T) {
	app := startForChromium(t)
	b := app.chromium(t)
	b.login("alice")
	b.connect("finch")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/frame" {
			w.Write([]byte(`<iframe src="` + app.URL + `/connections"></iframe>`))
			return
		}
		w.Write([]byte(`<form method="post" action="` + app.URL + `/disconnect/finch/alice"><button id="go">Win a prize</button></form>`))
	}))
	defer evil.Close()
	b.open(evil.URL)
	assert.Equal(t, http.StatusForbidden, b.press("#go"))
	assert.Equal(t, "other_site", b.attribute("#problem", "data-problem"))
	assert.Equal(t, "healthy", b.state("finch/alice"))

	b.expect("frame-ancestors")
	b.open(evil.URL + "/frame")
	assert.Zero(t, value(b, chromedp.Evaluate[int](`document.querySelector("iframe").contentDocument === null ? 0 : 1`)))
	b.open("/connections")
	assert.Empty(t, value(b, chromedp.Evaluate[string](`document.cookie`)))
}
