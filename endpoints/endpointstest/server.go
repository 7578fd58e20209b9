package endpointstest

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/internal/pipenet"
)

// Server acts as providers of package endpoints. It is made by [New], or by [Start] or
// [StartProgram], and safe for concurrent use.
//
// The methods that take a provider take it as it was given to New, as
// [Server.Provider] returns it, or a copy of either. They panic if it is another.
type Server struct {
	sites  []*site
	ports  ports
	named  *pipenet.Listener // where requests of Client go
	offset atomic.Int64      // how far Advance has moved the clock, in nanoseconds
	done   chan struct{}
	closed sync.Once
}

// New starts a server that acts as providers, and closes it when the test is over.
// Without providers it acts as Finch, Chart, TaxRock and TaxRockSandbox.
func New(t testing.TB, providers ...endpoints.Provider) *Server {
	t.Helper()
	s, err := StartProgram(providers...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Start is [New] where there is no testing.TB: in an example or in TestMain. The
// server must be closed. Start fails unless the program was made by "go test": anyone
// who can reach the server can have a token of any account.
func Start(providers ...endpoints.Provider) (*Server, error) {
	if !isTest() {
		return nil, errors.New("endpointstest: Start is for tests, and this program isn't one: see StartProgram")
	}
	return StartProgram(providers...)
}

// isTest reports whether "go test" made the program.
var isTest = testing.Testing

// StartProgram is [Start] for a demonstration, which is no test and has no account at a
// real provider. No other program should call it.
func StartProgram(providers ...endpoints.Provider) (*Server, error) {
	if len(providers) == 0 {
		providers = []endpoints.Provider{endpoints.Finch, endpoints.Chart, endpoints.TaxRock, endpoints.TaxRockSandbox}
	}
	s := &Server{named: pipenet.Listen(), done: make(chan struct{})}
	for _, p := range providers {
		if err := p.Validate(); err != nil {
			s.Close()
			return nil, err
		}
		s.sites = append(s.sites, newSite(s, p))
	}
	if err := s.listen(); err != nil {
		s.Close()
		return nil, fmt.Errorf("endpointstest: %w", err)
	}
	s.ports.serve()
	return s, nil
}

// listen takes a loopback port for each origin, so that those that differ in reality
// differ here.
func (s *Server) listen() (err error) {
	for _, site := range s.sites {
		for _, u := range urlsOf(&site.real) {
			name, _ := splitOrigin(u)
			if site.origins[name] != nil {
				continue
			}
			o := &origin{site: site, on: TokenEndpoint}
			if o.url, err = s.ports.listen(o); err != nil {
				return err
			}
			site.origins[name] = o
			if site.login == nil {
				site.login = o // the consent page comes first
			}
		}
		site.api = site.login
		if len(site.real.APIURLs) > 0 {
			name, _ := splitOrigin(site.real.APIURLs[0])
			site.api = site.origins[name]
		}
		site.api.on = API
		site.place()
	}
	s.ports.add(s.named, http.HandlerFunc(s.byName))
	return nil
}

// Close stops the server. Requests that are being answered are finished, without
// the delays of a [Fault]; everything of the server's is gone when Close returns.
func (s *Server) Close() {
	s.closed.Do(func() { close(s.done) })
	s.ports.close(closeTimeout)
}

// closeTimeout is how long Close lets a request go on. None takes long but that of a
// client that doesn't write or read.
const closeTimeout = 5 * time.Second

// Config returns the application's client at p: its id and secret, p's endpoint at
// this server, and redirectURL, which is registered with the provider by this call.
// One without a port at 127.0.0.1 or [::1], such as http://127.0.0.1/callback, stands for
// every port there (RFC 8252, section 7.3). An empty redirectURL is for the embedded flow
// of Finch and Chart. Scopes are left to the caller: Finch's consent page wants some.
//
// Config panics if redirectURL is not empty and not an absolute URL without a
// fragment.
func (s *Server) Config(p endpoints.Provider, redirectURL string) oauth2.Config {
	site := s.site(p)
	if redirectURL != "" {
		if u, err := url.Parse(redirectURL); err != nil || !u.IsAbs() || u.Fragment != "" {
			panic("endpointstest: " + redirectURL + " can't be registered: it must be an absolute URL without a fragment")
		}
		site.register(redirectURL)
	}
	return oauth2.Config{
		ClientID:     site.clientID,
		ClientSecret: site.clientSecret,
		Endpoint:     s.Provider(p).Endpoint,
		RedirectURL:  redirectURL,
	}
}

// Connect connects another account and returns its token, as if its user had
// approved the scopes at the consent page and the code had been exchanged. Without
// scopes the token gets all there are. [Server.Stats] doesn't count it.
func (s *Server) Connect(p endpoints.Provider, scopes ...string) *oauth2.Token {
	return s.site(p).connect(scopes)
}

// SetVars gives the accounts that are connected from now on these values of p's
// variables (Provider.Vars) and of what its callback brings (Callback.Keep), where
// the authorization request doesn't say. For those that aren't in vars the server
// makes up a value that Vars accepts.
func (s *Server) SetVars(p endpoints.Provider, vars map[string]string) {
	site := s.site(p)
	site.mu.Lock()
	defer site.mu.Unlock()
	site.vars = vars
}

// Advance moves the server's clock forward by d: codes, access tokens and refresh
// tokens grow older by that. Clients don't notice until they ask, since their own
// clocks stay as they are.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// site finds the site that acts as p: by its consent page, which tells TaxRock from
// its sandbox, or else by its name.
func (s *Server) site(p endpoints.Provider) *site {
	best, most := (*site)(nil), 0
	for _, site := range s.sites {
		h, real := host(p.Endpoint.AuthURL), site.real
		score := 0
		if p.Endpoint.AuthURL != "" && h == host(site.login.url) {
			score = 4
		} else if h != "" && h == host(real.Endpoint.AuthURL) {
			score = 2
		}
		if p.Name == real.Name {
			score++
		}
		if score > most {
			best, most = site, score
		}
	}
	if best == nil {
		panic(fmt.Sprintf("endpointstest: there is no provider %q here", p.Name))
	}
	return best
}

// host returns the host of a URL, which may have names in braces.
func host(rawURL string) string {
	origin, _ := splitOrigin(rawURL)
	_, host, _ := strings.Cut(origin, "://")
	return host
}
