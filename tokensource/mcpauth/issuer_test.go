package mcpauth_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// issuer is a strict authorization server: with metadata, registration (RFC 7591), PKCE,
// resource indicators (RFC 8707), and refresh tokens that are rotated, and whose reuse ends
// the grant. Its users consent at once.
type issuer struct {
	*httptest.Server

	mu       sync.Mutex
	life     time.Duration // of access tokens
	clients  map[string]*registered
	codes    map[string]*grant
	access   map[string]*grant
	refresh  map[string]*grant // also those that were used
	metadata map[string]any    // replaces members; nil removes one
	hidden   int               // the status in place of the metadata, if not 0
	auth     string            // how clients authenticate, unless they say it
	deny     bool
	broken   int                // the status of the token endpoint, if not 0
	echo     bool               // errors repeat the request
	script   bool               // registrations have one, where the SDK refuses it
	redirect string             // where the token endpoint redirects to
	secret   time.Duration      // how long a client's secret is good; 0: for ever
	gate     func()             // is called before a client is registered
	consent  func(r url.Values) // is called at the consent page

	registrations, consents, refreshes, reused int
	requests                                   []url.Values // at the consent page and the token endpoint
}

type registered struct {
	id, secret, method string
	redirects          []string
}

type grant struct {
	client, challenge, redirect, resource string
	scopes                                []string
	current                               string // the refresh token that is good
	expiry                                map[string]time.Time
	dead                                  bool
}

func newIssuer(t testing.TB) *issuer {
	s := &issuer{life: time.Hour, auth: "client_secret_basic", clients: map[string]*registered{}, codes: map[string]*grant{}, access: map[string]*grant{}, refresh: map[string]*grant{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", s.serveMetadata)
	mux.HandleFunc("POST /register", s.register)
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	mux.HandleFunc("POST /elsewhere/token", s.token)
	mux.HandleFunc("POST /revoke", s.revoke)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// set changes the server.
func (s *issuer) set(edit func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit()
}

func (s *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hidden != 0 {
		w.WriteHeader(s.hidden)
		return
	}
	m := map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
		"registration_endpoint": s.URL + "/register", "revocation_endpoint": s.URL + "/revoke",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "client_secret_basic", "none"},
		"client_id_metadata_document_supported": true, "authorization_response_iss_parameter_supported": true,
	}
	maps.Copy(m, s.metadata)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	reply(w, http.StatusOK, m)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func (s *issuer) register(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		gate()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var m struct {
		RedirectURIs []string `json:"redirect_uris"`
		GrantTypes   []string `json:"grant_types"`
		Method       string   `json:"token_endpoint_auth_method"`
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || !slices.Contains(m.GrantTypes, "refresh_token") {
		reply(w, http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata"})
		return
	}
	s.registrations++
	c := &registered{id: "client-" + rand.Text()[:8], method: m.Method, redirects: m.RedirectURIs}
	if c.method == "" {
		c.method = s.auth
	}
	answer := map[string]any{"client_id": c.id, "redirect_uris": m.RedirectURIs, "token_endpoint_auth_method": c.method, "registration_access_token": "registration-" + rand.Text()}
	if c.method != "none" {
		c.secret = "secret-" + rand.Text()
		answer["client_secret"], answer["client_secret_expires_at"] = c.secret, 0
		if s.secret != 0 {
			answer["client_secret_expires_at"] = time.Now().Add(s.secret).Unix()
		}
	}
	if s.script {
		answer["client_uri"] = "javascript:alert(1)"
	}
	s.clients[c.id] = c
	reply(w, http.StatusCreated, answer)
}

// add registers a client by hand.
func (s *issuer) add(c registered) {
	s.set(func() { s.clients[c.id] = &c })
}

func (s *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	s.requests = append(s.requests, q)
	c := s.clients[q.Get("client_id")]
	if c == nil || !slices.Contains(c.redirects, q.Get("redirect_uri")) || q.Get("code_challenge") == "" {
		http.Error(w, "unknown client, redirect_uri or challenge", http.StatusBadRequest)
		return
	}
	s.consents++
	if s.consent != nil {
		s.consent(q)
	}
	back := url.Values{"state": {q.Get("state")}}
	if s.hidden == 0 {
		back.Set("iss", s.URL)
	}
	if s.deny {
		back.Set("error", "access_denied")
	} else {
		code := "code-" + rand.Text()
		s.codes[code] = &grant{client: c.id, challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"), resource: q.Get("resource"),
			scopes: strings.Fields(q.Get("scope")), expiry: map[string]time.Time{}}
		back.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (s *issuer) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ParseForm()
	s.requests = append(s.requests, r.PostForm)
	if s.redirect != "" {
		http.Redirect(w, r, s.redirect, http.StatusTemporaryRedirect)
		return
	}
	if s.broken != 0 {
		w.WriteHeader(s.broken)
		if s.echo {
			fmt.Fprint(w, r.PostForm.Encode(), r.Header.Get("Authorization"))
		}
		return
	}
	c := s.authenticated(r)
	if c == nil {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	g, code := s.granted(r.PostForm, c)
	if code != "" {
		answer := map[string]any{"error": code}
		if s.echo {
			answer["error_description"] = r.PostForm.Encode() + r.Header.Get("Authorization")
		}
		reply(w, http.StatusBadRequest, answer)
		return
	}
	access := "access-" + rand.Text()
	g.current = "refresh-" + rand.Text()
	g.expiry[access] = time.Now().Add(s.life)
	s.access[access], s.refresh[g.current] = g, g
	reply(w, http.StatusOK, map[string]any{"access_token": access, "token_type": "Bearer", "refresh_token": g.current,
		"expires_in": int(s.life / time.Second), "scope": strings.Join(g.scopes, " ")})
}

// authenticated returns the client, if it authenticates in the way that it is registered for.
func (s *issuer) authenticated(r *http.Request) *registered {
	id, secret, basic := r.BasicAuth()
	method := "client_secret_basic"
	if !basic {
		id, secret, method = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret"), "client_secret_post"
		if !r.PostForm.Has("client_secret") {
			method = "none"
		}
	}
	c := s.clients[id]
	if c == nil || c.method != method || c.secret != secret {
		return nil
	}
	return c
}

// granted returns the grant that a request is about, or what is wrong with it.
func (s *issuer) granted(form url.Values, c *registered) (g *grant, code string) {
	switch form.Get("grant_type") {
	case "authorization_code":
		g = s.codes[form.Get("code")]
		delete(s.codes, form.Get("code"))
		sum := sha256.Sum256([]byte(form.Get("code_verifier")))
		if g == nil || g.client != c.id || g.redirect != form.Get("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return nil, "invalid_grant"
		}
	case "refresh_token":
		g = s.refresh[form.Get("refresh_token")]
		s.refreshes++
		switch {
		case g == nil || g.client != c.id || g.dead:
			return nil, "invalid_grant"
		case g.current != form.Get("refresh_token"):
			s.reused++
			g.dead = true
			return nil, "invalid_grant"
		}
	default:
		return nil, "unsupported_grant_type"
	}
	if form.Get("resource") != g.resource {
		return nil, "invalid_target"
	}
	return g, ""
}

func (s *issuer) revoke(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ParseForm()
	if s.authenticated(r) == nil {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	if g := s.refresh[r.PostForm.Get("token")]; g != nil {
		g.dead = true
	}
}

// check returns the grant of an access token that is good for a resource.
func (s *issuer) check(token, resource string) *grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.access[token]
	if g == nil || g.dead || g.resource != resource || time.Now().After(g.expiry[token]) {
		return nil
	}
	return g
}

// expire ends all access tokens before their time.
func (s *issuer) expire() { s.set(func() { clear(s.access) }) }

// end ends all grants.
func (s *issuer) end() {
	s.set(func() {
		clear(s.access)
		for _, g := range s.refresh {
			g.dead = true
		}
	})
}

// counts returns how often users consented, clients registered, and tokens were refreshed.
func (s *issuer) counts() (consents, registrations, refreshes, reused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.consents, s.registrations, s.refreshes, s.reused
}
