package loopback

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// Whatever a provider answers to a device, a terminal gets the lines that this package
// writes, and nothing that isn't visible.
func FuzzDevicePrompt(f *testing.F) {
	for _, seed := range [][3]string{
		{"WDJB-MJHT", "https://plainly.example/device", "https://plainly.example/device?user_code=WDJB-MJHT"},
		{"\x1b]8;;https://evil.example\a", "https://plainly.example/\x1b[2J", ""},
		{"A\nB", "javascript:alert(1)", "file:///etc/passwd"},
		{"A\u202eB", "https://plainly.example/\u202e", "https://plainly.example/\u2028"},
		{"\xff", "https://\xff/", "http:// /"},
		{"123 456", "http://[::1]:80/%0a", "https://user@plainly.example"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, code, page, complete string) {
		d := &device{login: &Login{}, codes: oauth2.DeviceAuthResponse{
			DeviceCode: deviceCode, UserCode: code, VerificationURI: page, VerificationURIComplete: complete,
		}}
		if err := d.setPrompt(); err != nil {
			checkError(t, err, deviceCode)
			return
		}
		shown, want := d.prompt.String(), Prompt{URL: "x", UserCode: "x", CompleteURL: d.prompt.CompleteURL}.String()
		assert.Equal(t, strings.Count(want, "\n"), strings.Count(shown, "\n"))
		for _, r := range shown {
			assert.True(t, r == '\n' || unicode.IsPrint(r), "%q", r)
		}
	})
}

// What a browser is given is the same URL, in visible ASCII, and begins with its scheme.
func FuzzBrowserURL(f *testing.F) {
	for _, seed := range []string{
		"https://plainly.example/authorize?a=b", "http://0\"", "http://127.0.0.1:1/é`\"{|}", "--help", "https:///x", "HTTPS://plainly.example/%zz", "https://[::1]/\\..",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pageURL string) {
		if !isPage(pageURL) {
			return
		}
		given := escaped(pageURL)
		assert.Regexp(t, `^(?i:https?)://[!#-;=?-\[\]_a-z~]+$`, given)
		want, err := url.Parse(pageURL)
		require.NoError(t, err)
		got, err := url.Parse(given)
		require.NoError(t, err)
		assert.Equal(t, want.Path, got.Path)
		assert.Equal(t, want.Host, got.Host)
	})
}
