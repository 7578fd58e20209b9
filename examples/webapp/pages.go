package main

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

// pages are the templates by name, each with the layout around it.
var pages = parsePages()

func parsePages() map[string]*template.Template {
	parsed := make(map[string]*template.Template)
	functions := template.FuncMap{"when": func(t time.Time) moment { return moment{t, time.Now()} }}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(pageFiles, "pages/layout.html"))
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(path.Base(file), ".html")
		parsed[name] = template.Must(template.Must(layout.Clone()).ParseFS(pageFiles, file))
	}
	return parsed
}

// page is what the layout needs, and in Data what the page does.
type page struct {
	Title   string
	Data    any
	Notice  string // what has just happened
	User    *user
	Path    string
	Sandbox bool
	Trouble []string // that the sandbox is making
}

// notices are what a page can say has just happened, by what stands in its URL.
var notices = map[string]string{
	"connected":    "The account is connected.",
	"opened_twice": "That page was opened twice. The first time counted, and nothing was sent again: below is what came of it.",
	"disconnected": "The account is disconnected, and its token is deleted.",
	"forgotten":    "The account is disconnected here, and its token is deleted. The provider has no way to be told.",

	// Of the sandbox:
	"expired": "At the provider, an hour has passed, and all tokens that live for an hour are over. The application isn't told. Call the API to see what follows: the token is refused, renewed, and the call repeated.",
	"revoked": "At the provider, the user has revoked the connection. The application isn't told. Call the API to see what follows.",
	"ended":   "The sandbox makes no trouble any more.",
}

func (a *application) render(w http.ResponseWriter, r *http.Request, name string, p page) {
	a.renderStatus(w, r, http.StatusOK, name, p)
}

// renderStatus answers with a page. It is complete before any of it is sent.
func (a *application) renderStatus(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.User, p.Path = userOf(r), r.URL.Path
	if p.User == nil {
		p.User, _ = a.sessions.user(r) // for the header; a page about an error has it, too
	}
	if a.sandbox != nil {
		p.Sandbox, p.Trouble = true, a.sandbox.troubles()
	}
	if p.Notice == "" {
		p.Notice = notices[r.URL.Query().Get("notice")]
	}
	var b bytes.Buffer
	if err := pages[name].ExecuteTemplate(&b, "layout.html", p); err != nil {
		a.log.Error("page", "name", name, "error", err)
		http.Error(w, "This page can't be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // an error means that the browser is gone
}
