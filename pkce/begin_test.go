package pkce

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

func TestBegin(t *testing.T) {
	flow := &Flow{Config: newStub(), Sealer: newSealer(t)}
	w := httptest.NewRecorder()
	s, err := flow.Begin(w, httptest.NewRequest("GET", "/connect", nil), "k", oauth2.SetAuthURLParam("audience", "api"))
	require.NoError(t, err)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "k", s.Connection)
	again, err := s.Authorize(t.Context(), flow.Config, oauth2.SetAuthURLParam("audience", "api"))
	require.NoError(t, err)
	assert.Equal(t, again, s.URL)
	assert.Contains(t, s.URL, "audience=api")
	assert.Contains(t, s.URL, "code_challenge="+oauth2.S256ChallengeFromVerifier(s.Verifier))
	for _, values := range w.Header() {
		all := strings.Join(values, " ")
		assert.False(t, strings.Contains(all, s.State) || strings.Contains(all, s.Verifier), "a header shows a secret")
	}
}

func TestBeginErrors(t *testing.T) {
	keys := newSealer(t)
	config := func(u string) Exchanger {
		c := newStub()
		c.url = func(string) string { return u }
		return c
	}
	picky := newStub()
	picky.url = func(state string) string {
		if state == "state" {
			return "https://p.example/authorize"
		}
		return ""
	}
	for name, tt := range map[string]struct {
		flow *Flow
		key  string
		want error
		text string
	}{
		"no Config":         {&Flow{Sealer: keys}, "", ErrMisconfigured, "Flow.Config is missing"},
		"no Sealer":         {&Flow{Config: newStub()}, "", ErrMisconfigured, "Flow.Sealer is missing"},
		"invalid Config":    {&Flow{Config: config(""), Sealer: keys}, "", ErrMisconfigured, "the Config gives no URL"},
		"unreadable URL":    {&Flow{Config: config("https://p.example/%zz"), Sealer: keys}, "", ErrMisconfigured, "the Config gives no URL"},
		"relative URL":      {&Flow{Config: config("/authorize"), Sealer: keys}, "", ErrMisconfigured, "the Config gives no URL"},
		"invalid option":    {&Flow{Config: picky, Sealer: keys}, "", ErrMisconfigured, "the Config gives no URL"},
		"Sealer trouble":    {&Flow{Config: newStub(), Sealer: brokenSealer{}}, "", ErrStartAgain, "can't seal the attempt's cookie: kms: unreachable"},
		"name not UTF-8":    {&Flow{Config: newStub(), Sealer: keys}, "\xff", ErrMisconfigured, "isn't valid UTF-8"},
		"name too long":     {&Flow{Config: newStub(), Sealer: keys}, strings.Repeat("k", 4000), ErrMisconfigured, "too long"},
		"name not too long": {&Flow{Config: newStub(), Sealer: keys}, strings.Repeat("k", 2500), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, begin := range []func(http.ResponseWriter, *http.Request, string, ...oauth2.AuthCodeOption) (*Session, error){
				tt.flow.Begin, tt.flow.BeginEmbedded,
			} {
				w := httptest.NewRecorder()
				s, err := begin(w, httptest.NewRequest("GET", "/", nil), tt.key)
				if tt.want == nil {
					require.NoError(t, err)
					continue
				}
				assert.Nil(t, s)
				assert.Empty(t, w.Header())
				assert.ErrorIs(t, err, tt.want)
				assert.ErrorContains(t, err, tt.text)
				checkError(t, err)
			}

			// The same at the callback.
			_, _, err := tt.flow.call(t, httptest.NewRequest("GET", "/callback?state=x&code=y", nil))
			assert.Error(t, err)
			if strings.HasPrefix(tt.text, "Flow.") && name != "invalid option" {
				assert.ErrorIs(t, err, ErrMisconfigured)
				assert.ErrorContains(t, err, tt.text)
			}
		})
	}
}
