package tokensource

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
)

// headerKind is what adding the token to a copy of a request's header takes.
type headerKind int

const (
	headerPlain headerKind = iota // no more than that
	headerRough                   // a Bearer is to be removed, or an append to the copy's values would write into the original's
	headerOwn                     // it isn't done: the header has an Authorization of its own
)

// kindOf looks at h once. Scheme is that of the token's Authorization.
func kindOf(h http.Header, scheme string) headerKind {
	kind := headerPlain
	for name, values := range h {
		switch {
		case isAuthorization(name):
			if isOwn(values, scheme) {
				return headerOwn
			}
			kind = headerRough
		case cap(values) > len(values):
			kind = headerRough
		}
	}
	return kind
}

// headerNames are the names in the first plain header that was seen of each length. Clients
// send the same names again and again, and looking them up takes half as long as a walk over
// the map, whose order is random.
type headerNames [8]atomic.Pointer[[]string]

// kindOf is the function of that name, faster where it has seen the names before.
func (n *headerNames) kindOf(h http.Header, scheme string) headerKind {
	if len(h) >= len(n) {
		return kindOf(h, scheme)
	}
	seen := n[len(h)].Load()
	if seen != nil && arePlain(h, *seen) {
		return headerPlain
	}
	kind := kindOf(h, scheme)
	if seen == nil && kind == headerPlain {
		names := make([]string, 0, len(h))
		for name := range h {
			names = append(names, strings.Clone(name)) // which may be a part of a long text
		}
		n[len(h)].Store(&names)
	}
	return kind
}

// arePlain reports whether h, which has as many fields as there are names, has just those, and
// its kind is headerPlain.
func arePlain(h http.Header, names []string) bool {
	for _, name := range names {
		if values, ok := h[name]; !ok || cap(values) > len(values) {
			return false
		}
	}
	return true
}

// withBearer returns a copy of h, which is of that kind, that has the Authorization bearer
// and no other. What is changed in the copy, or appended to its values, doesn't change h.
func withBearer(h http.Header, kind headerKind, bearer []string) http.Header {
	c := maps.Clone(h)
	if c == nil {
		c = make(http.Header, 1)
	}
	if kind == headerRough {
		for name, values := range c {
			if isAuthorization(name) {
				delete(c, name)
			} else {
				c[name] = slices.Clip(values)
			}
		}
	}
	c["Authorization"] = bearer
	return c
}

// withFields returns a copy of h with the fields that an API wants, and no Authorization but
// one of those. Fields that have the token in them replace h's; others are added where h
// doesn't have them, under whatever case.
func withFields(h http.Header, fields http.Header, token string) http.Header {
	c := make(http.Header, len(h)+len(fields))
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		if canonical == "Authorization" || holds(fields[canonical], token) {
			continue
		}
		c[name] = slices.Clip(values)
	}
	for name, values := range fields {
		if holds(values, token) || !hasField(h, name) {
			c[name] = slices.Clip(values)
		}
	}
	return c
}

// withoutToken returns a copy of h without the fields in which a token is sent, but with an
// Authorization of another kind.
func withoutToken(h http.Header, api *apiSettings) http.Header {
	own := kindOf(h, api.scheme) == headerOwn
	c := make(http.Header, len(h))
	for name, values := range h {
		if isAuthorization(name) && own || !slices.Contains(api.fields, http.CanonicalHeaderKey(name)) {
			c[name] = values
		}
	}
	return c
}

func holds(values []string, token string) bool {
	return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, token) })
}

func hasField(h http.Header, canonical string) bool {
	if _, ok := h[canonical]; ok {
		return true
	}
	for name := range h {
		if http.CanonicalHeaderKey(name) == canonical {
			return true
		}
	}
	return false
}

// isAuthorization reports whether name is that of the field Authorization, which is sent
// in whatever case it stands in the map.
func isAuthorization(name string) bool {
	return len(name) == len("Authorization") && strings.EqualFold(name, "Authorization")
}

// isOwn reports whether values, of a field Authorization, has one that is neither of the
// token's scheme nor a Bearer.
func isOwn(values []string, scheme string) bool {
	for _, v := range values {
		v = strings.TrimLeft(v, " \t")
		if end := strings.IndexAny(v, " \t"); end >= 0 {
			v = v[:end]
		}
		if v != "" && !strings.EqualFold(v, "Bearer") && !strings.EqualFold(v, scheme) {
			return true
		}
	}
	return false
}
