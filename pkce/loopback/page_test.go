package loopback

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/oauth2keep/oauth2keep/pkce"
)

func TestPages(t *testing.T) {
	s := new(pkce.Session)
	const hostile = `"><script>alert(1)</script><img src=https://evil.example/>{details}{title}` + "`"
	for name, tt := range map[string]struct {
		session *pkce.Session
		err     error
		status  int
		details bool
	}{
		"good":          {s, nil, http.StatusOK, false},
		"a stranger":    {nil, pkce.ErrState, http.StatusBadRequest, false},
		"denied":        {s, errors.Join(pkce.ErrDenied, errors.New(hostile)), http.StatusForbidden, false},
		"misconfigured": {s, errors.Join(pkce.ErrMisconfigured, errors.New(hostile)), http.StatusBadGateway, true},
		"start again":   {s, errors.Join(pkce.ErrStartAgain, errors.New(hostile)), http.StatusBadGateway, true},
		"used":          {s, pkce.ErrAlreadyUsed, http.StatusConflict, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			setHeader(w.Header())
			pageOf(hostile, tt.session, tt.err).write(w)
			body := w.Body.String()
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			assert.True(t, strings.HasSuffix(body, "</html>\n"))
			for _, tag := range []string{"<script", "<img", `"><`} {
				assert.NotContains(t, body, tag)
			}
			assert.Contains(t, body, "&lt;script&gt;")
			assert.Contains(t, body, "{details}{title}", "a text isn't filled in")
			assert.Equal(t, tt.details, strings.Contains(body, "<pre>"))

			// The style is the one that the policy allows, as a browser sees it.
			_, style, _ := strings.Cut(body, "<style>")
			style, _, _ = strings.Cut(style, "</style>")
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "style-src "+hashOf(style)+";")
			assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		})
	}
}

func TestPrompt(t *testing.T) {
	const page = "https://plainly.example/authorize?state=s"
	for want, p := range map[string]Prompt{
		"To log in, open this page in a browser on this machine:\n\n    " + page + "\n\n": {URL: page},
		"Log in to Tea Tool in your browser. If it shows no page, open this one on this machine:\n\n    " + page + "\n\n": {
			Program: "Tea Tool", URL: page, Opened: true},
		"To log in to Tea Tool, open this page in any browser:\n\n    " + page + "\n\nand enter the code A-B\n\n": {
			Program: "Tea Tool", URL: page, UserCode: "A-B"},
		"To log in, open this page in any browser:\n\n    " + page + "\n\nand enter the code A-B\n\n" +
			"Or open this one, and check that it shows that code:\n\n    " + page + "&code=A-B\n\n": {
			URL: page, UserCode: "A-B", CompleteURL: page + "&code=A-B"},
	} {
		assert.Equal(t, want, p.String())
	}
}
