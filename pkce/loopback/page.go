package loopback

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/oauth2keep/oauth2keep/pkce"
)

var (
	// pageHTML isn't a template of html/template, with which the linker would keep every
	// exported method of the program.
	//
	//go:embed page.html
	pageHTML string

	//go:embed page.css
	pageCSS string

	policy = "default-src 'none'; img-src data:; style-src " + hashOf(pageCSS) +
		"; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// hashOf returns what allows an inline style in a Content-Security-Policy.
func hashOf(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// setHeader sets what every answer has.
func setHeader(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// page is what the user sees.
type page struct {
	status  int
	good    bool
	title   string
	text    string
	details string // for whoever helps the user, or ""
}

// pageOf returns the page for what has become of a callback. It is called with a nil
// Session for a callback that isn't this attempt's.
func pageOf(program string, s *pkce.Session, err error) page {
	program = cmp.Or(program, "the program")
	switch {
	case err == nil:
		return page{http.StatusOK, true, "You are logged in", "You can close this window and go back to " + program + ".", ""}
	case s == nil:
		return page{http.StatusBadRequest, false, "This isn't the login that is waited for",
			"The link is old, or of another login. Close this window, and use the page that " + program + " has opened last.", ""}
	case errors.Is(err, pkce.ErrAlreadyUsed):
		return page{http.StatusConflict, false, "This was done before", "Close this window and go back to " + program + ".", ""}
	case errors.Is(err, pkce.ErrDenied):
		return page{http.StatusForbidden, false, "You said no",
			"Nothing was given to " + program + ". If that was a mistake, close this window and log in again from there.", ""}
	case errors.Is(err, pkce.ErrMisconfigured):
		return page{http.StatusBadGateway, false, "That can't work",
			"Something about " + program + " has to be set up differently. Please show this to those who made it or run it:", err.Error()}
	}
	return page{http.StatusBadGateway, false, "That didn't work",
		"Close this window and log in again from " + program + ". If it keeps happening, this is what to tell about it:", err.Error()}
}

// write answers with the page.
func (p page) write(w http.ResponseWriter) {
	class, mark, details := "bad", "!", ""
	if p.good {
		class, mark = "good", "✓"
	}
	if p.details != "" {
		details = "<pre>" + html.EscapeString(p.details) + "</pre>"
	}
	document := strings.NewReplacer("{title}", html.EscapeString(p.title), "{style}", pageCSS, "{class}", class,
		"{mark}", mark, "{text}", html.EscapeString(p.text), "{details}", details).Replace(pageHTML)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(document)))
	w.WriteHeader(p.status)
	io.WriteString(w, document)
}
