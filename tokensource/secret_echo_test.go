package tokensource

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// echo is a token endpoint that repeats the whole request in every place of its answer.
func echo(mode string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		all := fmt.Sprintf("%s %s %v", body, r.URL, r.Header)
		w.Header().Set("Retry-After", "s3cr3t-refresh")
		w.Header().Set("X-Echo", strings.ReplaceAll(all, "\n", " "))
		answer := map[string]any{
			"error": "s3cr3t-refresh", "error_description": all, "error_uri": "https://provider.test/" + string(body),
			"refresh_token": "s3cr3t-refresh", "echo": all,
		}
		status := 400
		switch mode {
		case "known code":
			answer["error"] = "invalid_grant"
		case "code with text":
			answer["error"] = "invalid_grant: " + all
		case "misconfigured":
			answer["error"], status = "invalid_client", 401
		case "server error":
			status = 500
		case "success with nothing":
			status = 200
		case "page":
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(403)
			_, _ = io.WriteString(w, "<html>"+all)
			return
		case "text":
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "access_token&"+all)
			return
		case "redirect":
			w.Header().Set("Location", "/elsewhere?"+string(body))
			status = 307
		case "cut":
			w.Header().Set("Content-Length", "100000")
			_, _ = io.WriteString(w, all)
			return
		case "dropped":
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}
}

func TestNothingLeadsToASecretThatAServerRepeats(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	var asked atomic.Int32
	var answers atomic.Pointer[http.HandlerFunc]
	open := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		(*answers.Load())(w, r)
	}))
	open.Config.ErrorLog = log.New(io.Discard, "", 0)
	open.Start()
	t.Cleanup(open.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	modes := []string{
		"unknown code", "known code", "success with nothing", "page", "redirect", "cut", "gone",
		"code with text", "misconfigured", "server error", "text", "dropped",
	}
	if testing.Short() {
		modes = modes[:7]
	}
	for _, mode := range modes {
		answer, server := echo(mode), open
		answers.Store(&answer)
		if mode == "gone" {
			server = gone
		}
		secretURL := strings.Replace(server.URL, "http://", "http://user:s3cr3t-password@", 1) + "/token?key=s3cr3t-key"
		conf := func(url string, style oauth2.AuthStyle) *oauth2.Config {
			return &oauth2.Config{ClientID: "client", ClientSecret: "s3cr3t-client", Endpoint: oauth2.Endpoint{TokenURL: url, AuthStyle: style}}
		}
		provider := func(style endpoints.AuthStyle) *endpoints.Config {
			p := endpoints.Provider{
				Name: "Echo", RevokeURL: server.URL + "/revoke?key=s3cr3t-key", APIURLs: []string{apiURL}, Style: style,
				Endpoint: oauth2.Endpoint{AuthURL: server.URL + "/auth", TokenURL: server.URL + "/token?key=s3cr3t-key", AuthStyle: oauth2.AuthStyleInParams},
			}
			return p.Config(oauth2.Config{ClientID: "client", ClientSecret: "s3cr3t-client"})
		}
		for name, c := range map[string]Refresher{
			"x/oauth2":            conf(server.URL+"/token", oauth2.AuthStyleInParams),
			"x/oauth2, Basic":     conf(server.URL+"/token", oauth2.AuthStyleInHeader),
			"x/oauth2, URL":       conf(secretURL, oauth2.AuthStyleInParams),
			"x/oauth2, no such":   conf(secretURL[:len("http://user:s3cr3t-password@")]+"host.invalid/s3cr3t", oauth2.AuthStyleInParams),
			"endpoints":           provider(endpoints.AuthStyle{}),
			"endpoints, embedded": struct{ *endpoints.Config }{provider(endpoints.AuthStyle{})},
			"endpoints, hidden":   struct{ Refresher }{provider(endpoints.AuthStyle{})},
			"two-legged":          TwoLegged(&clientcredentials.Config{ClientID: "client", ClientSecret: "s3cr3t-client", TokenURL: secretURL, AuthStyle: oauth2.AuthStyleInParams}),
		} {
			if testing.Short() && name != "endpoints" && (mode != "known code" || strings.Contains(name, ",")) {
				continue // what differs in how it is asked, not in what is done with the answer
			}
			t.Run(mode+", "+name, func(t *testing.T) {
				m := &Manager{Config: c, Store: newMemory(), RefreshTimeout: 5 * time.Second, InsecureHTTP: true, APIURLs: []string{apiURL}}
				if name == "endpoints, hidden" {
					m.Registration = testOwner
				}
				m.Base = roundTripper(func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.String(), apiURL) {
						return reply(401, "s3cr3t", "WWW-Authenticate", `Bearer error="s3cr3t-access"`), nil
					}
					return http.DefaultTransport.RoundTrip(r)
				})
				login := secretLogin(-time.Hour)
				require.NoError(t, m.Save(t.Context(), "k", login))
				asked.Store(0)
				assertLeadsToNoSecret(t, m, mode+", "+name)
				require.Equal(t, mode != "gone" && name != "x/oauth2, no such", asked.Load() > 0)
			})
		}
	}
}
