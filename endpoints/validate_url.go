package endpoints

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/httpclient"
)

type namedURL struct{ field, url string }

// urls returns the URLs that are set.
func (p *Provider) urls() []namedURL {
	all := []namedURL{
		{"Endpoint.AuthURL", p.Endpoint.AuthURL}, {"Endpoint.TokenURL", p.Endpoint.TokenURL},
		{"Endpoint.DeviceAuthURL", p.Endpoint.DeviceAuthURL}, {"RefreshURL", p.RefreshURL},
		{"RevokeURL", p.RevokeURL}, {"IntrospectURL", p.IntrospectURL},
	}
	for i, u := range p.APIURLs {
		all = append(all, namedURL{item("APIURLs", i), u})
	}
	return slices.DeleteFunc(all, func(u namedURL) bool { return u.url == "" && !strings.HasPrefix(u.field, "API") })
}

func (p *Provider) checkURLs() (m mistakes) {
	if p.Endpoint.TokenURL == "" {
		m.add(wrong("Endpoint.TokenURL", "is missing"))
	}
	checked := make(map[spot]bool)
	for _, u := range p.urls() {
		m.add(p.checkSlots(u, checked)...)
		m.add(p.checkURL(u))
	}
	if p.Issuer != "" {
		m.add(p.checkURL(namedURL{"Issuer", p.Issuer}))
	}
	if s := p.Endpoint.AuthStyle; s < oauth2.AuthStyleAutoDetect || s > oauth2.AuthStyleInHeader {
		m.add(wrong("Endpoint.AuthStyle", "is unknown: %d", s))
	}
	return m
}

// spot is where in a URL a variable stands, as far as that decides which values it can have.
type spot struct {
	name string
	at   place
	dots int // that follow in the host, counted up to two; 0 if it isn't a part of the host
}

// spots returns those of the slots.
func (t template) spots() []spot {
	all := make([]spot, len(t.slots))
	dots, next := 0, len(t.text)
	for i, s := range slices.Backward(t.slots) {
		between := t.text[s.to:next]
		if end := strings.IndexAny(between, "/?#:"); end >= 0 {
			between, dots = between[:end], 0
		}
		dots, next = min(dots+strings.Count(between, "."), 2), s.from
		all[i] = spot{s.name, s.at, 0}
		if s.at == asLabel {
			all[i].dots = dots
		}
	}
	return all
}

// checkSlots checks the variables of a URL. What Vars accepts is checked once for each spot,
// which is in checked then: a URL may have the same one many times.
func (p *Provider) checkSlots(u namedURL, checked map[spot]bool) (m mistakes) {
	t := parseTemplate(u.url)
	spots := t.spots()
	for i, s := range t.slots {
		if _, declared := p.Vars[s.name]; !declared && (s.name != "client_id" || s.at < asSegment) {
			m.add(wrong(u.field, "has {%s}, which Vars doesn't declare", s.name))
		}
		tail := u.url[s.to:]
		if s.at == asURL && tail != "" && !strings.ContainsAny(tail[:1], "/?#") {
			m.add(wrong(u.field, "has to have a / after {%s}, which is a whole URL: what follows would be part of its host", s.name))
		}
		if !checked[spots[i]] {
			checked[spots[i]] = true
			m.add(p.checkEntries(spots[i])...)
		}
	}
	return m
}

// checkURL checks a URL with something harmless in the place of its variables.
func (p *Provider) checkURL(u namedURL) error {
	t := parseTemplate(u.url)
	if len(t.slots) > 0 && t.slots[0].from == 0 {
		t = parseTemplate("https://host.example" + u.url[t.slots[0].to:])
	}
	sample := t.sample("x")
	parsed, err := url.Parse(sample)
	if err == nil {
		_, err = httpclient.OriginOf(parsed)
	}
	switch {
	case err != nil || strings.ContainsAny(sample, "{}"):
		return wrong(u.field, "must be an absolute http or https URL")
	case !p.InsecureHTTP && !httpclient.SecureURL(parsed):
		return wrong(u.field, "must be an https URL, or one of http at this machine; InsecureHTTP allows others")
	case parsed.User != nil:
		return wrong(u.field, "has a user in it")
	case u.field == "Issuer" && strings.ContainsAny(u.url, "?#{}"):
		return wrong(u.field, "can't have a query, a fragment or a variable (RFC 8414, section 2)")
	case strings.Contains(u.url, "#") && u.field != "Endpoint.AuthURL":
		return wrong(u.field, "has a fragment, which is never sent")
	}
	return nil
}

// checkEntries checks what Vars accepts for a variable that stands there.
func (p *Provider) checkEntries(s spot) (m mistakes) {
	for i, entry := range p.Vars[s.name] {
		field := item(item("Vars", s.name), i)
		host, wild := "", s.at <= asHost && entry == "*"
		switch s.at {
		case asURL:
			if entry != "*" && entry != "" && !p.isSecure(entry) {
				m.add(wrong(field, "must begin with https://, as the variable is a whole URL"))
				continue
			}
			_, rest, _ := strings.Cut(entry, "://")
			host, _, _ = strings.Cut(rest, "/")
		case asHost:
			host = entry
		case asLabel:
			host = entry + strings.Repeat(".", s.dots)
		}
		_, fits := s.at.harmless(strings.ReplaceAll(entry, "*", "x"), true, p.InsecureHTTP)
		last := strings.LastIndex(host, "*")
		switch {
		case !fits && entry != "" && entry != "*":
			m.add(wrong(field, "can't stand where {%s} is in a URL", shortName(s.name)))
		case wild && slices.Contains(p.Callback.Keep, s.name):
			m.add(wrong(field, "accepts any host, and the callback names it: anyone can write a callback"))
		case last >= 0 && !wild && strings.Count(host[last:], ".") < 2:
			m.add(wrong(field, "must have two fixed labels after its last *, or anyone can have such a host"))
		}
	}
	return m
}

// isSecure reports whether an entry begins with an origin that a secret can be sent to.
func (p *Provider) isSecure(entry string) bool {
	u, err := url.Parse(strings.ReplaceAll(entry, "*", "x"))
	return err == nil && (u.Scheme == "https" || u.Scheme == "http" && p.InsecureHTTP || httpclient.SecureURL(u))
}

func (p *Provider) checkVars() (m mistakes) {
	if len(p.Vars) == 0 {
		return nil
	}
	used := p.usedNames()
	for _, name := range slices.Sorted(maps.Keys(p.Vars)) {
		field := item("Vars", name)
		switch {
		case !slices.Equal(namesIn("{"+name+"}"), []string{name}):
			m.add(wrong(field, "isn't a name of letters, digits, '_', '-' and '.'"))
		case slices.Contains(ownNames, name):
			m.add(wrong(field, "is a parameter of the RFC"))
		case name == "random":
			m.add(wrong(field, "can't be declared: it is a new value each time"))
		case !used[name] && p.Request == nil && p.Response == nil:
			m.add(wrong(field, "has no effect: nothing refers to {%s}", shortName(name)))
		case len(p.Vars[name]) == 0:
			m.add(wrong(field, "accepts no value"))
		}
		again := repeats()
		for i, entry := range p.Vars[name] {
			if again(entry) || entry == "" && i > 0 {
				m.add(wrong(item(field, i), "has no effect"))
			}
		}
	}
	return m
}

// usedNames are the names in braces in all URLs, parameters and headers.
func (p *Provider) usedNames() map[string]bool {
	used := make(map[string]bool)
	note := func(texts ...string) {
		for _, text := range texts {
			for _, name := range namesIn(text) {
				used[name] = true
			}
		}
	}
	for _, u := range p.urls() {
		note(u.url)
	}
	for _, s := range p.styles() {
		note(slices.Collect(maps.Values(s.style.Header))...)
		for _, values := range s.style.Params {
			note(values...)
		}
	}
	for _, values := range p.Consent.Params {
		note(values...)
	}
	note(slices.Collect(maps.Values(p.API.Header))...)
	return used
}
