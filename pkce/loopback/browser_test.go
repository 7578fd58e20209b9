package loopback

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// opening is the environment variable that makes this program one that opens browsers: it
// names the file for its arguments.
const opening = "LOOPBACK_TEST_OPENS"

func opens() int {
	name := os.Getenv(opening)
	if err := os.WriteFile(name+".part", []byte(strings.Join(os.Args[1:], "\n")), 0o600); err != nil {
		return 2
	}
	if err := os.Rename(name+".part", name); err != nil {
		return 2
	}
	switch os.Getenv(opening + "_HOW") {
	case "fails":
		return 4
	case "stays":
		for range 6000 { // until the test is over
			if _, err := os.Stat(name); err != nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return 0
}

func TestOpener(t *testing.T) {
	found := map[string]string{"xdg-open": "/bin/xdg-open", "/opt/editor/browser.sh": "/opt/editor/browser.sh"}
	look := func(name string) (string, error) {
		if path, ok := found[name]; ok {
			return path, nil
		}
		return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
	}
	for name, tt := range map[string]struct {
		system string
		env    map[string]string
		want   string // the program and its arguments; "": none
	}{
		"Windows":                     {"windows", nil, "rundll32 url.dll,FileProtocolHandler"},
		"macOS":                       {"darwin", nil, "open"},
		"macOS by ssh":                {"darwin", map[string]string{"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, ""},
		"X":                           {"linux", map[string]string{"DISPLAY": ":0"}, "/bin/xdg-open"},
		"Wayland":                     {"freebsd", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, "/bin/xdg-open"},
		"no display":                  {"linux", nil, ""},
		"an editor from elsewhere":    {"linux", map[string]string{"BROWSER": "/opt/editor/browser.sh"}, "/opt/editor/browser.sh"},
		"a list that xdg-open reads":  {"linux", map[string]string{"BROWSER": "firefox %s:links"}, "/bin/xdg-open"},
		"a program that isn't there":  {"linux", map[string]string{"BROWSER": "netscape", "DISPLAY": ":0"}, "/bin/xdg-open"},
		"a display and a browser, it": {"linux", map[string]string{"BROWSER": "/opt/editor/browser.sh", "DISPLAY": ":0"}, "/opt/editor/browser.sh"},
	} {
		t.Run(name, func(t *testing.T) {
			program, args, err := opener(tt.system, func(name string) string { return tt.env[name] }, look)
			assert.Equal(t, tt.want == "", err != nil, "%v", err)
			assert.Equal(t, tt.want, strings.Join(append([]string{program}, args...), " "))
		})
	}
	delete(found, "xdg-open")
	_, _, err := opener("linux", func(name string) string { return map[string]string{"DISPLAY": ":0"}[name] }, look)
	assert.ErrorIs(t, err, exec.ErrNotFound)
	assert.ErrorContains(t, err, "xdg-utils")
}

func TestOpenBrowserOpensPagesOnly(t *testing.T) {
	for _, u := range []string{
		"", "--help", "-a Calculator", "/etc/passwd", "file:///etc/passwd", "javascript:alert(1)", "https:", "https://",
		"https:///path", "ms-settings:", "//plainly.example/", "http://plainly.example/ --flag", "https://plainly.example/\n", "https://plainly.example/\u202e",
		"http://:80/",
	} {
		assert.ErrorContains(t, OpenBrowser(t.Context(), u), "http and https URLs only", u)
	}
}

// withOpener makes this program the system's opener of browsers, and returns the file in
// which it writes its arguments.
func withOpener(t *testing.T, how string) string {
	t.Helper()
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		t.Skip("the program that opens browsers isn't looked for here")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(self, filepath.Join(dir, "xdg-open")))
	t.Setenv("PATH", dir)
	t.Setenv("BROWSER", "")
	t.Setenv("DISPLAY", ":0")
	t.Setenv(opening, filepath.Join(dir, "arguments"))
	t.Setenv(opening+"_HOW", how)
	return filepath.Join(dir, "arguments")
}

// The URL is one argument, whatever a shell would make of it.
func TestOpenBrowser(t *testing.T) {
	const u = "https://plainly.example/authorize?a=$(reboot)&b=`reboot`;reboot|reboot'\"%26^é"
	const want = "https://plainly.example/authorize?a=$(reboot)&b=%60reboot%60;reboot%7Creboot'%22%26%5E%C3%A9"
	arguments := withOpener(t, "")
	require.NoError(t, OpenBrowser(t.Context(), u))
	got, err := os.ReadFile(arguments)
	require.NoError(t, err)
	assert.Equal(t, want, string(got))

	withOpener(t, "fails")
	err = OpenBrowser(t.Context(), u)
	assert.ErrorContains(t, err, "xdg-open")
	assert.NotContains(t, err.Error(), "reboot")
}

// A program that is the browser doesn't hold anything, and goes on.
func TestOpenBrowserThatStays(t *testing.T) {
	arguments := withOpener(t, "stays")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for {
			if _, err := os.Stat(arguments); !errors.Is(err, fs.ErrNotExist) {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	assert.ErrorIs(t, OpenBrowser(ctx, "https://plainly.example/"), context.Canceled)
}

// Where no browser can be opened, the user opens the page by hand, unless the device grant
// is better.
func TestURLIsShown(t *testing.T) {
	s := newSandbox(t)
	noDevices := s.plainConfig("http://127.0.0.1/callback")
	noDevices.Endpoint.DeviceAuthURL = ""
	refused := newSandbox(t)
	refused.Fail(plain, endpointstest.Fault{On: endpointstest.TokenEndpoint, Trouble: endpointstest.Unavailable, Times: 1})
	for name, login := range map[string]Login{
		"Auto, and no codes":    {Config: refused.plainConfig("http://127.0.0.1/callback")},
		"Browser":               {Config: s.plainConfig("http://127.0.0.1/callback"), Method: Browser},
		"Auto, without devices": {Config: noDevices},
	} {
		t.Run(name, func(t *testing.T) {
			var prompts []Prompt
			login.OpenBrowser = NoBrowser
			login.Show = func(p Prompt) {
				prompts = append(prompts, p)
				go get(t, decide(t, endpointstest.Approve, p.URL))
			}
			token, err := login.Token(t.Context())
			require.NoError(t, err)
			assert.True(t, token.Valid())
			require.Len(t, prompts, 1)
			assert.False(t, prompts[0].Opened)
			assert.Contains(t, prompts[0].String(), prompts[0].URL)
			assert.WithinDuration(t, time.Now().Add(DefaultTimeout), prompts[0].Expiry, time.Minute)
		})
	}
}

// A browser that was opened may show nothing, so the URL is shown all the same: at once, or
// soon if that isn't known.
func TestURLIsShownBesideTheBrowser(t *testing.T) {
	defer func(d time.Duration) { grace = d }(grace)
	grace = 10 * time.Millisecond
	for name, stays := range map[string]bool{"it was opened": false, "it stays": true} {
		t.Run(name, func(t *testing.T) {
			login := Login{Config: newSandbox(t).config(plain, "http://127.0.0.1/callback")}
			login.OpenBrowser = func(ctx context.Context, _ string) error {
				if stays {
					<-ctx.Done()
				}
				return nil
			}
			var prompts []Prompt
			begun := time.Now()
			login.Show = func(p Prompt) {
				prompts = append(prompts, p)
				go get(t, decide(t, endpointstest.Approve, p.URL))
			}
			_, err := login.Token(t.Context())
			require.NoError(t, err)
			require.Len(t, prompts, 1)
			assert.True(t, prompts[0].Opened)
			if stays {
				assert.GreaterOrEqual(t, time.Since(begun), grace)
			}
		})
	}
}
