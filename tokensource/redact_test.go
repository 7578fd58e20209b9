package tokensource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// Verbs for structs, and those for strings, with which fmt follows a pointer.
var (
	usualVerbs = []string{"%v", "%+v", "%#v"}
	allVerbs   = append([]string{"%s", "%q", "%x"}, usualVerbs...)
)

// printed returns v in all the ways in which it may get into a log.
func printed(v any, verbs []string) map[string]string {
	out := make(map[string]string)
	for _, verb := range verbs {
		out["fmt "+verb] = fmt.Sprintf(verb, v)
	}
	var text, js bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
	slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v)
	out["slog text"], out["slog JSON"] = text.String(), js.String()
	data, err := json.Marshal(v)
	out["JSON"] = fmt.Sprintf("%s %v", data, err)
	return out
}

// assertRedacted checks that none of what is secret in the tests of this package
// stands in any printed form of v.
func assertRedacted(t assert.TestingT, v any, what string, verbs ...string) {
	if verbs == nil {
		verbs = allVerbs
	}
	for how, text := range printed(v, verbs) {
		for _, secret := range []string{"access-", "refresh-", "client-secret", "a body with a secret", "Bearer ", "6163636573732d", "726566726573682d"} {
			assert.NotContains(t, text, secret, "%s, %s", what, how)
		}
	}
}

func TestNothingThatHoldsATokenPrintsIt(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		// Printed as a part of the application's own types, too.
		type application struct {
			Manager *Manager
			private *Manager
			Source  *Source
			source  *Source
			client  http.Client
		}
		check := func(when string) {
			app := &application{m, m, m.Source("k"), m.Source("k"), *m.Client("k")}
			for what, v := range map[string]any{
				"Manager": m, "Source": m.Source("k"), "client": m.Client("k"), "transport": m.Client("k").Transport,
				"status":     f.status(m),
				"in a slice": []any{m, m.Source("k")}, "in a map": map[string]*Source{"s": m.Source("k")},
			} {
				assertRedacted(f, v, what+", "+when)
			}
			assertRedacted(f, app, "application, "+when, usualVerbs...)
			assertRedacted(f, *app, "application by value, "+when, usualVerbs...)
			for _, e := range f.events {
				assertRedacted(f, e, "event "+string(e.Kind))
				assertRedacted(f, &e, "event "+string(e.Kind))
			}
		}
		check("connected")
		time.Sleep(time.Hour)
		f.unsavedFrom("put")
		f.access(m)
		check("unsaved")
		f.raw.mended()
		require.NoError(f, m.Flush(f.Context()))
		f.revoke()
		time.Sleep(time.Hour)
		_, err := m.Source("k").Token()
		require.Error(f, err)
		check("revoked")
	})
}

func TestALogSaysWhichManagerItIs(t *testing.T) {
	m := &Manager{Config: &oauth2.Config{ClientID: "app", ClientSecret: "client-secret", Endpoint: oauth2.Endpoint{TokenURL: testIssuer, AuthStyle: oauth2.AuthStyleInHeader}}, Store: newMemory()}
	for how, text := range printed(m, usualVerbs) {
		if how != "JSON" {
			assert.Contains(t, strings.ReplaceAll(text, `\`, ""), `client "app" at `+testIssuer, how)
		}
	}
	own := &Manager{Config: TwoLegged(new(clientcredentials.Config)), Registration: Registration{Issuer: testIssuer, ClientID: "app"}, Store: newMemory()}
	assert.Contains(t, own.String(), `client "app" at `+testIssuer+" (two-legged)")
	for _, m := range []*Manager{{}, {Config: (*oauth2.Config)(nil)}, {Config: new(oauth2.Config)}} {
		assert.Regexp(t, `^tokensource.Manager\((<nil>|\*oauth2.Config), storage.Encrypted\(\)\)$`, m.String())
	}
}

func TestALogSaysWhatHappened(t *testing.T) {
	err := newError("tea", failure{Reason: ReasonUnavailable}, errors.New("status 503"))
	day := time.Date(2026, 11, 26, 9, 30, 0, 0, time.UTC)
	for want, v := range map[string]slog.LogValuer{
		"v.kind=failed v.connection=tea v.reason=unavailable v.error=":         Event{Kind: EventFailed, Connection: "tea", Reason: ReasonUnavailable, Err: err},
		"v.kind=saved v.connection=tea v.expiry=2026-11-26T09:30:00.000Z\n":    Event{Kind: EventSaved, Connection: "tea", Expiry: day},
		"v.connection=tea v.state=healthy v.login=2026-11-26T09:30:00.000Z v.": Status{Connection: "tea", State: StateHealthy, Login: day},
		"v.state=failing v.failures=2 v.":                                      Status{State: StateFailing, Failures: 2},
	} {
		var text, js bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&js, nil)).Info("m", "v", v)
		assert.Contains(t, text.String(), want)
		assert.NotContains(t, text.String()+js.String(), "0001-01-01")
		if e, ok := v.(Event); ok && e.Err != nil {
			assert.Contains(t, js.String(), strings.ReplaceAll(e.Err.Error(), `"`, `\"`))
		}
	}
}

func TestManagerHeldByValueDoesNotPrintTokens(t *testing.T) {
	var app struct {
		Name   string
		Tokens Manager // as an autocert.Manager would be
	}
	app.Tokens.Config = &oauth2.Config{ClientSecret: "client-secret", Endpoint: oauth2.Endpoint{TokenURL: testIssuer, AuthStyle: oauth2.AuthStyleInHeader}}
	app.Tokens.Store = newMemory()
	tok := &oauth2.Token{AccessToken: "access-1", RefreshToken: "refresh-1"}
	require.NoError(t, app.Tokens.Save(t.Context(), "k", tok))
	s := app.Tokens.Source("k")
	assertRedacted(t, s, "its source")
	assertRedacted(t, &app, "an application", usualVerbs...)
}

func TestNoErrorPrintsATokenOrAnAnswer(t *testing.T) {
	for name, cause := range transient {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			f.fault = func() error { return cause }
			time.Sleep(time.Hour)
			_, err := m.Source("k").Token()
			require.Error(f, err)
			assertRedacted(f, err, name)
			assert.NotContains(f, err.Error(), "secret")
			_, err = f.process().Source("k").Token()
			assertRedacted(f, err, name+", elsewhere")
		})
	}
	onEvery(t, func(f *fixture) {
		m, _ := f.revocable(func(context.Context) error { return errors.New("no") })
		assertRedacted(f, m.Disconnect(f.Context(), "k"), "revocation")
		withAPI(m)
		_, err := m.Client("k").Get("https://evil.example.com/")
		assertRedacted(f, err, "other origin")
		f.raw.down()
		assertRedacted(f, m.Save(f.Context(), "k", f.login()), "Save")
		_, err = m.Status(f.Context(), "k")
		assertRedacted(f, err, "Status")
		f.raw.mended()
		f.revoke()
		time.Sleep(time.Hour)
		_, err = m.Source("k").Token()
		require.ErrorIs(f, err, ErrLoginRequired)
		assertRedacted(f, err, "login required")
		_, err = m.Client("k").Get(apiURL)
		require.ErrorIs(f, err, ErrLoginRequired)
		assertRedacted(f, err, "login required, of a client")
	})
}

// The record itself is never handed out, but a debugging line would be enough.
func TestStoredBytesHoldNoToken(t *testing.T) {
	onEvery(t, func(f *fixture) {
		m := f.connected()
		time.Sleep(time.Hour)
		f.access(m)
		sealed, _, err := f.raw.Store.Get(f.Context(), "k")
		require.NoError(f, err)
		for _, secret := range []string{"access-", "refresh-", "serial"} {
			assert.NotContains(f, string(sealed), secret)
		}
	})
}
