package pkce

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// The zero Session works. One that has a State is used as it is.
func TestSessionBegins(t *testing.T) {
	for name, tt := range map[string]struct {
		session    Session
		life, want time.Duration
	}{
		"zero":                   {Session{}, 0, 30 * time.Minute},
		"an expiry":              {Session{Connection: "acct-7"}, time.Minute, time.Minute},
		"embedded":               {Session{Embedded: true, Issuer: "https://p.example"}, 0, 30 * time.Minute},
		"a verifier used before": {Session{Verifier: "verifier-of-another-attempt"}, 0, 30 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, other, c := tt.session, tt.session, newStub()
				if tt.life != 0 {
					s.Expiry = time.Now().Add(tt.life)
				}
				want := s
				want.Expiry = time.Now().Add(tt.want)
				consentURL, err := s.Authorize(t.Context(), c)
				require.NoError(t, err)
				u, err := url.Parse(consentURL)
				require.NoError(t, err)
				assert.Equal(t, s.State, u.Query().Get("state"))
				assert.Equal(t, oauth2.S256ChallengeFromVerifier(s.Verifier), u.Query().Get("code_challenge"))
				_, err = other.Authorize(t.Context(), c)
				require.NoError(t, err)
				seen := map[string]bool{tt.session.Verifier: true}
				for _, secret := range []string{s.State, s.Verifier, other.State, other.Verifier} {
					raw, err := base64.RawURLEncoding.DecodeString(secret)
					require.NoError(t, err)
					assert.Len(t, raw, 32)
					assert.False(t, seen[secret], "repeated")
					seen[secret] = true
				}
				want.State, want.Verifier = s.State, s.Verifier
				assert.True(t, reflect.DeepEqual(want, s), "something else has changed")

				time.Sleep(time.Second)
				again, err := s.Authorize(t.Context(), c)
				require.NoError(t, err)
				assert.Equal(t, consentURL, again)
				assert.True(t, reflect.DeepEqual(want, s), "the attempt has changed")
				_, err = s.Exchange(t.Context(), c, url.Values{"state": {s.State}, "code": {"c"}, "iss": {s.Issuer}})
				require.NoError(t, err)
				assert.Equal(t, s.Verifier, c.calls[0].Get("code_verifier"))
			})
		})
	}
	for name, s := range map[string]Session{
		"a state":                   {State: "s"},
		"a state and an expiry":     {State: "s", Expiry: time.Now().Add(time.Hour)},
		"a state and a verifier":    {State: "s", Verifier: "v"},
		"an attempt that has ended": {State: "s", Verifier: "v", Expiry: time.Now().Add(-time.Hour)},
	} {
		before := s
		_, err := s.Authorize(t.Context(), newStub())
		require.NoError(t, err)
		s.Callback(t.Context(), newStub(), func(http.ResponseWriter, *http.Request, *Session, *oauth2.Token, error) {})
		assert.True(t, reflect.DeepEqual(before, s), name)
	}
}

// What can't be authorized doesn't begin.
func TestSessionDoesntBeginWithoutAConfig(t *testing.T) {
	s := new(Session)
	_, err := s.Authorize(t.Context(), nil)
	assert.ErrorIs(t, err, ErrMisconfigured)
	assert.True(t, reflect.DeepEqual(new(Session), s))
}

// As every callback of it is an error.
func TestNilSessionIsNotAuthorized(t *testing.T) {
	for _, c := range []Exchanger{newStub(), newShops()} {
		_, err := (*Session)(nil).Authorize(t.Context(), c, shop("tea.shops.example"))
		assert.ErrorIs(t, err, ErrMisconfigured)
		assert.EqualError(t, err, "pkce: the Session is nil")
	}
}

func TestSessionAuthorize(t *testing.T) {
	const (
		verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636, appendix B
		challenge = "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"
	)
	c := &oauth2.Config{
		ClientID:    "c",
		RedirectURL: "https://app.example/cb",
		Endpoint:    oauth2.Endpoint{AuthURL: "https://p.example/a", AuthStyle: oauth2.AuthStyleInParams},
	}
	nobody := &oauth2.Config{RedirectURL: "https://app.example/cb", Endpoint: c.Endpoint}
	queried := &oauth2.Config{ClientID: "c", RedirectURL: "https://app.example/cb", Endpoint: c.Endpoint}
	queried.Endpoint.AuthURL += "?x=1&y=2"
	probing := &oauth2.Config{ClientID: "c", Endpoint: oauth2.Endpoint{AuthURL: "https://p.example/a"}}
	anonymous := newShops()
	anonymous.ClientID = ""
	invalid := newStub()
	invalid.url = func(string) string { return "" }
	for name, tt := range map[string]struct {
		session Session
		config  Exchanger
		opts    []oauth2.AuthCodeOption
		want    string
	}{
		"PKCE": {
			Session{State: "st", Verifier: verifier}, c, nil,
			"https://p.example/a?client_id=c" + challenge + "&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=st",
		},
		"no verifier": {
			Session{State: "st"}, c, nil,
			"https://p.example/a?client_id=c&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=st",
		},
		"options": {
			Session{State: "st"}, c, []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("audience", "api")},
			"https://p.example/a?audience=api&client_id=c&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=st",
		},
		"an option doesn't replace the challenge": {
			Session{State: "st", Verifier: verifier}, c, []oauth2.AuthCodeOption{oauth2.S256ChallengeOption("another")},
			"https://p.example/a?client_id=c" + challenge + "&redirect_uri=https%3A%2F%2Fapp.example%2Fcb&response_type=code&state=st",
		},
		"embedded": {
			Session{State: "st", Embedded: true}, c, nil,
			"https://p.example/a?client_id=c&response_type=code&state=st",
		},
		"embedded, a query in the URL": {
			Session{State: "st", Embedded: true}, queried, nil,
			"https://p.example/a?x=1&y=2&client_id=c&response_type=code&state=st",
		},
		"no client id, but an option": {
			Session{State: "st", Embedded: true}, nobody, []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("client_id", "tenant")},
			"https://p.example/a?client_id=tenant&response_type=code&state=st",
		},
		"no client id":             {Session{State: "st"}, nobody, nil, ""},
		"no client id, Authorizer": {Session{State: "st"}, anonymous, []oauth2.AuthCodeOption{shop("tea.shops.example")}, ""},
		"invalid config":           {Session{State: "st"}, invalid, nil, ""},
		"invalid config, embedded": {Session{State: "st", Embedded: true}, invalid, nil, ""},
		"no config":                {Session{State: "st"}, nil, nil, ""},
		"style to be probed":       {Session{State: "st"}, probing, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.session.Authorize(t.Context(), tt.config, tt.opts...)
			assert.Equal(t, tt.want, got)
			if tt.want == "" {
				assert.ErrorIs(t, err, ErrMisconfigured)
			} else {
				assert.NoError(t, err)
			}
		})
	}

	t.Run("the caller's options are not written to", func(t *testing.T) {
		opts := make([]oauth2.AuthCodeOption, 1, 4)
		opts[0] = oauth2.AccessTypeOffline
		s := &Session{State: "st", Verifier: verifier, Embedded: true, Expiry: time.Now().Add(time.Hour)}
		_, err := s.Authorize(t.Context(), c, opts...)
		require.NoError(t, err)
		_, err = s.Exchange(t.Context(), newStub(), url.Values{"state": {"st"}, "code": {"code-1"}}, opts...)
		require.NoError(t, err)
		assert.Equal(t, []oauth2.AuthCodeOption{oauth2.AccessTypeOffline, nil, nil, nil}, opts[:4])
	})
}

// The checks of a callback, for those who don't use a Flow.
func TestSessionExchange(t *testing.T) {
	const state, verifier, code = "state-of-the-attempt", "verifier-of-the-attempt", "code-of-the-provider"
	good := func() *Session {
		return &Session{State: state, Verifier: verifier, Expiry: time.Now().Add(time.Hour)}
	}
	with := func(change func(*Session)) *Session {
		s := good()
		change(s)
		return s
	}
	issuer := with(func(s *Session) { s.Issuer = "https://p.example" })
	for name, tt := range map[string]struct {
		session  *Session
		callback string
		want     error
		text     string // of the error
		sent     string // to the exchange
	}{
		"good":         {good(), "state=" + state + "&code=" + code, nil, "", "client_id=&code=" + code + "&code_verifier=" + verifier + "&response_type=code"},
		"no verifier":  {with(func(s *Session) { s.Verifier = "" }), "state=" + state + "&code=" + code, nil, "", "client_id=&code=" + code + "&response_type=code"},
		"embedded":     {with(func(s *Session) { s.Embedded = true }), "state=" + state + "&code=" + code, nil, "", "client_id=&code=" + code + "&code_verifier=" + verifier + "&redirect_uri=&response_type=code"},
		"others twice": {good(), "state=" + state + "&code=" + code + "&scope=a&scope=b", nil, "", "client_id=&code=" + code + "&code_verifier=" + verifier + "&response_type=code"},

		"no state":                    {good(), "code=" + code, ErrState, "has no state", ""},
		"empty state":                 {good(), "state=&code=" + code, ErrState, "has no state", ""},
		"state twice":                 {good(), "state=" + state + "&state=" + state + "&code=" + code, ErrState, "more than one state", ""},
		"state and an empty one":      {good(), "state=" + state + "&state=&code=" + code, ErrState, "more than one state", ""},
		"wrong state":                 {good(), "state=state-of-the-attacke&code=" + code, ErrState, "another attempt", ""},
		"shorter state":               {good(), "state=state-of&code=" + code, ErrState, "another attempt", ""},
		"longer state":                {good(), "state=" + state + "x&code=" + code, ErrState, "another attempt", ""},
		"expired":                     {with(func(s *Session) { s.Expiry = time.Now() }), "state=" + state + "&code=" + code, ErrState, "expired", ""},
		"no expiry":                   {with(func(s *Session) { s.Expiry = time.Time{} }), "state=" + state + "&code=" + code, ErrState, "expired", ""},
		"no session":                  {nil, "state=" + state + "&code=" + code, ErrState, "another attempt", ""},
		"zero session":                {&Session{}, "state=" + state + "&code=" + code, ErrState, "hasn't begun", ""},
		"state is checked first":      {good(), "state=x&error=access_denied", ErrState, "another attempt", ""},
		"state before the repeated":   {good(), "state=x&code=a&code=b", ErrState, "another attempt", ""},
		"expiry before the repeated":  {with(func(s *Session) { s.Expiry = time.Now() }), "state=" + state + "&code=a&code=b", ErrState, "expired", ""},
		"nothing":                     {good(), "state=" + state, ErrStartAgain, "neither a code nor an error", ""},
		"empty code":                  {good(), "state=" + state + "&code=", ErrStartAgain, "neither a code nor an error", ""},
		"empty code and error":        {good(), "state=" + state + "&code=&error=", ErrStartAgain, "neither a code nor an error", ""},
		"code twice":                  {good(), "state=" + state + "&code=" + code + "&code=b", ErrStartAgain, "repeats the parameter code", ""},
		"error twice":                 {good(), "state=" + state + "&error=access_denied&error=access_denied", ErrStartAgain, "repeats the parameter error", ""},
		"error_description twice":     {good(), "state=" + state + "&error=a&error_description=a&error_description=b", ErrStartAgain, "repeats the parameter error_description", ""},
		"error_uri twice":             {good(), "state=" + state + "&error=a&error_uri=a&error_uri=b", ErrStartAgain, "repeats the parameter error_uri", ""},
		"denied":                      {good(), "state=" + state + "&error=access_denied", ErrDenied, `"access_denied"`, ""},
		"an error wins over the code": {good(), "state=" + state + "&error=access_denied&code=" + code, ErrDenied, `"access_denied"`, ""},

		"iss not expected":      {good(), "state=" + state + "&code=" + code + "&iss=https://p.example", nil, "", "client_id=&code=" + code + "&code_verifier=" + verifier + "&response_type=code"},
		"iss":                   {issuer, "state=" + state + "&code=" + code + "&iss=https://p.example", nil, "", "client_id=&code=" + code + "&code_verifier=" + verifier + "&response_type=code"},
		"iss missing":           {issuer, "state=" + state + "&code=" + code, ErrMisconfigured, "doesn't name its issuer", ""},
		"iss empty":             {issuer, "state=" + state + "&code=" + code + "&iss=", ErrMisconfigured, "doesn't name its issuer", ""},
		"iss of another":        {issuer, "state=" + state + "&code=" + code + "&iss=https://q.example", ErrMisconfigured, "another issuer", ""},
		"iss almost equal":      {issuer, "state=" + state + "&code=" + code + "&iss=https://p.example/", ErrMisconfigured, "another issuer", ""},
		"iss twice":             {issuer, "state=" + state + "&code=" + code + "&iss=https://p.example&iss=https://p.example", ErrStartAgain, "repeats the parameter iss", ""},
		"repeated before iss":   {issuer, "state=" + state + "&code=a&code=b&iss=https://q.example", ErrStartAgain, "repeats the parameter code", ""},
		"iss before the error":  {issuer, "state=" + state + "&error=access_denied&iss=https://q.example", ErrMisconfigured, "another issuer", ""},
		"iss, and then denied":  {issuer, "state=" + state + "&error=access_denied&iss=https://p.example", ErrDenied, `"access_denied"`, ""},
		"iss missing in denial": {issuer, "state=" + state + "&error=access_denied", ErrMisconfigured, "doesn't name its issuer", ""},
	} {
		t.Run(name, func(t *testing.T) {
			callback, err := url.ParseQuery(tt.callback)
			require.NoError(t, err)
			c := newStub()
			token, err := tt.session.Exchange(t.Context(), c, callback)
			if tt.want != nil {
				assert.Nil(t, token)
				assert.ErrorIs(t, err, tt.want)
				assert.Equal(t, tt.want == ErrState, errors.Is(err, ErrState))
				assert.ErrorContains(t, err, tt.text)
				checkError(t, err, state, verifier, code)
				assert.Empty(t, c.calls, "a refused callback was exchanged")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, accessToken, token.AccessToken)
			require.Len(t, c.calls, 1)
			assert.Equal(t, tt.sent, c.calls[0].Encode())
		})
	}
	t.Run("no Config", func(t *testing.T) {
		_, err := good().Exchange(t.Context(), nil, url.Values{"state": {state}, "code": {code}})
		assert.ErrorIs(t, err, ErrMisconfigured)
		checkError(t, err, state, verifier, code)
	})
	t.Run("no token", func(t *testing.T) {
		c := newStub()
		c.token = nil
		_, err := good().Exchange(t.Context(), c, url.Values{"state": {state}, "code": {code}})
		assert.ErrorIs(t, err, ErrStartAgain)
		checkError(t, err, state, verifier, code)
	})
	t.Run("options", func(t *testing.T) {
		c := newStub()
		_, err := good().Exchange(t.Context(), c, url.Values{"state": {state}, "code": {code}},
			oauth2.SetAuthURLParam("x-chart-async", "true"), oauth2.VerifierOption("another"))
		require.NoError(t, err)
		assert.Equal(t, "true", c.calls[0].Get("x-chart-async"))
		assert.Equal(t, verifier, c.calls[0].Get("code_verifier"), "an option replaced the verifier")
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := good().Exchange(ctx, newStub(), url.Values{"state": {state}, "code": {code}})
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, ErrStartAgain)
		checkError(t, err, state, verifier, code)
	})
}

func TestLesson18StateComparedWhenEmpty(t *testing.T) {
	// An attempt without a state accepts none, and not a callback without one either.
	s := &Session{Expiry: time.Now().Add(time.Hour)}
	for _, callback := range []url.Values{
		{"code": {"c"}},
		{"code": {"c"}, "state": {}},
		{"code": {"c"}, "state": {""}},
		{"code": {"c"}, "state": {"x"}},
	} {
		c := newStub()
		_, err := s.Exchange(t.Context(), c, callback)
		assert.ErrorIs(t, err, ErrState)
		assert.Empty(t, c.calls)
	}
}

func TestSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Session{Expiry: time.Now().Add(time.Minute)}
		s.begin()
		callback := url.Values{"state": {s.State}, "code": {"c"}}
		time.Sleep(time.Minute - 1)
		_, err := s.Exchange(t.Context(), newStub(), callback)
		assert.NoError(t, err)
		time.Sleep(time.Nanosecond)
		_, err = s.Exchange(t.Context(), newStub(), callback)
		assert.ErrorIs(t, err, ErrState)
	})
}

func TestSessionRedacts(t *testing.T) {
	s := &Session{
		Connection: "acct-7", State: "secret-state", Verifier: "secret-verifier", URL: "https://p.example/?state=secret-state",
		Expiry: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	const want = `pkce.Session(for "acct-7" until 2026-01-02T03:04:05Z, secrets redacted)`
	type holder struct {
		Session *Session
		Value   Session
	}
	type hider struct{ session *Session }
	shown := map[string]string{}
	for name, v := range map[string]any{
		"pointer": s,
		"value":   *s,
		"holder":  holder{s, *s},
		"hider":   hider{s},
		"slice":   []any{s, *s, []*Session{s}},
		"map":     map[string]*Session{"s": s},
	} {
		verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"}
		if name == "hider" {
			verbs = verbs[:3] // as documented; go vet rejects %s and %q there
		}
		for _, verb := range verbs {
			shown[name+" "+verb] = fmt.Sprintf(verb, v)
		}
		if data, err := json.Marshal(v); assert.NoError(t, err) {
			shown[name+" json"] = string(data)
		}
		var text, lines bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&lines, nil)).Info("m", "v", v)
		shown[name+" slog text"], shown[name+" slog json"] = text.String(), lines.String()
	}
	if data, err := xml.Marshal(s); assert.NoError(t, err) {
		shown["xml"] = string(data)
	}
	for name, text := range shown {
		assert.False(t, strings.Contains(text, "secret-"), "%s shows %s", name, text)
		assert.False(t, strings.Contains(text, fmt.Sprintf("%x", "secret-")), "%s shows %s", name, text)
	}
	assert.Equal(t, want, shown["pointer %v"])
	assert.Equal(t, want, shown["value %#v"])
	assert.Contains(t, shown["pointer slog text"], "v.connection=acct-7 v.expiry=2026-01-02T03:04:05.000Z v.embedded=false")

	var none *Session
	assert.Equal(t, "<nil>", fmt.Sprint(none))
	var back Session
	data, err := json.Marshal(s)
	require.NoError(t, err)
	assert.Error(t, json.Unmarshal(data, &back), "a Session came back from JSON without its secrets")
}
