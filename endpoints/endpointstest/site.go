package endpointstest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// maxBody is more than any documented request has.
const maxBody = 1 << 20

// site is one provider as the server plays it.
type site struct {
	server     *Server
	dialect    dialect
	login, api origin

	clientID, clientSecret string
	key                    []byte // makes tokens

	lifetimes lifetimes

	mu        sync.Mutex // guards what follows
	policy    Policy
	redirects map[string]bool // registered redirect URLs
	codes     map[string]authorization
	pruneAt   int // the number of codes at which those that expired are dropped
	grants    map[string]*grant
	sessions  map[string]session // Finch's
	serial    uint64             // of access tokens
	faults    []*Fault
	stats     Stats
}

// origin is a scheme, host and port with the paths that it answers to.
type origin struct {
	site   *site
	url    string
	on     Operation // for the shape of its 404s
	routes map[string]route
}

type route struct {
	methods []string
	on      Operation
	answer  func(r *request) *answer
}

// request is a request whose body was read.
type request struct {
	*http.Request
	body []byte

	// Of a token request: the fields of its body, and what is wrong with that.
	fields map[string]string
	bad    *refusal
}

// answer is a response that is complete before any of it is sent, so that a fault
// can do with it what it likes.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newSite(s *Server, d dialect) *site {
	site := &site{
		server:       s,
		dialect:      d,
		clientID:     newID(),
		clientSecret: "secret-" + newID(),
		key:          random(32),
		redirects:    make(map[string]bool),
		codes:        make(map[string]authorization),
		grants:       make(map[string]*grant),
		sessions:     make(map[string]session),
		stats:        Stats{Rejected: make(map[string]int)},
	}
	site.login = origin{site: site, on: TokenEndpoint, routes: make(map[string]route)}
	site.api = origin{site: site, on: API, routes: make(map[string]route)}

	site.policy, site.lifetimes = d.policy()
	p := d.provider()
	site.route(p.Endpoint.AuthURL, route{methods: []string{http.MethodGet, http.MethodPost}, answer: site.consentPage, on: consentPage})
	site.route(p.Endpoint.TokenURL, site.json(http.MethodPost, TokenEndpoint, site.token))
	if p.Revoke.Auth == endpoints.AccessTokenAuth {
		site.route(p.RevokeURL, site.json(http.MethodPost, Revocation, site.disconnect))
	} else {
		site.route(p.RevokeURL, site.json(http.MethodPost, Revocation, site.revoke))
	}
	for _, c := range d.calls() {
		site.api.routes[c.path] = site.json(c.method, API, func(r *request) (any, *refusal) { return site.call(c, r) })
	}
	if _, ok := d.(finch); ok {
		site.routeSessions()
	}
	return site
}

// route puts r at the path of a URL, on the origin that stands for the URL's.
func (s *site) route(rawURL string, r route) {
	o := &s.api
	if host(rawURL) == host(s.dialect.provider().Endpoint.AuthURL) {
		o = &s.login
	}
	path := "/"
	if u, err := url.Parse(rawURL); err == nil && u.Path != "" {
		path = u.Path
	}
	o.routes[path] = r
}

// json makes a route of a function that returns the body of a successful response,
// or why there is none.
func (s *site) json(method string, on Operation, f func(r *request) (any, *refusal)) route {
	return route{methods: []string{method}, on: on, answer: func(r *request) *answer {
		body, refused := f(r)
		s.countAnswer(on, refused)
		switch {
		case refused != nil:
			return s.dialect.refuse(on, refused)
		case body == nil:
			return &answer{status: http.StatusOK}
		}
		return jsonAnswer(http.StatusOK, body)
	}}
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := o.site
	route, ok := o.routes[r.URL.Path]
	if !ok {
		route, ok = o.recovery(r.URL.Path)
	}
	if !ok {
		s.refuse(o.on, &refusal{problem: notFound}).send(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	req := &request{Request: r, body: body}
	if !slices.Contains(route.methods, r.Method) {
		a := s.refuse(route.on, &refusal{problem: wrongMethod})
		a.header.Set("Allow", strings.Join(route.methods, ", "))
		a.send(w)
		return
	}
	if err != nil {
		s.refuse(route.on, malformedf("the body is too large or can't be read")).send(w)
		return
	}
	if route.on == TokenEndpoint {
		req.fields, req.bad = parseFields(body)
		s.countTokenRequest(s.dialect.grantType(req.fields))
	}
	s.serve(w, req, route)
}

// refuse turns down a request that no route has looked at.
func (s *site) refuse(on Operation, r *refusal) *answer {
	s.countAnswer(on, r)
	if on == consentPage {
		return errorPage(s.dialect.provider().Name, r)
	}
	return s.dialect.refuse(on, r)
}

// register lets the consent page send users to redirectURL.
func (s *site) register(redirectURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirects[redirectURL] = true
}

func jsonAnswer(status int, v any) *answer {
	body, err := json.Marshal(v)
	if err != nil {
		panic("endpointstest: " + err.Error()) // everything that is answered can be marshalled
	}
	return &answer{status: status, body: body, header: http.Header{
		"Content-Type": {"application/json; charset=utf-8"},
		// RFC 6749, section 5.1.
		"Cache-Control": {"no-store"},
		"Pragma":        {"no-cache"},
	}}
}

func (a *answer) send(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	w.Write(a.body) // an error means that the client is gone
}
