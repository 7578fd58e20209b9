package endpointstest

import (
	"fmt"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Server acts as every provider that package endpoints defines. It is made by
// [Start] or [New], and safe for concurrent use.
//
// The methods that take a provider take it as package endpoints defines it, as
// [Server.Provider] returns it, or a copy of either. They panic if it is another.
type Server struct {
	sites  []*site
	ports  ports
	offset atomic.Int64 // how far Advance has moved the clock, in nanoseconds
	done   chan struct{}
	closed sync.Once
}

// Start starts a server for a program, which must Close it.
func Start() (*Server, error) {
	s := &Server{done: make(chan struct{})}
	for _, d := range []dialect{
		finch{endpoints.Finch},
		chart{endpoints.Chart},
		taxRock{endpoints.TaxRock},
		taxRock{endpoints.TaxRockSandbox},
	} {
		site := newSite(s, d)
		s.sites = append(s.sites, site)
		for _, o := range []*origin{&site.login, &site.api} {
			url, err := s.ports.listen(o)
			if err != nil {
				s.Close()
				return nil, fmt.Errorf("endpointstest: %w", err)
			}
			o.url = url
		}
	}
	s.ports.serve()
	return s, nil
}

// New starts a server for a test, and closes it when the test is over.
func New(t testing.TB) *Server {
	t.Helper()
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
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

// Provider returns p with its URLs pointed at this server and everything else
// unchanged. Their paths are kept.
func (s *Server) Provider(p endpoints.Provider) endpoints.Provider {
	site := s.site(p)
	login := host(p.Endpoint.AuthURL)
	urls := []*string{&p.Issuer, &p.Endpoint.AuthURL, &p.Endpoint.TokenURL, &p.RefreshURL, &p.RevokeURL, &p.IntrospectURL}
	p.APIURLs = slices.Clone(p.APIURLs)
	for i := range p.APIURLs {
		urls = append(urls, &p.APIURLs[i])
	}
	for _, u := range urls {
		switch host(*u) {
		case "":
		case login:
			*u = rebase(*u, site.login.url)
		default:
			*u = rebase(*u, site.api.url)
		}
	}
	return p
}

// Config returns the application's client at p: its id and secret, p's endpoint at
// this server, and redirectURL, which is registered with the provider by this call.
// An empty redirectURL is for the embedded flow of Finch and Chart. Scopes are left
// to the caller: Finch's consent page wants some.
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

// Advance moves the server's clock forward by d: codes, access tokens and refresh
// tokens grow older by that. Clients don't notice until they ask, since their own
// clocks stay as they are.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// site finds the site that acts as p: by its consent page, which tells TaxRock from
// its sandbox, or else by its name.
func (s *Server) site(p endpoints.Provider) *site {
	for _, site := range s.sites {
		if h := host(p.Endpoint.AuthURL); h == host(site.dialect.provider().Endpoint.AuthURL) || h == host(site.login.url) {
			return site
		}
	}
	for _, site := range s.sites {
		if site.dialect.provider().Name == p.Name {
			return site
		}
	}
	panic(fmt.Sprintf("endpointstest: there is no provider %q here", p.Name))
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}

// rebase moves a URL to another origin.
func rebase(rawURL, origin string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return rawURL
	}
	to, err := url.Parse(origin)
	if err != nil {
		return rawURL
	}
	u.Scheme, u.Host = to.Scheme, to.Host
	return u.String()
}
