package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	inBrowser   = flag.Bool("browser", false, "run the tests in Chromium, which take a minute")
	screenshots = flag.String("screenshots", "", "with -browser, a directory for pictures of all pages; empty takes none")
)

// chromium is one browser for all tests, each of which has cookies of its own in it.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, exec.ErrNotFound
	}
	opts := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-site-isolation-trials", true)) // a test may click in the frame of another origin
	if os.Getuid() == 0 {
		opts = append(opts, chromedp.NoSandbox)
	}
	allocated, _ := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(allocated, chromedp.WithErrorf(func(string, ...any) {})) // events that it doesn't know
	stopChromium = stop
	return ctx, chromedp.Do(ctx)
})

var stopChromium = func() {}

func TestMain(m *testing.M) {
	debug.SetGCPercent(400) // a small heap is collected all the time
	flag.Parse()
	code := m.Run()
	stopChromium()
	os.Exit(code)
}

// tab is a tab of a user in Chromium.
type tab struct {
	t   testing.TB
	app *running
	ctx context.Context

	mu       sync.Mutex
	errors   []string // what the browser complains about
	expected []string // of that, texts that are to be
}

// startForChromium starts the application for a parallel test in Chromium, or skips that.
func startForChromium(t *testing.T) *running {
	t.Helper()
	if !*inBrowser {
		t.Skip("-browser runs it in Chromium")
	}
	t.Parallel()
	return start(t, nil)
}

// chromium opens a browser that has no cookies yet. What it complains about fails the test.
func (app *running) chromium(t testing.TB) *tab {
	t.Helper()
	browser, err := chromium()
	require.NoError(t, err, "Chromium doesn't start: apt-get install chromium")
	return app.newTab(t, browser, chromedp.WithNewBrowserContext())
}

// another opens another tab of the same user's.
func (b *tab) another() *tab {
	b.t.Helper()
	return b.app.newTab(b.t, b.ctx)
}

func (app *running) newTab(t testing.TB, parent context.Context, opts ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opts...)
	b := &tab{t: t, app: app, ctx: ctx}
	t.Cleanup(func() {
		cancel()
		assert.Empty(t, b.complaints(), "what the browser complains about")
	})
	require.NoError(t, chromedp.Do(ctx)) // without a deadline, which would close the tab
	require.NoError(t, chromedp.Listen(ctx, b.note))
	b.width(1280)
	return b
}

// note remembers errors of the page: exceptions, and what a policy refused.
func (b *tab) note(event any) {
	text := ""
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelError || e.Entry.Source == log.EntrySourceNetwork {
			return // a page of an error has a status of its own
		}
		text = e.Entry.Text
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.errors = append(b.errors, text)
}

// expect has complaints with a text be right.
func (b *tab) expect(text string) { b.expected = append(b.expected, text) }

func (b *tab) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.errors), func(text string) bool {
		return slices.ContainsFunc(b.expected, func(e string) bool { return strings.Contains(text, e) })
	})
}

const patience = 30 * time.Second

// do runs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	require.NoError(b.t, chromedp.Do(ctx, actions...))
}

// leads runs actions that lead to another page, and returns its status.
func (b *tab) leads(actions ...chromedp.Action[chromedp.Void]) int {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	response, err := chromedp.RunResponse(ctx, actions...)
	require.NoError(b.t, err)
	return int(response.Status)
}

func value[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	require.NoError(b.t, err)
	return v
}

func (b *tab) open(path string) int {
	b.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.app.URL + path
	}
	return b.leads(chromedp.Navigate(path))
}

// press clicks on an element of the page, which leads to another.
func (b *tab) press(selector string) int {
	b.t.Helper()
	return b.leads(chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) login(user string) {
	b.t.Helper()
	b.open("/login")
	b.press("#login-" + user)
}

// connect goes through the consent page.
func (b *tab) connect(provider string) {
	b.t.Helper()
	b.open("/connections")
	b.press("#connect-" + provider)
	b.press("button[value=approve]")
}

func (b *tab) url() string { return value(b, chromedp.Location()) }

func (b *tab) text(selector string) string {
	b.t.Helper()
	return strings.TrimSpace(value(b, chromedp.TextContent(chromedp.CSS(selector))))
}

func (b *tab) attribute(selector, name string) string {
	b.t.Helper()
	return value(b, chromedp.AttributeValue(chromedp.CSS(selector), name)).Value
}

func (b *tab) has(selector string) bool {
	return value(b, chromedp.Evaluate[bool](fmt.Sprintf("document.querySelector(%q) !== null", selector)))
}

// state is that of a connection, as the page of connections shows it.
func (b *tab) state(name string) string {
	b.t.Helper()
	b.open("/connections")
	row := fmt.Sprintf("tr[data-name=%q]", name)
	if !b.has(row) {
		return ""
	}
	return b.attribute(row, "data-state")
}

// width sets how wide the page is, in CSS pixels.
func (b *tab) width(pixels int64) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(pixels, 900))
}

// dark has the user prefer dark pages, or light ones.
func (b *tab) dark(on bool) {
	b.t.Helper()
	scheme := map[bool]string{false: "light", true: "dark"}[on]
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(b.t, err)
	// Colours change gradually.
	b.do(void(chromedp.Evaluate[any](`Promise.all(document.getAnimations().map((a) => a.finished)).then(() => null)`, chromedp.EvalAwaitPromise)))
}

// picture keeps a picture of the whole page, if pictures are wanted.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	require.NoError(b.t, os.MkdirAll(*screenshots, 0o755))
	png := value(b, chromedp.FullScreenshot(100))
	require.NoError(b.t, os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644))
}
