package main

import (
	"bytes"
	"context"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/testenv"
)

// running is an application that a test has started.
type running struct {
	*application
	URL     string
	Logs    *logs
	dataDir string
}

// start starts the application with the sandbox, on a port of its own, until the test is
// over. Change may be nil.
func start(t testing.TB, change func(*settings)) *running {
	t.Helper()
	lines := &logs{}
	s := settings{listen: "127.0.0.1:0", data: testenv.DirInMemory(t), log: slog.New(slog.NewTextHandler(lines, nil))}
	if change != nil {
		change(&s)
	}
	l, err := listen(&s)
	require.NoError(t, err)
	a, err := open(t.Context(), s)
	require.NoError(t, err)
	go a.server.Serve(l) // until it is closed
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, a.close(ctx))
	})
	return &running{a, s.url, lines, s.data}
}

// logs are what the application has logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// browser is a user with cookies, who follows redirects.
type browser struct {
	t      testing.TB
	app    *running
	client *http.Client
	seen   []string // the text of every page, and every URL, for TestNoSecretIsShown
}

func (app *running) browser(t testing.TB) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	b := &browser{t: t, app: app, client: &http.Client{Jar: jar, Transport: &http.Transport{}}}
	t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// user is a browser in which someone has logged in.
func (app *running) user(t testing.TB, id string) *browser {
	b := app.browser(t)
	b.post("/login", "user", id)
	return b
}

// shown is a page that a browser shows.
type shown struct {
	status int
	url    *url.URL
	body   string
	header http.Header
}

func (b *browser) get(path string) shown {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.app.URL + path
	}
	req, err := http.NewRequest(http.MethodGet, path, nil)
	require.NoError(b.t, err)
	return b.do(req)
}

// post presses a button of one of the application's pages. The fields are names and values.
func (b *browser) post(path string, fields ...string) shown {
	b.t.Helper()
	form := make(url.Values)
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, b.app.URL+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(req)
}

func (b *browser) do(req *http.Request) shown {
	b.t.Helper()
	resp, err := b.client.Do(req)
	require.NoError(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(b.t, err)
	if resp.Request.URL.Host == b.app.application.url.Host {
		b.seen = append(b.seen, string(body), resp.Request.URL.String())
	}
	return shown{resp.StatusCode, resp.Request.URL, string(body), resp.Header}
}

// connect is a user who presses Connect, and Approve at the consent page.
func (b *browser) connect(provider string, fields ...string) shown {
	b.t.Helper()
	return b.get(b.approve(provider, fields...).String())
}

// approve is connect up to the callback, which it returns.
func (b *browser) approve(provider string, fields ...string) *url.URL {
	b.t.Helper()
	consent := b.post("/connect/"+provider, fields...)
	require.Equal(b.t, http.StatusOK, consent.status, consent.body)
	callback, err := endpointstest.Approve(b.t.Context(), b.client, consent.url.String())
	require.NoError(b.t, err)
	return callback
}

var tags = regexp.MustCompile(`<[^>]*>`)

// text is what is between the tags of an element with that id, up to the first closing tag
// of its kind.
func (s shown) text(id string) string {
	m := regexp.MustCompile(`(?s)<(\w+)[^>]*\bid="` + regexp.QuoteMeta(id) + `"[^>]*>(.*?)</`).FindStringSubmatch(s.body)
	if m == nil {
		return ""
	}
	return strings.TrimSpace(html.UnescapeString(tags.ReplaceAllString(m[2], "")))
}

// says reports whether the page has a text.
func (s shown) says(text string) bool { return strings.Contains(html.UnescapeString(s.body), text) }

// has reports whether there is an element with that id.
func (s shown) has(id string) bool { return strings.Contains(s.body, `id="`+id+`"`) }

// attribute is the value of an attribute of an element with that id.
func (s shown) attribute(id, name string) string {
	m := regexp.MustCompile(`<[^>]*\bid="` + regexp.QuoteMeta(id) + `"[^>]*>`).FindString(s.body)
	v := regexp.MustCompile(`\b` + name + `="([^"]*)"`).FindStringSubmatch(m)
	if v == nil {
		return ""
	}
	return v[1]
}
