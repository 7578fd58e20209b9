package httpclient

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// An Origin is a scheme, a host and a port (RFC 6454, section 4), so written that
// two are equal with == exactly if a request to one reaches what the other names.
//
// Letters of a host may differ in case, a port may be left out if it is the
// scheme's default, and an IPv6 address may be written in any way. A host with a
// dot at its end is another one, as it is to servers and in certificates; so is a
// name in other letters than ASCII, unless it is the same byte for byte. Where that
// is too strict, a request is refused, and nothing is sent to the wrong place.
type Origin struct {
	scheme string // "http" or "https"
	host   string // as in url.URL.Host, without the default port
}

var errNoOrigin = errors.New("not an absolute http or https URL")

// OriginOf returns the origin of an absolute http or https URL.
func OriginOf(u *url.URL) (Origin, error) {
	if u == nil {
		return Origin{}, errNoOrigin
	}
	o := Origin{scheme: lower(u.Scheme)}
	port, ok := portOf(u.Port(), o.scheme)
	host := canonicalHost(u.Hostname())
	if !ok || host == "" {
		return Origin{}, errNoOrigin
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	o.host = host + port
	return o, nil
}

// ParseOrigin returns the origin of rawURL. Its error doesn't quote rawURL, in which there
// may be a password.
func ParseOrigin(rawURL string) (Origin, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Origin{}, errNoOrigin
	}
	return OriginOf(u)
}

// String returns the origin as in an Origin header: "https://api.example.com". It is
// "" for the zero Origin.
func (o Origin) String() string {
	if o.scheme == "" {
		return ""
	}
	return o.scheme + "://" + o.host
}

// Is reports whether u has the origin o. It is false for the zero Origin.
func (o Origin) Is(u *url.URL) bool {
	if u == nil || o.scheme == "" {
		return false
	}
	if u.Scheme == o.scheme && u.Host == o.host {
		return true // as nearly every URL is written
	}
	other, err := OriginOf(u)
	return err == nil && other == o
}

// Takes reports whether r goes to the origin o: its URL and, if they are set, its Host and
// the URL in URL.Opaque, by which a proxy, or a server behind a shared address, decides
// whose request it is (RFC 9112, section 3.2.2).
func (o Origin) Takes(r *http.Request) bool {
	if !o.Is(r.URL) {
		return false
	}
	if target := r.URL.Opaque; target != "" {
		if strings.HasPrefix(target, "//") {
			target = r.URL.Scheme + ":" + target // as in URL.RequestURI
		}
		u, err := url.Parse(target)
		if err != nil || u.Scheme != "" && !o.Is(u) {
			return false
		}
	}
	return r.Host == "" || r.Host == r.URL.Host || o.Is(&url.URL{Scheme: r.URL.Scheme, Host: r.Host})
}

// SameOrigin reports whether a and b have one origin.
func SameOrigin(a, b *url.URL) bool {
	o, err := OriginOf(a)
	return err == nil && o.Is(b)
}

// SecureURL reports whether a secret may be sent to u: over https, or over http that
// doesn't leave the machine (OAuth 2.1, section 1.5; RFC 8252, section 7.3). The
// loopback is "localhost" and the addresses 127.0.0.0/8 and ::1. A name below
// localhost is none of them, since a resolver may ask the network for it.
func SecureURL(u *url.URL) bool {
	o, err := OriginOf(u)
	return err == nil && (o.scheme == "https" || isLoopback(u.Hostname()))
}

// LoopbackURL reports whether u is a server on this machine: see [SecureURL].
func LoopbackURL(u *url.URL) bool {
	_, err := OriginOf(u)
	return err == nil && isLoopback(u.Hostname())
}

func isLoopback(host string) bool {
	if lower(host) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Zone() == "" && addr.Unmap().IsLoopback()
}

// portOf returns ":port", or "" for the scheme's default.
func portOf(port, scheme string) (suffix string, ok bool) {
	byDefault := uint64(443)
	switch scheme {
	case "https":
	case "http":
		byDefault = 80
	default:
		return "", false
	}
	if port == "" {
		return "", true
	}
	n, err := strconv.ParseUint(port, 10, 16) // "0443" is dialed as 443
	if err != nil || n == byDefault {
		return "", err == nil
	}
	return ":" + strconv.FormatUint(n, 10), true
}

func canonicalHost(host string) string {
	if host == "" || !strings.Contains(host, ":") && (host[len(host)-1] < '0' || host[len(host)-1] > '9') {
		return lower(host) // no address ends like that
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	return lower(host)
}

// lower maps ASCII alone. A letter that merely folds to an ASCII one, such as the
// Kelvin sign, is left to be different.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}
		return r
	}, s)
}

// Origins are those that a secret is for.
type Origins []Origin

// ParseOrigins returns the origins of the URLs.
func ParseOrigins(rawURLs []string) (Origins, error) {
	set := make(Origins, 0, len(rawURLs))
	for _, raw := range rawURLs {
		o, err := ParseOrigin(raw)
		if err != nil {
			return nil, err
		}
		set = append(set, o)
	}
	return set, nil
}

// String lists the origins.
func (s Origins) String() string {
	var all []string
	for _, o := range s {
		all = append(all, o.String())
	}
	return strings.Join(all, ", ")
}

// Takes reports whether r goes to one of the origins.
func (s Origins) Takes(r *http.Request) bool {
	for _, o := range s {
		if o.Takes(r) {
			return true
		}
	}
	return false
}

// Left reports whether r is part of a chain of redirects, as net/http follows them,
// that is or once was outside of the origins. From there on a request goes where a
// stranger has sent it, also if that is one of the origins again.
func (s Origins) Left(r *http.Request) bool {
	if r.Response == nil {
		return false // no redirect
	}
	for ; r != nil; r = r.Response.Request {
		if !s.Takes(r) {
			return true
		}
		if r.Response == nil {
			return false
		}
	}
	return true // where it came from isn't known
}
