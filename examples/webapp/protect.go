package main

import (
	"net/http"
	"strings"
	"time"
)

// maxBody is more than any form has.
const maxBody = 64 << 10

// protect wraps the routes in what every request has to pass.
func (a *application) protect(routes http.Handler) http.Handler {
	// Refuses what changes something and comes from another site (CSRF): by the header
	// Sec-Fetch-Site, or Origin in an old browser.
	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.fail(w, r, "other_site", nil)
	}))
	h := sameOrigin.Handler(routes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &recorder{ResponseWriter: w, status: http.StatusOK}
		a.setHeaders(w, r)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if r.Host != a.url.Host {
			// Another name for this address is a mistake, or an attack by DNS rebinding.
			http.Error(answer, "This application is at "+a.url.String(), http.StatusMisdirectedRequest)
		} else {
			h.ServeHTTP(answer, r)
		}
		// The pattern, and not the URL: that of a callback has the code in it.
		a.log.Info("request", "method", r.Method, "route", r.Pattern, "status", answer.status, "took", time.Since(began).Round(time.Millisecond))
	})
}

func (a *application) setHeaders(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", a.policy(""))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(r.URL.Path, "/static/") {
		h.Set("Cache-Control", "public, max-age=3600")
	}
	if a.url.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=63072000")
	}
}

// policy is the Content-Security-Policy of a page, which may show one origin in a frame.
func (a *application) policy(framed string) string {
	// A form's target may redirect, and browsers look at that, too: a click on Connect ends
	// at the provider, and it may send the user on to another host to log in.
	forms := "'self' https:"
	if a.sandbox != nil {
		forms += " http://127.0.0.1:*"
	}
	frames := "'none'"
	if framed != "" {
		frames = framed
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
		"frame-src " + frames + "; form-action " + forms + "; frame-ancestors 'none'; base-uri 'none'"
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
