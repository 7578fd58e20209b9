package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// request is one that would be sent, for people and as JSON.
type request struct {
	Step   string      `json:"step"`
	Method string      `json:"method,omitempty"`
	URL    string      `json:"url,omitempty"`
	Header http.Header `json:"header,omitempty"`
	Body   string      `json:"body,omitempty"`
	Note   string      `json:"note,omitempty"`
}

// Made-up values, which show where the real ones go.
const (
	madeUpRedirect = "http://127.0.0.1/callback"
	madeUpVerifier = "VERIFIER-VERIFIER-VERIFIER-VERIFIER-VERIFIER"
)

// recorder is a transport that sends nothing.
type recorder struct{ last *request }

var errNotSent = errors.New("nothing is sent")

// RoundTrip implements http.RoundTripper.
func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.last == nil {
		t.last = &request{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone()}
		if r.Body != nil {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			t.last.Body = string(body)
		}
	}
	return nil, errNotSent
}

// rehearsal makes the requests of a definition with made-up values.
type rehearsal struct {
	conf *endpoints.Config
	opts []oauth2.AuthCodeOption
	vars map[string]string
}

func rehearse(p endpoints.Provider, given map[string]string, scopes []string) *rehearsal {
	r := &rehearsal{vars: make(map[string]string)}
	names := slices.Concat(slices.Collect(maps.Keys(p.Vars)), p.Callback.Keep)
	for _, name := range names {
		r.vars[name] = "example"
		if values := p.Vars[name]; len(values) > 0 {
			r.vars[name] = strings.ReplaceAll(values[0], "*", "example")
			if len(values) > 1 && values[0] == "" {
				r.vars[name] = strings.ReplaceAll(values[1], "*", "example")
			}
		}
	}
	maps.Copy(r.vars, given)
	for _, name := range slices.Sorted(maps.Keys(r.vars)) {
		r.opts = append(r.opts, oauth2.SetAuthURLParam(name, r.vars[name]))
	}
	r.conf = p.Config(oauth2.Config{ClientID: "CLIENT_ID", ClientSecret: "CLIENT_SECRET", RedirectURL: madeUpRedirect, Scopes: scopes})
	if signs(p) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err == nil {
			r.conf = r.conf.WithKey(key, nil)
		}
	}
	return r
}

// signs reports whether a request of the provider's has an assertion that is signed with a key.
func signs(p endpoints.Provider) bool {
	for _, s := range []endpoints.AuthStyle{p.Style, p.Exchange, p.Refresh, p.Revoke, p.Introspect} {
		if s.Auth == endpoints.PrivateKeyJWT {
			return true
		}
	}
	return false
}

// token is what a connection would have stored.
func (r *rehearsal) token() *oauth2.Token {
	t := &oauth2.Token{AccessToken: "ACCESS_TOKEN", RefreshToken: "REFRESH_TOKEN", TokenType: "Bearer", Expiry: time.Now().Add(-time.Hour)}
	extra := make(map[string]any, len(r.vars))
	for name, value := range r.vars {
		extra[name] = value
	}
	return t.WithExtra(extra)
}

// requests returns those that would be sent, one for each step.
func (r *rehearsal) requests(ctx context.Context) ([]request, error) {
	consent, _, err := r.conf.Authorize(ctx, "STATE", madeUpVerifier, r.opts...)
	if err != nil {
		return nil, err
	}
	all := []request{{Step: "consent", Method: http.MethodGet, URL: consent}}
	steps := []struct {
		name string
		send func(context.Context) error
	}{
		{"exchange", func(ctx context.Context) error {
			_, err := r.conf.Exchange(ctx, "CODE", append(r.opts, oauth2.VerifierOption(madeUpVerifier))...)
			return err
		}},
		{"refresh", func(ctx context.Context) error {
			_, err := r.conf.TokenSource(ctx, r.token()).Token()
			return err
		}},
		{"revoke", func(ctx context.Context) error { return r.conf.Revoke(ctx, r.token()) }},
		{"introspect", func(ctx context.Context) error {
			_, err := r.conf.Introspect(ctx, r.token())
			return err
		}},
	}
	for _, step := range steps {
		var sent recorder
		err := step.send(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: &sent}))
		switch {
		case sent.last != nil:
			sent.last.Step = step.name
			all = append(all, *sent.last)
		case errors.Is(err, errors.ErrUnsupported):
			all = append(all, request{Step: step.name, Note: "the provider has no way to do it"})
		default:
			all = append(all, request{Step: step.name, Note: inCommandWords.Replace(fmt.Sprint(err))})
		}
	}
	return append(all, r.apiCall()), nil
}

func (r *rehearsal) apiCall() request {
	urls, err := r.conf.APIURLs(r.token())
	switch {
	case err != nil:
		return request{Step: "api", Note: inCommandWords.Replace(err.Error())}
	case len(urls) == 0:
		return request{Step: "api", Note: "there are no api_urls: tokens are sent nowhere"}
	}
	return request{Step: "api", Method: http.MethodGet, URL: urls[0], Header: r.conf.APIHeader(r.token())}
}

// showRequests prints what a definition would have sent.
func (a *app) showRequests(ctx context.Context, p endpoints.Provider, vars map[string]string, scopes []string) error {
	all, err := rehearse(p, vars, scopes).requests(ctx)
	if err != nil {
		return setup("%w", err)
	}
	if a.options.json {
		for _, r := range all {
			if err := json.NewEncoder(a.out).Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "No mistake was found in the definition of %s. With made-up values it sends:\n", printable(p.Name))
	for _, r := range all {
		r.write(&b)
	}
	_, err = io.WriteString(a.out, b.String())
	return err
}

func (r request) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s\n", r.Step)
	if r.Note != "" {
		fmt.Fprintf(b, "  (%s)\n", escaped(r.Note))
		return
	}
	fmt.Fprintf(b, "  %s %s\n", r.Method, escaped(r.URL))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		for _, value := range r.Header[name] {
			fmt.Fprintf(b, "  %s: %s\n", name, escaped(value))
		}
	}
	if r.Body != "" {
		fmt.Fprintf(b, "  %s\n", escaped(r.Body))
	}
}
