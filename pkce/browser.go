package pkce

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// isPrefetch reports whether the browser, or a script, asks for a page before the
// user does. Browsers say so in Sec-Purpose; the others are older, or of libraries.
func isPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Sec-Purpose", "X-Moz"} {
		purpose := strings.ToLower(r.Header.Get(name))
		if strings.Contains(purpose, "prefetch") || strings.Contains(purpose, "preview") {
			return true
		}
	}
	return false
}

// isSecure reports whether the browser of r is at an https page. A proxy in front
// may hide that, so what the application says of itself, its redirect URI, comes
// first. A header can only add security: a forged one keeps its own sender out.
func isSecure(r *http.Request, redirectURI string) bool {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	if r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https") {
		return true
	}
	scheme, _, _ := strings.Cut(strings.ToLower(redirectURI), ":")
	switch scheme {
	case "https":
		return true
	case "http":
		return false
	default: // an embedded flow
		return !isLoopback(r.Host)
	}
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		host = strings.ToLower(host)
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return addr.IsLoopback()
}

// checkPage reports that a cookie set for r can't come back to the redirect URL,
// since the browser is at another of the loopback's names. Of other hosts nothing
// is certain: a proxy may change the Host that arrives here, and the redirect URL
// may lead on to the page's host.
func checkPage(r *http.Request, redirect *url.URL) error {
	page := pageHost(r, redirect.Port())
	if !isHTTP(redirect) || !isLoopback(redirect.Host) || !isLoopback(page) || strings.EqualFold(page, redirect.Hostname()) {
		return nil
	}
	return misconfigured(fmt.Sprintf("the page that begins is at %s, and RedirectURL of Flow.Config at %s: "+
		"the browser would not send the attempt's cookie there; use one of the names for both", page, redirect.Hostname()))
}

// pageHost returns the name of the host that the browser of r sees, or "" if that
// isn't certain. It is that of the page from which the browser says that it came to
// the same origin. Otherwise it is r.Host, unless there is a trace of a proxy: a
// header that proxies add, or another port than the redirect URL's.
func pageHost(r *http.Request, port string) string {
	if r.Header.Get("Sec-Fetch-Site") == "same-origin" {
		if u, err := url.Parse(r.Referer()); err == nil && u.Host != "" {
			return u.Hostname()
		}
	}
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return ""
		}
	}
	u := url.URL{Host: r.Host}
	if u.Port() != port {
		return ""
	}
	return u.Hostname()
}

// parseRedirect returns the redirect URL, or an error if no provider should send a
// code there. It is an absolute URL without a fragment (RFC 6749, section 3.1.2);
// plain http may not leave the machine (RFC 9700, section 2.6; RFC 8252, section
// 7.3). Another scheme belongs to a native app (RFC 8252, section 7.1).
func parseRedirect(redirectURL string) (*url.URL, error) {
	const field = "RedirectURL of Flow.Config "
	u, err := url.Parse(redirectURL)
	switch {
	case redirectURL == "":
		return nil, misconfigured(field + "is missing")
	case err != nil, u.Scheme == "", hasPort(u.Opaque), isHTTP(u) && u.Hostname() == "":
		return nil, misconfigured(field + "is not an absolute URL, such as https://app.example/callback")
	case strings.Contains(redirectURL, "#"):
		return nil, misconfigured(field + "has a fragment")
	case u.Scheme == "http" && !isLoopback(u.Host):
		return nil, misconfigured(field + "is plain http, at a host that is not the loopback: the code could be read on its way; use https")
	}
	return u, nil
}

func isHTTP(u *url.URL) bool { return u.Scheme == "https" || u.Scheme == "http" }

// hasPort reports whether what url.Parse takes for the rest of a URL without a host
// is a port: in "localhost:8080/callback", it takes the host for the scheme.
func hasPort(opaque string) bool { return opaque != "" && '0' <= opaque[0] && opaque[0] <= '9' }
