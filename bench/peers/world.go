package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// Tokens begin with one of these.
const (
	current = "current-" // saved by the application and valid
	expired = "expired-" // saved by the application and not valid any more
	issued  = "issued-"  // by the token endpoint
)

// world is what all sides have in common: a provider on loopback, which takes forms and
// answers with JSON as RFC 6749 says, and its client.
type world struct {
	ctx      context.Context // with the HTTP client for token requests
	options  options
	provider *httptest.Server
	requests atomic.Uint64 // for tokens
	slow     atomic.Bool   // token requests take as long as patience says
	patience time.Duration // in which all of a herd have come
	settle   func()        // so that what is left of others' turns isn't the next one's
	oauth    *oauth2.Config
	keys     *storage.Keyset
	dir      *storage.Dir
	dirPath  string
	names    atomic.Uint64 // of connections
}

func newWorld(ctx context.Context, o options) (*world, error) {
	w := &world{options: o, patience: 20 * time.Millisecond, settle: runtime.GC}
	keys, err := storage.NewKeyset(storage.NewKey())
	if err != nil {
		return nil, err
	}
	w.keys = keys
	if w.dirPath, err = os.MkdirTemp(o.dir, "peers"); err != nil {
		return nil, err
	}
	if w.dir, err = storage.OpenDir(w.dirPath); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", w.token)
	mux.HandleFunc("GET /v1/accounts", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, r.Header.Get("Authorization"))
	})
	w.provider = httptest.NewServer(mux)
	w.ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: newTransport()})
	w.oauth = &oauth2.Config{
		ClientID: "client", ClientSecret: "secret", RedirectURL: "https://app.example.com/callback",
		Endpoint: oauth2.Endpoint{
			AuthURL: w.provider.URL + "/consent", TokenURL: w.provider.URL + "/token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	return w, nil
}

func (w *world) close() {
	w.provider.Close()
	w.dir.Close()
	os.RemoveAll(w.dirPath)
}

// newTransport returns what sends requests over the network.
func newTransport() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} }

// token is the token endpoint.
func (w *world) token(rw http.ResponseWriter, r *http.Request) {
	w.requests.Add(1)
	if w.slow.Load() {
		time.Sleep(w.patience)
	}
	if r.FormValue("client_secret") != "secret" || r.FormValue("code") == "" && r.FormValue("refresh_token") == "" {
		http.Error(rw, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	}
	t := newToken(issued, 0)
	rw.Header().Set("Content-Type", "application/json")
	json.NewEncoder(rw).Encode(map[string]any{
		"access_token": t.AccessToken, "token_type": "Bearer", "refresh_token": t.RefreshToken, "expires_in": 86400,
	})
}

// newToken returns a token of the size that is usual where tokens are opaque.
func newToken(begins string, life time.Duration) *oauth2.Token {
	return &oauth2.Token{
		AccessToken:  begins + rand.Text() + rand.Text() + rand.Text() + rand.Text(),
		RefreshToken: rand.Text() + rand.Text(),
		TokenType:    "Bearer",
		Expiry:       time.Now().Add(life),
	}
}

// refresh is a refresh by x/oauth2, for the libraries that leave it to their user.
func (w *world) refresh() (*oauth2.Token, error) {
	return w.oauth.TokenSource(w.ctx, newToken(expired, -time.Hour)).Token()
}

// same returns a side whose goroutines all do the same.
func same(library string, do op) side {
	return side{library, func(goroutines, _ int) ([]op, error) { return slices.Repeat([]op{do}, goroutines), nil }}
}

// herd returns a side whose goroutines all ask for one token that expired. Ready makes it.
func (w *world) herd(library string, ready func() (op, error)) side {
	return side{library, func(goroutines, _ int) ([]op, error) {
		get, err := ready()
		return slices.Repeat([]op{get}, goroutines), err
	}}
}

// request returns a request such as an SDK makes.
func request(ctx context.Context, url string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		panic(err) // the URL is ours
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "sdk/1.2.3")
	r.Header.Set("X-Request-Id", "5e3f8e5c")
	return r
}

const noopURL = "https://api.example.com/v1/accounts?limit=100"

// noop is a RoundTripper that does next to nothing: it notes what was sent, in the request's
// context, where its response is, too.
type noop struct{}

type noopCall struct {
	context.Context
	header   http.Header
	response http.Response
}

func newNoopCall() *noopCall {
	return &noopCall{Context: context.Background(), response: http.Response{StatusCode: 200, Body: http.NoBody}}
}

func (noop) RoundTrip(r *http.Request) (*http.Response, error) {
	call := r.Context().(*noopCall)
	call.header = r.Header
	return &call.response, nil
}

// bareCopies is no library, but what none can spare that sends a token and leaves the caller's
// request as it is: one copy of it, and one of its header.
type bareCopies struct {
	base          http.RoundTripper
	authorization []string
}

func newBareCopies(base http.RoundTripper) *bareCopies {
	return &bareCopies{base, []string{"Bearer " + newToken(current, 0).AccessToken}}
}

func (b *bareCopies) RoundTrip(r *http.Request) (*http.Response, error) {
	c := new(http.Request)
	*c = *r
	c.Header = maps.Clone(r.Header)
	c.Header["Authorization"] = b.authorization
	return b.base.RoundTrip(c)
}

// roundTrips returns a side whose goroutines each send a request of their own, again and
// again, by t on top of noop.
func roundTrips(library string, t roundTripper) side {
	return side{library, func(goroutines, n int) ([]op, error) {
		ops := make([]op, goroutines)
		for i := range ops {
			call, left := newNoopCall(), n
			r := request(call, noopURL)
			ops[i] = func() (string, error) {
				if _, err := t(r); err != nil {
					return "", err
				}
				if left--; left > 0 {
					return "", nil // nobody asks what was sent but the last time
				}
				return call.header.Get("Authorization"), nil
			}
		}
		return ops, nil
	}}
}

type roundTripper func(*http.Request) (*http.Response, error)

// overLoopback returns a side that calls the provider's API by c.
func (w *world) overLoopback(library string, c *http.Client) side {
	return same(library, func() (string, error) {
		resp, err := c.Do(request(context.Background(), w.provider.URL+"/v1/accounts"))
		if err != nil {
			return "", err
		}
		body, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return "", err
		}
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("the API answered %s", resp.Status)
		}
		return string(body), nil
	})
}
