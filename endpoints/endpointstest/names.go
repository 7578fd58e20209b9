package endpointstest

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// Provider returns p with its URLs pointed at this server, for any HTTP client and
// any process. Their paths are kept, and so is everything else.
//
// A host that has variables in it can't be kept: its names in braces become the first
// segments of the path, so that "https://{shop}/admin" is "http://127.0.0.1:4711/{shop}/admin".
// The variables still have to have values that Vars accepts, and the server tells
// accounts apart by them. What isn't as in reality is that all values are at one
// origin: with [Server.Client] they aren't.
func (s *Server) Provider(p endpoints.Provider) endpoints.Provider {
	site := s.site(p)
	login, _ := splitOrigin(p.Endpoint.AuthURL)
	move := func(u *string) {
		origin, rest := splitOrigin(*u)
		switch {
		case *u == "" || site.isHere(origin):
		case site.origins[origin] != nil:
			*u = site.here(*u)
		case origin == login:
			*u = site.login.url + rest
		default:
			*u = site.api.url + rest
		}
	}
	p.APIURLs = slices.Clone(p.APIURLs)
	for i := range p.APIURLs {
		move(&p.APIURLs[i])
	}
	for _, u := range []*string{&p.Issuer, &p.Endpoint.TokenURL, &p.Endpoint.DeviceAuthURL, &p.RefreshURL, &p.RevokeURL, &p.IntrospectURL, &p.Endpoint.AuthURL} {
		move(u)
	}
	return p
}

func (s *site) isHere(origin string) bool {
	for _, o := range s.origins {
		if o.url == origin {
			return true
		}
	}
	return false
}

// here returns a URL of the definition as it is at this server.
func (s *site) here(u string) string {
	origin, rest := splitOrigin(u)
	o := s.origins[origin]
	if o == nil {
		return s.api.url + rest
	}
	var b strings.Builder
	b.WriteString(o.url)
	for _, name := range namesIn(origin) {
		b.WriteString("/{" + name + "}")
	}
	return b.String() + rest
}

// Client returns an HTTP client that finds the server's providers at their own
// addresses, by http or https. Definitions are used with it as they are, not as
// [Server.Provider] returns them, so that nothing about them is different: each value
// of a variable in a host has a host of its own.
//
//	client := server.Config(acme.Provider, callbackURL)
//	client.Endpoint = acme.Provider.Endpoint // and not where it is here
//	config := acme.Provider.Config(client)
//	ctx = context.WithValue(ctx, oauth2.HTTPClient, server.Client())
//
// Loopback addresses are reached as with any client, for the application's own pages.
// Everything else is an error: nothing leaves the machine.
func (s *Server) Client() *http.Client {
	base := new(http.Transport)
	if usual, ok := http.DefaultTransport.(*http.Transport); ok { // a program may have wrapped it
		base = usual.Clone()
	}
	base.Proxy = nil
	played := base.Clone()
	played.DialContext, played.DialTLSContext = s.named.Dial, s.named.Dial
	played.Protocols = new(http.Protocols)
	played.Protocols.SetHTTP1(true) // the only one for pipes
	return &http.Client{Transport: &named{s, played, base}}
}

// named is the transport of Client.
type named struct {
	server   *Server
	played   *http.Transport // to the server, whatever the host
	loopback *http.Transport
}

// RoundTrip implements http.RoundTripper.
func (n *named) RoundTrip(r *http.Request) (*http.Response, error) {
	if isLoopback(r.URL.Hostname()) {
		return n.loopback.RoundTrip(r)
	}
	if !n.server.plays(r.URL.Host) {
		if r.Body != nil {
			r.Body.Close()
		}
		return nil, fmt.Errorf("endpointstest: no provider of this server is at %s", r.URL.Host)
	}
	return n.played.RoundTrip(r)
}

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (n *named) CloseIdleConnections() {
	n.played.CloseIdleConnections()
	n.loopback.CloseIdleConnections()
}

// plays reports whether a provider is at that host.
func (s *Server) plays(host string) bool {
	return slices.ContainsFunc(s.sites, func(site *site) bool { return site.isAt(host) })
}

// isAt reports whether a URL of the provider has that host.
func (s *site) isAt(host string) bool {
	for _, rt := range s.routes {
		if m := rt.places[0].host.match(host); m != nil && s.acceptsHost(rt.places[0], m[1:]) {
			return true
		}
	}
	return false
}

// acceptsHost reports whether Vars accepts what stands in a host for a name.
func (s *site) acceptsHost(at place, parts []string) bool {
	for i, v := range parts {
		name := at.names[i]
		if i == 0 && at.isURL {
			if !slices.ContainsFunc(s.real.Vars[name], func(entry string) bool {
				origin, _ := splitOrigin(entry)
				return entry == "*" || glob(origin, `[A-Za-z0-9_-]+`, "https://"+v)
			}) {
				return false
			}
		} else if !accepts(&s.real, name, v) {
			return false
		}
	}
	return true
}

func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
