//go:build unix

package docs_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

// log is what a program has written up to now.
type log struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

var printedURL = regexp.MustCompile(`(?m)http://\S+$`)

// visit starts a program, looks at its page, presses its button, and ends it by Ctrl-C.
func (s *site) visit(t *testing.T, cmd *exec.Cmd) {
	var said log
	cmd.Stdout, cmd.Stderr = &said, &said
	require.Eventually(t, func() bool {
		l, err := net.Listen("tcp", "localhost:8080")
		return err == nil && l.Close() == nil
	}, time.Minute, 100*time.Millisecond, "port 8080, which the page tells, is taken")
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer cmd.Cancel()

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: 10 * time.Second}
	at := s.url
	require.Eventually(t, func() bool {
		if s.url == "" {
			at = printedURL.FindString(said.String())
		}
		resp, err := browser.Get(at)
		return err == nil && resp.Body.Close() == nil
	}, 3*time.Minute, 100*time.Millisecond, "no page can be had at %s: %s", at, &said)
	assert.Contains(t, printedURL.FindAllString(said.String(), -1), at, "it doesn't print its URL")
	resp, err := browser.Get(at)
	s.check(t, resp, err, s.says)
	if s.button != "" {
		s.press(t, browser, at)
	}

	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	select {
	case <-ended: // "go run" that was interrupted fails, and tells if the program did so, too
		require.NotContains(t, said.String(), "exit status")
		require.NotContains(t, said.String(), "signal: ")
	case <-time.After(30 * time.Second):
		require.Fail(t, "it doesn't end", "%s", &said)
	}
}

// press connects an account, if the button leads to a provider on this machine.
func (s *site) press(t *testing.T, browser *http.Client, at string) {
	stays := *browser
	stays.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := stays.PostForm(at+s.button, url.Values{})
	require.NoError(t, err)
	resp.Body.Close()
	consent := resp.Header.Get("Location")
	require.True(t, strings.HasPrefix(consent, s.leads), "the button leads to %s", consent)
	if u, err := url.Parse(consent); err != nil || u.Hostname() != "127.0.0.1" {
		return
	}
	callback, err := endpointstest.Approve(t.Context(), browser, consent)
	require.NoError(t, err)
	resp, err = browser.Get(callback.String())
	s.check(t, resp, err, s.connected)
}

func (s *site) check(t *testing.T, resp *http.Response, err error, says string) {
	t.Helper()
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, string(body), says)
}
