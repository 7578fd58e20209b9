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
	server  *Server
	dialect dialect
	real    endpoints.Provider // as it is in reality

	origins    map[string]*origin // by the origin in the definition, with names in braces
	login, api *origin            // of the consent page, and of the API and all that the definition doesn't name
	routes     []route
	kinds      map[string]*conversation // by the grant

	clientID, clientSecret string
	key                    []byte // makes tokens

	lifetimes lifetimes

	mu        sync.Mutex // guards what follows
	policy    Policy
	redirects map[string]bool // registered redirect URLs
	redirect  string          // the one that was registered last
	codes     map[string]authorization
	devices   map[string]*device // by the device code
	pruneAt   int                // the number of codes at which those that expired are dropped
	grants    map[string]*grant
	sessions  map[string]session // Finch's
	serial    uint64             // of access tokens
	faults    []*Fault
	hostile   *hostility
	vars      map[string]string // that accounts have, where the test says so
	public    any               // the client's public key
	jtis      map[string]bool   // of assertions that were used
	stats     Stats
}

// origin is a scheme, host and port of this server, where one of the provider's is.
type origin struct {
	site *site
	url  string
	on   Operation // for the shape of its 404s
}

// route is what answers at a URL of the provider.
type route struct {
	on      Operation
	methods []string         // none: any
	url     string           // as the definition has it
	below   bool             // answers at the paths below, too
	places  []place          // that URL in reality and here
	note    func(r *request) // looks at the request before anything happens to it
	answer  func(r *request) *answer
}

// request is a request whose body was read.
type request struct {
	*http.Request
	body   []byte
	at     place
	vars   map[string]string // values of the names in braces in the URL
	params url.Values        // its parameters, when they were read

	// Of a token request: what it is, and what is wrong with its parameters.
	kind *conversation
	bad  *refusal
}

// answer is a response that is complete before any of it is sent, so that a fault
// can do with it what it likes.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func newSite(s *Server, p endpoints.Provider) *site {
	site := &site{
		server:       s,
		real:         p,
		origins:      make(map[string]*origin),
		clientID:     newID(),
		clientSecret: "secret-" + newID(),
		key:          random(32),
		redirects:    make(map[string]bool),
		codes:        make(map[string]authorization),
		devices:      make(map[string]*device),
		grants:       make(map[string]*grant),
		sessions:     make(map[string]session),
		jtis:         make(map[string]bool),
		stats:        Stats{Rejected: make(map[string]int)},
	}
	site.dialect = dialectOf(site)
	if _, ok := site.dialect.(plain); ok {
		site.clientSecret = "s/+=%:" + newID() // which looks different when it is encoded
	}
	site.policy, site.lifetimes = site.dialect.policy()
	for _, c := range site.dialect.calls() {
		base, _ := splitOrigin(p.APIURLs[0])
		site.route(base+c.path, []string{c.method}, c.on, site.json(c.on, func(r *request) (any, *refusal) { return site.call(c, r) }))
	}
	if p.Endpoint.AuthURL != "" {
		site.route(p.Endpoint.AuthURL, []string{http.MethodGet, http.MethodPost}, consentPage, site.consentPage)
	}
	site.routeRequests()
	if site.dialect.calls() == nil {
		for _, u := range p.APIURLs {
			site.route(u, nil, API, site.json(API, site.anyCall))
			site.routes[len(site.routes)-1].below = true
		}
	}
	switch site.dialect.(type) {
	case finch:
		site.routeSessions()
	case chart:
		site.routeRecovery()
	}
	return site
}

// routeRequests has a route for each URL that the AuthStyles of the definition are
// about. Exchanges and refreshes may have one in common.
func (s *site) routeRequests() {
	p := &s.real
	s.kinds = map[string]*conversation{
		atExchange:        styled(p, atExchange, p.Exchange),
		atRefresh:         styled(p, atRefresh, p.Refresh),
		atRevoke:          styled(p, atRevoke, p.Revoke),
		atIntrospect:      styled(p, atIntrospect, p.Introspect),
		clientCredentials: styled(p, clientCredentials, endpoints.AuthStyle{Params: s.dialect.clientCredentials()}),
	}
	s.kinds[atExchange].optional["redirect_uri"] = s.dialect.embedded()
	grants := []string{atExchange}
	if p.RefreshURL == "" || p.RefreshURL == p.Endpoint.TokenURL {
		grants = append(grants, atRefresh)
	} else {
		s.routeTokens(p.RefreshURL, atRefresh)
	}
	if p.Endpoint.DeviceAuthURL != "" {
		grants = append(grants, atDevice)
		s.kinds[atDevice] = styled(p, atDevice, endpoints.AuthStyle{})
		c := styled(p, atDeviceAuth, endpoints.AuthStyle{})
		s.kinds[atDeviceAuth] = c
		s.route(p.Endpoint.DeviceAuthURL, []string{c.method}, TokenEndpoint, s.json(TokenEndpoint, func(r *request) (any, *refusal) { return s.authorizeDevice(c, r) }))
	}
	s.routeTokens(p.Endpoint.TokenURL, grants...)
	if p.RevokeURL != "" {
		c := s.kinds[atRevoke]
		s.route(p.RevokeURL, []string{c.method}, Revocation, s.json(Revocation, func(r *request) (any, *refusal) { return s.revoke(c, r) }))
	}
	if p.IntrospectURL != "" {
		c := s.kinds[atIntrospect]
		s.route(p.IntrospectURL, []string{c.method}, Introspection, s.json(Introspection, func(r *request) (any, *refusal) { return s.introspect(c, r) }))
	}
}

func (s *site) routeTokens(u string, grants ...string) {
	var kinds []*conversation
	for _, grant := range grants {
		kinds = append(kinds, s.kinds[grant])
	}
	s.route(u, methodsOf(kinds), TokenEndpoint, s.json(TokenEndpoint, s.token))
	s.routes[len(s.routes)-1].note = func(r *request) { s.readToken(r, kinds) }
}

func methodsOf(kinds []*conversation) []string {
	var methods []string
	for _, c := range kinds {
		if !slices.Contains(methods, c.method) {
			methods = append(methods, c.method)
		}
	}
	return methods
}

func (s *site) route(u string, methods []string, on Operation, answer func(*request) *answer) {
	s.routes = append(s.routes, route{url: u, methods: methods, on: on, answer: answer})
}

// place finds out where the routes are, when the origins have their ports.
func (s *site) place() {
	for i := range s.routes {
		rt := &s.routes[i]
		rt.places = []place{newPlace(rt.url, rt.below), newPlace(s.here(rt.url), rt.below)}
	}
}

// find returns the route of a request, or those of other methods at its URL.
func (s *site) find(r *http.Request) (found *route, at place, vars map[string]string, allow []string) {
	for i := range s.routes {
		rt := &s.routes[i]
		for _, at := range rt.places {
			vars, ok := at.match(r.Host, cleanPath(r.URL), r.URL.Query())
			if !ok || !s.accepted(vars) {
				continue
			}
			if len(rt.methods) > 0 && !slices.Contains(rt.methods, r.Method) {
				for _, m := range rt.methods {
					if !slices.Contains(allow, m) {
						allow = append(allow, m)
					}
				}
				break
			}
			if len(allow) == 0 || !rt.below {
				return rt, at, vars, nil
			}
		}
	}
	return nil, place{}, nil, allow
}

func cleanPath(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

func (s *site) accepted(vars map[string]string) bool {
	for name, v := range vars {
		if !accepts(&s.real, name, v) {
			return false
		}
	}
	return true
}

// json makes an answer of a function that returns the body of a successful response,
// or why there is none.
func (s *site) json(on Operation, f func(r *request) (any, *refusal)) func(r *request) *answer {
	return func(r *request) *answer {
		body, refused := f(r)
		s.countAnswer(on, refused)
		switch {
		case refused != nil:
			return s.dialect.refuse(on, refused)
		case body == nil:
			return &answer{status: http.StatusOK, header: make(http.Header)}
		}
		return jsonAnswer(http.StatusOK, body)
	}
}

// ServeHTTP implements http.Handler.
func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == devicePath && o == o.site.login && o.site.real.Endpoint.DeviceAuthURL != "" {
		o.site.devicePage(w, r)
		return
	}
	o.site.handle(w, r, o.on)
}

// byName answers the requests of [Server.Client], which have the provider's own host.
func (s *Server) byName(w http.ResponseWriter, r *http.Request) {
	for _, site := range s.sites {
		if found, _, _, allow := site.find(r); found != nil || len(allow) > 0 {
			site.handle(w, r, API)
			return
		}
	}
	for _, site := range s.sites {
		if site.isAt(r.Host) {
			site.handle(w, r, API) // which counts it
			return
		}
	}
	http.Error(w, "endpointstest: no provider of this server has that URL", http.StatusNotFound)
}

// handle answers a request. Its shape is that of on if nobody answers it.
func (s *site) handle(w http.ResponseWriter, r *http.Request, on Operation) {
	found, at, vars, allow := s.find(r)
	if found == nil && len(allow) == 0 {
		refused := &refusal{problem: notFound}
		if r.URL.Path == trapPath {
			refused.why = "followed a redirect"
		}
		s.refuse(on, refused).send(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	req := &request{Request: r, body: body, at: at, vars: vars}
	switch {
	case found == nil:
		a := s.refuse(s.onWrongMethod(r), &refusal{problem: wrongMethod})
		a.header.Set("Allow", strings.Join(allow, ", "))
		a.send(w)
	case err != nil:
		s.refuse(found.on, malformedf("the body is too large or can't be read")).send(w)
	default:
		if found.note != nil {
			found.note(req)
		}
		s.serve(w, req, found)
	}
}

// onWrongMethod returns what a request would have been with another method.
func (s *site) onWrongMethod(r *http.Request) Operation {
	for _, rt := range s.routes {
		for _, at := range rt.places {
			if _, ok := at.match(r.Host, cleanPath(r.URL), r.URL.Query()); ok {
				return rt.on
			}
		}
	}
	return API
}

// refuse turns down a request that no route has looked at.
func (s *site) refuse(on Operation, r *refusal) *answer {
	s.countAnswer(on, r)
	if on == consentPage {
		return errorPage(&s.real, r)
	}
	return s.dialect.refuse(on, r)
}

// register lets the consent page send users to redirectURL.
func (s *site) register(redirectURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.redirects[redirectURL] = true
	s.redirect = redirectURL
}

// isRegistered reports whether the consent page may send users to redirectURI. One at a
// loopback address that is registered without a port stands for every port (RFC 8252,
// section 7.3). s.mu is held.
func (s *site) isRegistered(redirectURI string) bool {
	if s.redirects[redirectURI] {
		return true
	}
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
		return false
	}
	u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	return s.redirects[u.String()]
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
