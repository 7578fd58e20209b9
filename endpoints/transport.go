package endpoints

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// transport adapts the token requests of a plain *oauth2.Config and their responses, and
// passes all other traffic on untouched. It is where x/oauth2, which always sends a form
// and parses the answer itself, can be taught a provider's ways.
type transport struct {
	*adapter
	base   http.RoundTripper // nil means http.DefaultTransport
	probes probes
}

// context returns ctx with a client whose token requests t adapts. The client that
// ctx carries, or else http.DefaultClient, does the work underneath.
func (t *transport) context(ctx context.Context) context.Context {
	client := *clientOf(ctx)
	t.base = client.Transport
	client.Transport = t
	return context.WithValue(ctx, oauth2.HTTPClient, &client)
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !t.adapts(r) {
		return t.next().RoundTrip(r)
	}
	form, err := readForm(r)
	if t.invalid != nil {
		return nil, t.invalid
	}
	if err != nil {
		return nil, t.mistake("%w", err)
	}
	if err := t.plainMistake(form.Get("grant_type")); err != nil {
		return nil, err
	}
	return t.probes.once(r, form, func() (*http.Response, error) {
		in := &input{provider: t.adapter, grant: form.Get("grant_type"), vars: t.takeVars(form), rfc: form}
		return t.send(r, t.next(), &answer{in: in})
	})
}

// adapts reports whether r is a token request as x/oauth2 makes them, and not API traffic
// or adapted already.
func (t *transport) adapts(r *http.Request) bool {
	if _, adapted := tokenerror.AdaptedFrom(r.Context()); adapted {
		return false // by a transport further up
	}
	if r.Method != http.MethodPost || mediaOf(r.Header) != formType {
		return false
	}
	return t.conversationOf(grantExchange).isFor(r.URL) || t.conversationOf(grantRefresh).isFor(r.URL)
}

// isFor reports whether requests of the conversation go to u.
func (c *conversation) isFor(u *url.URL) bool {
	if c.at != nil {
		return *u == *c.at || u.String() == c.at.String()
	}
	return len(c.url.slots) > 0 && matchesCode(c.url.sample("*"), u.String())
}

func (t *transport) next() http.RoundTripper { return baseOf(t.base) }

// CloseIdleConnections lets http.Client's method of that name reach the base.
func (t *transport) CloseIdleConnections() { closeIdle(t.next()) }

// mediaOf returns the media type of a body.
func mediaOf(h http.Header) string {
	contentType := h.Get("Content-Type")
	if contentType == formType {
		return formType
	}
	media, _, _ := mime.ParseMediaType(contentType)
	return media
}

// readForm reads and closes the body of r, which must be a form.
func readForm(r *http.Request) (url.Values, error) {
	if r.Body == nil {
		return url.Values{}, nil
	}
	defer r.Body.Close()
	body, err := readAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("can't read the token request: %w", err)
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errors.New("the token request is not a form") // err would quote it
	}
	return form, nil
}

var errTooLarge = fmt.Errorf("it is larger than %d bytes", maxBody)

// plainMistake reports what a plain *oauth2.Config can't do with p.
func (p *adapter) plainMistake(grant string) error {
	c := p.conversationOf(grant)
	switch {
	case c.auth == PrivateKeyJWT:
		return p.mistake("a plain *oauth2.Config has no key for %s: use Provider.Config", PrivateKeyJWT)
	case len(c.url.slots) > 0:
		return p.mistake("%s has the variable %s, which a plain *oauth2.Config doesn't have: use Provider.Config", c.url.withoutQuery(), c.url.slots[0].name)
	case grant != grantRefresh:
		return nil
	}
	for _, name := range c.uses() {
		if slices.Contains(p.kept, name) {
			return p.mistake("a refresh needs the variable %s, which a plain *oauth2.Config doesn't have: use Provider.Config", name)
		}
	}
	return nil
}
