package tokensource

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/stretchr/testify/require"
)

const apiURL = "https://api.example.com/v1"

// fakeAPI is an API without a network, for which a Manager's clients make requests.
// The zero value answers 200.
type fakeAPI struct {
	// respond, if not nil, answers a request that came with this token and body.
	respond func(r *http.Request, token, body string) *http.Response

	mu       sync.Mutex // guards what follows
	requests []call
	open     int // bodies, of requests and responses, that aren't closed
}

type call struct{ method, url, token, body string }

func (a *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	token := r.Header.Get("Authorization")
	a.mu.Lock()
	a.requests = append(a.requests, call{r.Method, r.URL.String(), token, string(body)})
	a.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := reply(200, "ok")
	if a.respond != nil {
		resp = a.respond(r, token, string(body))
	}
	if resp == nil {
		return nil, errors.New("the connection to the API was cut")
	}
	resp.Request = r
	resp.Body = a.counted(resp.Body)
	return resp, nil
}

// counted counts body until it is closed.
func (a *fakeAPI) counted(body io.Reader) io.ReadCloser {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open++
	return &countedBody{Reader: body, api: a}
}

type countedBody struct {
	io.Reader
	api  *fakeAPI
	once sync.Once
}

func (b *countedBody) Close() error {
	b.once.Do(func() {
		b.api.mu.Lock()
		defer b.api.mu.Unlock()
		b.api.open--
	})
	return nil
}

func (a *fakeAPI) calls() []call {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests
}

func (a *fakeAPI) unclosed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// refusing answers 401 to all tokens but those in accepted.
func refusing(accepted ...string) func(*http.Request, string, string) *http.Response {
	return func(_ *http.Request, token, _ string) *http.Response {
		for _, good := range accepted {
			if token == "Bearer "+good {
				return reply(200, "ok "+good)
			}
		}
		return reply(401, "refused "+token)
	}
}

// withAPI has m's clients talk to a fake API.
func withAPI(m *Manager) *fakeAPI {
	api := new(fakeAPI)
	m.Base, m.APIURLs = api, []string{apiURL}
	return api
}

// get makes a request and returns status and body.
func (f *fixture) get(c *http.Client) (int, string) {
	f.Helper()
	resp, err := c.Get(apiURL + "/me")
	require.NoError(f, err)
	return f.read(resp)
}

func (f *fixture) read(resp *http.Response) (int, string) {
	f.Helper()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(f, err)
	return resp.StatusCode, string(body)
}
