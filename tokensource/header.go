package tokensource

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// headerKind is what adding the token to a copy of a request's header takes.
type headerKind int

const (
	headerPlain headerKind = iota // no more than that
	headerRough                   // it has a Bearer, or room behind its values, where others may not write
	headerOwn                     // it isn't done: the header has an Authorization of its own
)

// kindOf looks at h once.
func kindOf(h http.Header) headerKind {
	kind := headerPlain
	for name, values := range h {
		switch {
		case isAuthorization(name):
			if isOwn(values) {
				return headerOwn
			}
			kind = headerRough
		case cap(values) > len(values):
			kind = headerRough
		}
	}
	return kind
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

// isAuthorization reports whether name is that of the field Authorization, which is sent
// in whatever case it stands in the map.
func isAuthorization(name string) bool {
	return len(name) == len("Authorization") && strings.EqualFold(name, "Authorization")
}

// isOwn reports whether values, of a field Authorization, has one that isn't a Bearer.
func isOwn(values []string) bool {
	for _, v := range values {
		v = strings.TrimLeft(v, " \t")
		if end := strings.IndexAny(v, " \t"); end >= 0 {
			v = v[:end]
		}
		if v != "" && !strings.EqualFold(v, "Bearer") {
			return true
		}
	}
	return false
}
