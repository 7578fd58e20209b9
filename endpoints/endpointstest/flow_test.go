package endpointstest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
	"github.com/oauth2keep/oauth2keep/internal/tokenerror"
)

// way is one of the two ways to use a provider.
type way struct {
	name        string
	authCodeURL func(p endpoints.Provider, c oauth2.Config, scopes []string, opts ...oauth2.AuthCodeOption) string
	exchange    func(ctx context.Context, p endpoints.Provider, c oauth2.Config, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error)
	source      func(ctx context.Context, p endpoints.Provider, c oauth2.Config, t *oauth2.Token) oauth2.TokenSource
}

var ways = []way{
	{
		"config",
		func(p endpoints.Provider, c oauth2.Config, scopes []string, opts ...oauth2.AuthCodeOption) string {
			c.Scopes = scopes
			return p.Config(c).AuthCodeURL("st", opts...)
		},
		func(ctx context.Context, p endpoints.Provider, c oauth2.Config, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
			return p.Config(c).Exchange(ctx, code, opts...)
		},
		func(ctx context.Context, p endpoints.Provider, c oauth2.Config, t *oauth2.Token) oauth2.TokenSource {
			return p.Config(c).TokenSource(ctx, t)
		},
	},
	{
		"context",
		func(p endpoints.Provider, c oauth2.Config, scopes []string, opts ...oauth2.AuthCodeOption) string {
			c.Scopes = scopes
			return p.AuthCodeURL(c.AuthCodeURL("st", opts...))
		},
		func(ctx context.Context, p endpoints.Provider, c oauth2.Config, code string, opts ...oauth2.AuthCodeOption) (*oauth2.Token, error) {
			return c.Exchange(p.Context(ctx), code, opts...)
		},
		func(ctx context.Context, p endpoints.Provider, c oauth2.Config, t *oauth2.Token) oauth2.TokenSource {
			return c.TokenSource(p.Context(ctx), t)
		},
	},
}

// TestFlows goes the whole way with package endpoints: consent page, exchange, API,
// refresh, in the redirect flow and the embedded flow.
func TestFlows(t *testing.T) {
	for _, w := range ways {
		for name, p := range all {
			for _, redirect := range []string{callback, ""} {
				if redirect == "" && p.Name == "TaxRock" {
					continue
				}
				t.Run(w.name+"/"+name+"/redirect="+redirect, func(t *testing.T) {
					s := endpointstest.New(t, p)
					here := s.Provider(p)
					c := s.Config(p, redirect)
					ctx := context.WithValue(t.Context(), oauth2.HTTPClient, browser(t))
					var scopes []string
					if p.Name == "Finch" {
						scopes = []string{"company", "directory"}
					}
					var begin, finish []oauth2.AuthCodeOption
					if p.Name == "TaxRock" {
						v := oauth2.GenerateVerifier()
						begin, finish = []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(v)}, []oauth2.AuthCodeOption{oauth2.VerifierOption(v)}
					}
					u, err := endpointstest.Approve(ctx, browser(t), w.authCodeURL(here, c, scopes, begin...))
					require.NoError(t, err)
					assert.Equal(t, "st", u.Query().Get("state"))
					token, err := w.exchange(ctx, here, c, u.Query().Get("code"), finish...)
					require.NoError(t, err)
					require.Equal(t, p.Name == "TaxRock", token.RefreshToken != "")
					assert.Equal(t, 200, get(t, s, p, apiPath[p.Name], token.AccessToken).status)

					_, err = w.exchange(ctx, here, c, u.Query().Get("code"), finish...)
					assert.Equal(t, endpoints.KindCodeRejected, endpoints.KindOf(err), "%v", err)

					if p.Name == "TaxRock" {
						s.Advance(time.Hour)
						assert.Equal(t, 401, get(t, s, p, apiPath[p.Name], token.AccessToken).status)
						old := *token
						old.Expiry = time.Unix(1, 0)
						token, err = w.source(ctx, here, c, &old).Token()
						require.NoError(t, err)
						assert.Equal(t, old.RefreshToken, token.RefreshToken)
						assert.Equal(t, 200, get(t, s, p, apiPath[p.Name], token.AccessToken).status)
						assert.Equal(t, 1, s.Stats(p).Refreshed)
					}
					require.NoError(t, here.Config(c).Revoke(ctx, token))
					assert.Equal(t, 401, get(t, s, p, apiPath[p.Name], token.AccessToken).status)
					require.NoError(t, here.Config(c).Revoke(ctx, token), "it is dead already")
					assert.Equal(t, 1, s.Stats(p).Exchanged)
					assert.Equal(t, 2, s.Stats(p).CodeRequests)
				})
			}
		}
	}
}

// TestKinds: package endpoints knows what to do about every way to be refused.
func TestKinds(t *testing.T) {
	fault := func(f endpointstest.Fault) func(*endpointstest.Server, endpoints.Provider, *oauth2.Config) {
		return func(s *endpointstest.Server, p endpoints.Provider, _ *oauth2.Config) { f.Times = 1; s.Fail(p, f) }
	}
	s := endpointstest.New(t)
	for _, tt := range []struct {
		name  string
		spoil func(s *endpointstest.Server, p endpoints.Provider, c *oauth2.Config)
		want  endpoints.ErrorKind
	}{
		{"expired code", func(s *endpointstest.Server, _ endpoints.Provider, _ *oauth2.Config) { s.Advance(time.Hour) }, endpoints.KindCodeRejected},
		{"secret", func(_ *endpointstest.Server, _ endpoints.Provider, c *oauth2.Config) { c.ClientSecret = "guess" }, endpoints.KindClientRejected},
		{"id", func(_ *endpointstest.Server, _ endpoints.Provider, c *oauth2.Config) { c.ClientID = "guess" }, endpoints.KindClientRejected},
		{"redirect", func(_ *endpointstest.Server, _ endpoints.Provider, c *oauth2.Config) {
			c.RedirectURL = "http://localhost/x"
		}, endpoints.KindRedirectMismatch},
		{"lost", fault(endpointstest.Fault{Trouble: endpointstest.LostAnswer}), endpoints.KindProviderTrouble},
		{"broken", fault(endpointstest.Fault{Trouble: endpointstest.BrokenAnswer}), endpoints.KindProviderTrouble},
		{"truncated", fault(endpointstest.Fault{Trouble: endpointstest.TruncatedAnswer}), endpoints.KindUnreadable},
		{"unavailable", fault(endpointstest.Fault{Trouble: endpointstest.Unavailable, RetryAfter: time.Minute}), endpoints.KindProviderTrouble},
		{"rate limited", fault(endpointstest.Fault{Trouble: endpointstest.RateLimited, RetryAfter: time.Minute}), endpoints.KindRateLimited},
		{"firewall", fault(endpointstest.Fault{Trouble: endpointstest.Firewall}), endpoints.KindUnreadable},
		{"plain text", fault(endpointstest.Fault{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Invalid or expired code", http.StatusBadRequest)
		})}), endpoints.KindCodeRejected},
	} {
		for name, p := range all {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				c := s.Config(p, callback)
				code := newCode(t, s, p, false)
				tt.spoil(s, p, &c)
				var opts []oauth2.AuthCodeOption
				if p.Name == "TaxRock" {
					opts = append(opts, oauth2.VerifierOption(verifier))
				}
				ctx := context.WithValue(t.Context(), oauth2.HTTPClient, browser(t))
				_, err := s.Provider(p).Config(c).Exchange(ctx, code, opts...)
				require.Error(t, err)
				assert.Equal(t, tt.want, endpoints.KindOf(err), "%v", err)
				if tt.name == "rate limited" || tt.name == "unavailable" {
					meaning, _ := tokenerror.Of(err)
					assert.Equal(t, time.Minute, meaning.RetryAfter)
				}
				assert.NotContains(t, err.Error(), c.ClientSecret)
				assert.NotContains(t, err.Error(), code)
			})
		}
	}
}

// TestWithoutTheContext: x/oauth2's own form gets nowhere.
func TestWithoutTheContext(t *testing.T) {
	s := endpointstest.New(t)
	for name, p := range all {
		c := s.Config(p, callback)
		_, err := c.Exchange(t.Context(), newCode(t, s, p, false), oauth2.VerifierOption(verifier))
		var failed *oauth2.RetrieveError
		require.ErrorAs(t, err, &failed, name)
		assert.Equal(t, http.StatusUnsupportedMediaType, failed.Response.StatusCode)
	}
}
