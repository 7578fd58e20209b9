package endpoints

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/oauth2"
)

// API describes how the provider's API takes access tokens and refuses them.
type API struct {
	// Header is set on every request. A field without the access token gives way to
	// the request's own. The access token is sent as
	//
	//	"Authorization": "Bearer {access_token}"
	//
	// (RFC 6750, section 2.1), whatever its token_type, unless a header here has
	// {access_token} in it. In braces can be access_token, token_type, client_id,
	// client_secret and variables. A field whose value isn't known is not set.
	//
	// A token that the API takes in the URL can't be described: leave
	// Provider.APIURLs empty, and have the program send it.
	Header map[string]string `json:"header,omitzero"`

	// Errors say which answers refuse the token: [KindTokenRejected] if it has
	// expired and can be refreshed, [KindLoginRequired] if the grant is gone. An
	// answer that has another kind isn't about the token.
	//
	// Without a rule that matches, a 401 is about the token, unless its
	// WWW-Authenticate (RFC 6750, section 3) or its code says otherwise, and no
	// other status is. A rule needs a Status here: answers of another status aren't
	// read, unless it is 401, and of others at most 64 KiB. A rule for a success
	// status is applied to JSON of that length only.
	Errors []ErrorRule `json:"errors,omitzero"`
}

func (a API) clone() API {
	a.Header = maps.Clone(a.Header)
	a.Errors = slices.Clone(a.Errors)
	return a
}

// apiHeader returns API.Header with the field that carries the token.
func (p *Provider) apiHeader() map[string]string {
	for _, v := range p.API.Header {
		if slices.Contains(namesIn(v), "access_token") {
			return mergedHeader(nil, p.API.Header)
		}
	}
	return mergedHeader(map[string]string{"Authorization": "Bearer {access_token}"}, p.API.Header)
}

// APIURLs returns the URLs to whose origins t may be sent: Provider.APIURLs, with the
// values that t's variables have. It is an error if one of those is missing or isn't
// accepted. Package tokensource calls it for each token.
func (c *Config) APIURLs(t *oauth2.Token) ([]string, error) {
	conf := c.config()
	if conf.err != nil {
		return nil, conf.err
	}
	in := conf.input("", t)
	var urls []string
	for _, text := range conf.Provider.APIURLs {
		u, err := parseTemplate(text).fillURL(in.value, &conf.Provider)
		if err != nil {
			return nil, conf.mistake("APIURLs: %w", err)
		}
		urls = append(urls, u)
	}
	return urls, nil
}

// APIHeader returns what a request to the API has to have to be made with t: the
// header fields of Provider.API. A field that needs a value that t doesn't have, or one
// that isn't accepted, is left out. Package tokensource calls it for each token.
func (c *Config) APIHeader(t *oauth2.Token) http.Header {
	conf := c.config()
	h := make(http.Header)
	if t == nil || conf.err != nil {
		return h
	}
	in := conf.input("", t)
	for _, field := range compileHeader(conf.apiHeader()) {
		v, known, err := field.value.fill(in.value)
		if err == nil && known && !strings.ContainsFunc(v, isControl) {
			h.Set(field.name, v)
		}
	}
	return h
}
