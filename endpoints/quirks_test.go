package endpoints_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// quirk is a provider that departs from RFC 6749, and what must go over the wire:
// requests as essence writes them.
type quirk struct {
	name     string
	provider endpoints.Provider
	scopes   []string
	opts     []oauth2.AuthCodeOption // of the exchange

	authURL               string // without its redirect_uri and state; "" if it is as usual
	exchange, answer      string // status and JSON
	refresh, refreshed    string // "" if there is no refresh
	revoke                string // "" if there is no revocation
	lifetime              time.Duration
	expiry                time.Time // instead of lifetime
	accessToken, newToken string    // newToken is what a refresh gives
	refreshToken          string    // after the refresh, or after the exchange if there is none
	extra                 string    // JSON, beside token_type and expires_in
}

// essence writes a request without what every request has.
func essence(dump string) string {
	head, body, _ := strings.Cut(dump, "\n\n")
	lines := strings.Split(head, "\n")
	method, path, _ := strings.Cut(strings.TrimSuffix(lines[0], " HTTP/1.1"), " ")
	out := []string{method + " " + strings.TrimPrefix(lines[1], "Host: ") + path}
	for _, line := range lines[2:] {
		name, _, _ := strings.Cut(line, ":")
		switch {
		case strings.Contains("Accept Accept-Encoding User-Agent Content-Length", name):
		case line == "Content-Type: application/x-www-form-urlencoded":
			out = append(out, "(form)")
		case line == "Content-Type: application/json":
			out = append(out, "(JSON)")
		default:
			out = append(out, line)
		}
	}
	if body != "" {
		out = append(out, body)
	}
	return strings.Join(out, "\n")
}

// answerLine answers with a status and JSON, such as `200 {}`.
func answerLine(line string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status, body, _ := strings.Cut(line, " ")
		w.WriteHeader(map[string]int{"200": 200, "201": 201}[status])
		w.Write([]byte(body))
	}
}

func TestQuirksOfOtherProviders(t *testing.T) {
	for _, q := range quirks {
		require.NoError(t, q.provider.Validate(), q.name)
		for _, way := range ways {
			t.Run(q.name+"/"+way.name, func(t *testing.T) {
				plain := oauth2.Config{ClientID: "id", ClientSecret: "s3cret"}
				use := func(answer string) (*internet, context.Context, client) {
					net := newInternet(t, answerLine(answer))
					ctx, conf := way.use(net.context(), q.provider, plain)
					return net, ctx, conf
				}
				net, ctx, conf := use(q.answer)
				before := time.Now()
				token, err := conf.Exchange(ctx, "c0de", q.opts...)
				after := time.Now()
				require.NoError(t, err)
				assert.Equal(t, q.exchange, essence(net.only(t)), "exchange")
				assert.True(t, token.AccessToken == q.accessToken, "the access token")
				switch {
				case !q.expiry.IsZero():
					assert.WithinDuration(t, q.expiry, token.Expiry, 2*time.Second)
				case q.lifetime == never:
					assert.True(t, token.Expiry.IsZero(), "a token that doesn't expire")
				default:
					assert.WithinRange(t, token.Expiry, before.Add(q.lifetime).Add(-time.Second), after.Add(q.lifetime))
				}
				if q.extra != "" {
					var want, got map[string]any
					require.NoError(t, json.Unmarshal([]byte(q.extra), &want))
					require.NoError(t, endpoints.Metadata(token, &got))
					for name, v := range got {
						if number, ok := v.(json.Number); ok {
							got[name] = number.String() // as x/oauth2 is handed it
						}
					}
					delete(got, "expires_in")
					delete(got, "token_type")
					assert.Equal(t, want, got)
				}
				if q.refresh != "" {
					net, ctx, conf := use(q.refreshed)
					token, err = refresh(ctx, conf, token.RefreshToken)
					require.NoError(t, err)
					assert.Equal(t, q.refresh, essence(net.only(t)), "refresh")
					assert.True(t, token.AccessToken == q.newToken, "the new access token")
				}
				assert.True(t, token.RefreshToken == q.refreshToken, "the refresh token")
			})
		}
		if q.authURL != "" {
			t.Run(q.name+"/AuthCodeURL", func(t *testing.T) {
				conf := q.provider.Config(oauth2.Config{ClientID: "id", Scopes: q.scopes})
				assert.Equal(t, q.authURL, conf.AuthCodeURL("", oauth2.S256ChallengeOption("")))
			})
		}
		if q.revoke != "" {
			t.Run(q.name+"/Revoke", func(t *testing.T) {
				net := newInternet(t, answerLine(`200 {"ok":true}`))
				conf := q.provider.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"})
				require.NoError(t, conf.Revoke(net.context(), &oauth2.Token{AccessToken: "a1"}))
				assert.Equal(t, q.revoke, essence(net.only(t)))
			})
		}
	}
}

// The error of each quirk that has one inside of 200.
func TestQuirksOfErrors(t *testing.T) {
	for _, test := range []struct {
		provider, answer, code string
		kind                   endpoints.ErrorKind
	}{
		{"Slack", `200 {"ok":false,"error":"invalid_code"}`, "invalid_code", endpoints.KindCodeRejected},
		{"TikTok for business", `200 {"code":40110,"message":"Auth code is expired","data":{}}`, "40110", endpoints.KindCodeRejected},
		{"WeChat", `200 {"errcode":40029,"errmsg":"invalid code"}`, "40029", endpoints.KindCodeRejected},
		{"COROS", `200 {"result":"5001","message":"bad"}`, "5001", endpoints.KindUnknown},
	} {
		t.Run(test.provider, func(t *testing.T) {
			for _, way := range ways {
				for _, q := range quirks {
					if q.name != test.provider {
						continue
					}
					net := newInternet(t, answerLine(test.answer))
					ctx, conf := way.use(net.context(), q.provider, oauth2.Config{ClientID: "id"})
					_, err := conf.Exchange(ctx, "c0de")
					var retrieve *oauth2.RetrieveError
					require.ErrorAs(t, err, &retrieve)
					assert.Equal(t, test.code, retrieve.ErrorCode)
					assert.Equal(t, test.kind, endpoints.KindOf(err))
					return
				}
			}
			t.Fatal("no such quirk")
		})
	}
}
