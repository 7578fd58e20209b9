package endpoints_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// The verifier and its challenge are those of RFC 7636, appendix B.
const goldenVerifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

// TestGolden takes each definition through the documented requests and answers of
// its provider, as they stand in its golden file.
func TestGolden(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(endpoints.Definitions)) {
		t.Run(name, func(t *testing.T) {
			p := endpoints.Definitions[name]
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(goldenFile(name))
			if err != nil {
				t.Fatal(err)
			}
			walks, err := goldenParse(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range walks {
				synctest.Test(t, func(t *testing.T) { goldenRun(t, p, w) })
			}
		})
	}
}

// golden is one walk on its way.
type golden struct {
	*testing.T
	provider endpoints.Provider
	conf     *endpoints.Config
	walk     goldenWalk
	token    *oauth2.Token // that of the exchange
	code     string        // of the callback
	options  []oauth2.AuthCodeOption
}

func goldenRun(t *testing.T, p endpoints.Provider, w goldenWalk) {
	g := &golden{T: t, provider: p, walk: w}
	for _, step := range []func(){g.consent, g.callbacks, g.exchange, g.refresh, g.revoke, g.introspect, g.api} {
		step()
	}
}

// need returns a section that has to be there.
func (g *golden) need(name string) goldenSection {
	g.Helper()
	s, ok := g.walk.one(name)
	if !ok {
		g.Fatalf("%s: there is no section %q after it", g.walk[0], name)
	}
	return s
}

// consent compares the URL of the consent page.
func (g *golden) consent() {
	s := g.need("consent")
	c := oauth2.Config{ClientID: "client-id", ClientSecret: "client-secret", RedirectURL: "https://app.example/callback"}
	var opts []oauth2.AuthCodeOption
	lines := s.lines()
	for _, line := range lines[:len(lines)-1] {
		switch name, value := goldenSetting(line); name {
		case "scopes":
			c.Scopes = strings.Fields(value)
		case "option":
			name, value, _ := strings.Cut(value, "=")
			opts = append(opts, oauth2.SetAuthURLParam(name, value))
		default:
			g.Fatalf("%s: %q isn't a setting", s, name)
		}
	}
	g.conf = g.provider.Config(c)
	if slices.Contains([]endpoints.ClientAuth{g.provider.Style.Auth, g.provider.Revoke.Auth}, endpoints.PrivateKeyJWT) {
		g.conf = g.conf.WithKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)), nil)
	}
	got, again, err := g.conf.Authorize(g.Context(), "state", goldenVerifier, opts...)
	if err != nil {
		g.Fatalf("%s: %v", s, err)
	}
	if want := lines[len(lines)-1]; goldenQuery(got) != want {
		g.Errorf("%s:\n got %s\nwant %s", s, goldenQuery(got), want)
	}
	g.giveAgain(again)
}

func (g *golden) giveAgain(again map[string]string) {
	for name, value := range again {
		g.options = append(g.options, oauth2.SetAuthURLParam(name, value))
	}
}

// goldenQuery sorts the members of a URL's query, or of the query in its fragment.
func goldenQuery(u string) string {
	base, fragment, _ := strings.Cut(u, "#")
	base, query, hasQuery := strings.Cut(base, "?")
	if hasQuery {
		base += "?" + strings.Join(goldenPieces(query), "&")
	}
	if fragment == "" {
		return base
	}
	if route, query, found := strings.Cut(fragment, "?"); found {
		fragment = route + "?" + strings.Join(goldenPieces(query), "&")
	}
	return base + "#" + fragment
}

// callbacks reads the callback with the code, and those without.
func (g *golden) callbacks() {
	for _, s := range g.walk.all("callback") {
		query, err := url.ParseQuery(strings.Join(s.lines(), "&"))
		if err != nil {
			g.Fatalf("%s: %v", s, err)
		}
		rfc, again := g.conf.ReadCallback(query)
		switch {
		case rfc.Get("state") != "state":
			g.Errorf("%s: the state is %q", s, rfc.Get("state"))
		case s.argument == "" && (rfc.Get("code") == "" || rfc.Has("error")):
			g.Errorf("%s: there is no code, or an error: %q", s, rfc)
		case s.argument == "":
			g.code = rfc.Get("code")
			g.giveAgain(again)
		case rfc.Has("code"):
			g.Errorf("%s: there is a code", s)
		case goldenCallbackKind(rfc) != endpoints.ErrorKind(s.argument):
			g.Errorf("%s: means %q", s, goldenCallbackKind(rfc))
		}
	}
	g.need("callback")
}

// exchange compares the exchange, the token and what errors mean.
func (g *golden) exchange() {
	request, answer := g.need("exchange"), g.need("exchange answer")
	exchange := func(ctx context.Context) (*oauth2.Token, error) {
		opts := append(slices.Clone(g.options), oauth2.VerifierOption(goldenVerifier))
		return g.conf.Exchange(ctx, g.code, opts...)
	}
	token, err := exchange(g.answering(request, answer))
	if err != nil {
		g.Fatalf("%s: %v", answer, err)
	}
	g.token = token
	g.compareToken(g.need("token"), token)
	for _, s := range g.walk.all("exchange error") {
		_, err := exchange(g.answering(request, s))
		g.compareKind(s, err)
	}
}

// refresh compares the refresh, the new token and what errors mean.
func (g *golden) refresh() {
	if _, none := g.walk.one("no refresh"); none || g.token.RefreshToken == "" {
		if s, ok := g.walk.one("refresh"); ok {
			g.Errorf("%s: there is no refresh token", s)
		}
		return
	}
	request, answer := g.need("refresh"), g.need("refresh answer")
	refresh := func(ctx context.Context) (*oauth2.Token, error) {
		expired := *g.token
		expired.Expiry = time.Now().Add(-time.Hour)
		return g.conf.TokenSource(ctx, &expired).Token()
	}
	token, err := refresh(g.answering(request, answer))
	if err != nil {
		g.Fatalf("%s: %v", answer, err)
	}
	g.compareToken(g.need("refreshed token"), token)
	for _, s := range g.walk.all("refresh error") {
		_, err := refresh(g.answering(request, s))
		g.compareKind(s, err)
	}
}

// revoke compares the revocation.
func (g *golden) revoke() {
	if g.provider.RevokeURL == "" {
		if s, ok := g.walk.one("revoke"); ok {
			g.Errorf("%s: there is no RevokeURL", s)
		}
		return
	}
	request := g.need("revoke")
	g.need("revoke answer")
	for _, s := range g.walk.all("revoke answer") {
		if err := g.conf.Revoke(g.answering(request, s), g.token); err != nil {
			g.Errorf("%s: %v", s, err)
		}
	}
	for _, s := range g.walk.all("revoke error") {
		g.compareKind(s, g.conf.Revoke(g.answering(request, s), g.token))
	}
}

// introspect compares the introspection.
func (g *golden) introspect() {
	if g.provider.IntrospectURL == "" {
		if s, ok := g.walk.one("introspect"); ok {
			g.Errorf("%s: there is no IntrospectURL", s)
		}
		return
	}
	request, answer := g.need("introspect"), g.need("introspect answer")
	if err := goldenIntrospect(g.answering(request, answer), g.conf, g.token); err != nil {
		g.Errorf("%s: %v", answer, err)
	}
}

// api compares where the token is sent, in which headers, and which answers refuse it.
func (g *golden) api() {
	s := g.need("api")
	got, err := g.conf.APIURLs(g.token)
	if err != nil {
		g.Errorf("%s: %v", s, err)
	}
	header := g.conf.APIHeader(g.token)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		got = append(got, name+": "+strings.Join(header[name], ", "))
	}
	want := s.lines()
	for i, line := range want {
		if !strings.HasPrefix(line, "https://") {
			name, value := goldenSetting(line)
			want[i] = http.CanonicalHeaderKey(name) + ": " + value
		}
	}
	if !slices.Equal(got, want) {
		g.Errorf("%s:\n got %s\nwant %s", s, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	for _, s := range append(g.walk.all("api refused"), g.walk.all("api not refused")...) {
		r, err := http.NewRequestWithContext(g.Context(), http.MethodGet, "https://api.example", http.NoBody)
		if err != nil {
			g.Fatal(err)
		}
		resp, err := s.answer(r)
		if err != nil {
			g.Fatal(err)
		}
		if want := s.name == "api refused"; goldenRefused(g.conf, resp) != want {
			g.Errorf("%s: is wrong, or the engine", s)
		}
	}
}

// answering returns a context whose client compares the one request that it is given
// and answers with what a section has.
func (g *golden) answering(request, answer goldenSection) context.Context {
	g.Helper()
	want, err := request.request()
	if err != nil {
		g.Fatal(err)
	}
	count := 0
	client := &http.Client{Transport: goldenTransport(func(r *http.Request) (*http.Response, error) {
		if count++; count > 1 {
			return nil, errors.New("a second request")
		}
		got, err := goldenSent(r)
		if err != nil {
			return nil, err
		}
		if difference := want.difference(got); difference != "" {
			g.Errorf("%s:\n%s", request, difference)
		}
		return answer.answer(r)
	})}
	return context.WithValue(g.Context(), oauth2.HTTPClient, client)
}

type goldenTransport func(*http.Request) (*http.Response, error)

func (f goldenTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// difference tells in what a request differs from the one that is wanted.
func (want goldenRequest) difference(got goldenRequest) string {
	if want.header["Accept"] == "" {
		delete(got.header, "Accept")
	}
	same := func(want, got string) bool {
		name, value, found := strings.Cut(want, "=")
		return want == got || found && value == "*" && strings.HasPrefix(got, name+"=") && len(got) > len(name)+1
	}
	if want.line == got.line && maps.Equal(want.header, got.header) &&
		slices.EqualFunc(want.query, got.query, same) && slices.EqualFunc(want.body, got.body, same) {
		return ""
	}
	return fmt.Sprintf(" got %s\nwant %s", got, want)
}

func (r goldenRequest) String() string {
	return fmt.Sprintf("%s ?%s\n     %q\n     %s", r.line, strings.Join(r.query, "&"), r.header, strings.Join(r.body, "&"))
}

// compareKind compares what an error means.
func (g *golden) compareKind(s goldenSection, err error) {
	g.Helper()
	if kind := goldenKind(err); err == nil || kind != endpoints.ErrorKind(s.argument) {
		g.Errorf("%s: means %q: %v", s, kind, err)
	}
}

// compareToken compares a token with the lines of a section. The time is that of the
// bubble, so that lifetimes are exact.
func (g *golden) compareToken(s goldenSection, t *oauth2.Token) {
	g.Helper()
	want := map[string]string{"refresh_token": "", "token_type": ""}
	for _, line := range s.lines() {
		name, value := goldenSetting(line)
		want[name] = value
	}
	if want["lifetime"] == "" && want["expires_at"] == "" && !t.Expiry.IsZero() {
		g.Errorf("%s: expires at %s", s, t.Expiry)
	}
	for name, value := range want {
		var got string
		switch name {
		case "access_token":
			got = t.AccessToken
		case "refresh_token":
			got = t.RefreshToken
		case "token_type":
			got = t.TokenType
		case "lifetime":
			got = time.Until(t.Expiry).String()
		case "expires_at":
			got = t.Expiry.UTC().Format(time.RFC3339)
		default:
			got = goldenText(goldenExtra(t, name))
		}
		if got != value {
			g.Errorf("%s: %s is %q, not %q", s, name, got, value)
		}
	}
}

// goldenExtra finds what is kept beside a token, by its path.
func goldenExtra(t *oauth2.Token, path string) any {
	if v := t.Extra(path); v != nil {
		return v
	}
	head, rest, _ := strings.Cut(path, ".")
	v := t.Extra(head)
	for rest != "" {
		head, rest, _ = strings.Cut(rest, ".")
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[head]
	}
	return v
}

// goldenText returns text as it is, and any other value as JSON has it.
func goldenText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
