package loopback

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// What others send to the port, who have found it, neither ends the attempt nor tells them
// anything, and the user's callback works after that.
func TestStrangers(t *testing.T) {
	s := newSandbox(t)
	a := attend(t, s.config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
		redirect := redirectIn(t, consentURL)
		callback := decide(t, endpointstest.Approve, consentURL)
		state := stateIn(t, callback)
		send := func(method, target string, change func(*http.Request)) seen {
			r, err := http.NewRequest(method, target, http.NoBody)
			require.NoError(t, err)
			if change != nil {
				change(r)
			}
			resp, err := http.DefaultClient.Do(r)
			require.NoError(t, err)
			page := read(t, resp)
			assert.NotContains(t, page.body, state)
			assert.NotContains(t, page.body, "logged in")
			for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control", "Referrer-Policy"} {
				assert.NotEmpty(t, page.header.Get(name), name)
			}
			assert.Empty(t, page.header.Get("Set-Cookie"))
			assert.Empty(t, page.header.Get("Access-Control-Allow-Origin"))
			return page
		}
		as := func(host string) func(*http.Request) { return func(r *http.Request) { r.Host = host } }
		with := func(name, value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, value) }
		}
		base := "http://" + redirect.Host
		for _, host := range []string{"evil.example:" + redirect.Port(), "evil.example", "localhost:" + redirect.Port(), "127.0.0.1", "[::1]:" + redirect.Port()} {
			assert.Equal(t, http.StatusMisdirectedRequest, send("GET", callback, as(host)).status, host)
		}
		for _, path := range []string{"/", "/favicon.ico", "/callback/", "/callback/x", "/CALLBACK", "//callback", "/robots.txt", "/debug/pprof/"} {
			assert.Equal(t, http.StatusNotFound, send("GET", base+path+"?"+strings.SplitN(callback, "?", 2)[1], nil).status, path)
		}
		for _, method := range []string{"HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"} {
			assert.Equal(t, http.StatusMethodNotAllowed, send(method, callback, nil).status, method)
		}
		assert.Equal(t, http.StatusServiceUnavailable, send("GET", callback, with("Sec-Purpose", "prefetch;prerender")).status)
		for _, query := range []string{"", "?code=c", "?state=", "?state=guessed&code=c", "?state=" + state + "&state=x&code=c", "?error=access_denied", "?%zz"} {
			page := send("GET", base+"/callback"+query, with("Origin", "https://evil.example"))
			assert.Equal(t, http.StatusBadRequest, page.status, query)
			assert.Contains(t, page.body, "waited for")
		}
		if !testing.Short() { // net/http waits half a second for the rest
			large, err := http.Post(base+"/callback", "application/x-www-form-urlencoded", strings.NewReader("state="+state+"&x="+strings.Repeat("x", 1<<20)))
			require.NoError(t, err)
			assert.Equal(t, http.StatusBadRequest, read(t, large).status)
			huge, err := http.Get(base + "/callback?x=" + strings.Repeat("x", 2*maxHeader))
			require.NoError(t, err)
			assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, read(t, huge).status)
		}

		assert.Equal(t, http.StatusOK, get(t, callback).status)
	})
	token, err := a.token()
	require.NoError(t, err)
	assert.True(t, token.Valid())
	assert.Empty(t, s.Stats(plain).Rejected)
}

func stateIn(t *testing.T, callback string) string {
	t.Helper()
	u, err := url.Parse(callback)
	require.NoError(t, err)
	state := u.Query().Get("state")
	require.NotEmpty(t, state)
	return state
}

// A form posted by the provider's page (response_mode=form_post) is a callback, too.
func TestFormPost(t *testing.T) {
	a := attend(t, newSandbox(t).config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
		at, query, _ := strings.Cut(decide(t, endpointstest.Approve, consentURL), "?")
		resp, err := http.Post(at, "application/x-www-form-urlencoded", strings.NewReader(query))
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, read(t, resp).status)
	})
	_, err := a.token()
	assert.NoError(t, err)
}

// Browsers send a callback twice, at once: one code is exchanged, and both show how it went.
func TestDoubleRequest(t *testing.T) {
	s := newSandbox(t)
	s.Fail(plain, endpointstest.Fault{On: endpointstest.TokenEndpoint, AnswerDelay: 30 * time.Millisecond})
	for name, press := range map[string]struct {
		callback func(string) string
		status   int
	}{
		"approved": {func(u string) string { return decide(t, endpointstest.Approve, u) }, http.StatusOK},
		"denied":   {func(u string) string { return decide(t, endpointstest.Deny, u) }, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			pages := make(chan seen, 5)
			a := attend(t, s.config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
				callback := press.callback(consentURL)
				var all sync.WaitGroup
				for range cap(pages) {
					all.Go(func() {
						// One of a connection of its own is refused when the first is over.
						if resp, err := http.Get(callback); err == nil {
							pages <- read(t, resp)
						}
					})
				}
				all.Wait()
				close(pages)
			})
			before := s.Stats(plain).Exchanged
			a.token()
			assert.NotEmpty(t, pages)
			for page := range pages {
				assert.Equal(t, press.status, page.status)
			}
			if press.status == http.StatusOK {
				assert.Equal(t, before+1, s.Stats(plain).Exchanged)
			}
		})
	}
	assert.Empty(t, s.Stats(plain).Rejected)
}

// Connections that a browser makes in advance, and those of whoever never ends a request,
// neither keep Token from returning nor stay open.
func TestConnectionsWithoutARequest(t *testing.T) {
	var silent, slow, another net.Conn
	var begun time.Time
	a := attend(t, newSandbox(t).config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
		redirect := redirectIn(t, consentURL)
		var err error
		silent, err = net.Dial("tcp", redirect.Host)
		require.NoError(t, err)
		slow, err = net.Dial("tcp", redirect.Host)
		require.NoError(t, err)
		fmt.Fprint(slow, "GET /callback?state=")
		another, err = net.Dial("tcp", redirect.Host)
		require.NoError(t, err)
		fmt.Fprintf(another, "GET / HTTP/1.1\r\nHost: %s\r\n\r\nGET /", redirect.Host)
		get(t, decide(t, endpointstest.Approve, consentURL))
		begun = time.Now()
	})
	_, err := a.token()
	require.NoError(t, err)
	assert.Less(t, time.Since(begun), deliveryTimeout)
	for _, c := range []net.Conn{silent, slow, another} {
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := io.Copy(io.Discard, c)
		assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
		c.Close()
	}
}

// A browser that reads nothing keeps nothing from happening.
func TestBrowserThatDoesntRead(t *testing.T) {
	a := attend(t, newSandbox(t).config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
		callback := decide(t, endpointstest.Approve, consentURL)
		redirect := redirectIn(t, consentURL)
		c, err := net.Dial("tcp", redirect.Host)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", strings.TrimPrefix(callback, "http://"+redirect.Host), redirect.Host)
	})
	begun := time.Now()
	token, err := a.token()
	require.NoError(t, err)
	assert.True(t, token.Valid())
	assert.Less(t, time.Since(begun), deliveryTimeout+time.Second)
}

// The answer to HTTP/1.0, and the bytes that come before the connection's end.
func TestOldBrowser(t *testing.T) {
	var page string
	a := attend(t, newSandbox(t).config(plain, "http://127.0.0.1/callback"), func(consentURL string) {
		callback := decide(t, endpointstest.Approve, consentURL)
		redirect := redirectIn(t, consentURL)
		c, err := net.Dial("tcp", redirect.Host)
		require.NoError(t, err)
		defer c.Close()
		fmt.Fprintf(c, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", strings.TrimPrefix(callback, "http://"+redirect.Host), redirect.Host)
		all, err := io.ReadAll(bufio.NewReader(c))
		require.NoError(t, err)
		page = string(all)
	})
	_, err := a.token()
	require.NoError(t, err)
	assert.Contains(t, page, "</html>")
}
