package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/oauth2keep/oauth2keep/storage"
)

// settings are what the flags say.
type settings struct {
	listen, url, cert, key string
	data, postgres         string
	providers              string // real ones, or "" for the sandbox
	log                    *slog.Logger
}

// application is the web application.
type application struct {
	url       *url.URL
	log       *slog.Logger
	database  *database
	keys      *storage.Keyset
	store     *storage.Encrypted // one for all providers
	providers []*provider
	sessions  *sessions
	index     *index
	sandbox   *sandbox // nil with real providers
	handler   http.Handler
	server    *http.Server

	stop       context.CancelFunc // ends what runs in the background
	background sync.WaitGroup
}

//go:embed static
var static embed.FS

// open makes the application of its settings, and what it needs below s.data.
func open(ctx context.Context, s settings) (*application, error) {
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("-url must be an origin, such as https://app.example.com")
	}
	u.Path = ""
	if s.providers != "" && !isLoopback(s.listen) {
		// Whoever reaches the login page is Alice if he likes.
		return nil, errors.New("the login is a demonstration without passwords: with -provider, -listen must be an address of the loopback")
	}
	a := &application{url: u, log: s.log}
	if err := a.openStore(ctx, s); err != nil {
		return nil, errors.Join(err, a.close(ctx))
	}
	a.handler = a.protect(a.routes())
	a.server = &http.Server{
		Handler:           a.handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      exchangeTimeout + 30*time.Second, // a callback takes as long as the provider
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	a.start(ctx)
	return a, nil
}

// openStore opens the keys, the store and what uses it.
func (a *application) openStore(ctx context.Context, s settings) (err error) {
	if a.keys, err = openKeys(s.data); err != nil {
		return err
	}
	if a.database, err = openDatabase(ctx, s); err != nil {
		return err
	}
	tokens, transport := storage.Store(a.database.tokens), http.RoundTripper(nil)
	if s.providers == "" {
		if a.sandbox, err = newSandbox(a, tokens); err != nil {
			return err
		}
		tokens, transport = a.sandbox.store, a.sandbox.network
	}
	a.store = storage.Encrypt(tokens, a.keys)
	a.sessions = &sessions{db: a.database, secure: a.url.Scheme == "https"}
	if a.providers, err = a.newProviders(s.providers, transport); err != nil {
		return err
	}
	a.index = &index{db: a.database, log: a.log, providers: a.providers}
	return nil
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// start begins what runs in the background.
func (a *application) start(ctx context.Context) {
	ctx, a.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, p := range a.providers {
		a.background.Go(func() { p.manager.Run(ctx) }) // keeps idle refresh tokens alive
	}
	a.background.Go(func() { a.index.run(ctx, a.store) })
}

// When the program is told to end, requests have requestTimeout: an exchange that is given up
// costs a grant, and so does a save. Then tokens have flushTimeout to be saved, also if a request hangs.
const (
	requestTimeout = exchangeTimeout + 15*time.Second
	flushTimeout   = 15 * time.Second
)

// close ends the application as a program should: first what uses tokens, then what saves
// them, then the store.
func (a *application) close(ctx context.Context) error {
	var errs []error
	if a.server != nil {
		requests, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		errs = append(errs, a.server.Shutdown(requests))
	}
	if a.stop != nil {
		a.stop()
		a.background.Wait()
	}
	saving, cancel := context.WithTimeout(ctx, flushTimeout)
	defer cancel()
	for _, p := range a.providers {
		if err := p.manager.Flush(saving); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.id, err))
		}
	}
	if a.database != nil {
		errs = append(errs, a.database.Close())
	}
	if a.sandbox != nil {
		a.sandbox.server.Close()
	}
	return errors.Join(errs...)
}

// routes says what answers where. Whatever changes anything is a POST.
func (a *application) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /static/{file}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, static, "static/"+r.PathValue("file"))
	})
	mux.HandleFunc("GET /login", a.loginPage)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)

	mux.Handle("GET /{$}", http.RedirectHandler("/connections", http.StatusSeeOther))
	mux.Handle("GET /connections", a.forUser(a.connections))
	mux.Handle("GET /connections/{name...}", a.forUser(a.connection))
	mux.Handle("POST /connect/{provider}", a.forUser(a.connect))
	mux.Handle("POST /embedded/{provider}", a.forUser(a.embedded))
	mux.Handle("POST /call/{name...}", a.forUser(a.call))
	mux.Handle("POST /disconnect/{name...}", a.forUser(a.disconnect))
	mux.HandleFunc("GET /problem/{problem}", a.problemPage) // also for who was logged out meanwhile
	for _, p := range a.providers {
		mux.Handle("/callback/"+p.id, a.callback(p))
	}
	mux.Handle("GET /admin", a.forUser(a.admin))
	if a.sandbox != nil {
		a.sandbox.routes(mux)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, "not_found", nil) })
	return mux
}
