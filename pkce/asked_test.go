package pkce

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// asking is a client at a provider that has to be asked for the consent page's URL.
type asking struct{ *shops }

func (c asking) Authorize(ctx context.Context, state, _ string, _ ...oauth2.AuthCodeOption) (string, map[string]string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://provider.example/sessions", nil)
	if err != nil {
		return "", nil, err
	}
	resp, err := ctx.Value(oauth2.HTTPClient).(*http.Client).Do(r)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return "", nil, &oauth2.RetrieveError{Response: resp, ErrorCode: string(body), ErrorDescription: "about " + state}
	}
	return string(body) + "?state=" + state, nil, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestBeginAsksWithTheClientOfRequestContext(t *testing.T) {
	type key struct{}
	for name, tt := range map[string]struct {
		status int
		body   string
		err    error
		want   error
	}{
		"it answers":               {200, "https://provider.example/consent", nil, nil},
		"it redirects":             {302, "", nil, ErrMisconfigured},
		"it doesn't answer":        {0, "", errors.New("connection reset"), ErrStartAgain},
		"it is in trouble":         {503, "server_error", nil, ErrStartAgain},
		"it doesn't take the id":   {401, "invalid_client", nil, ErrMisconfigured},
		"it gets too many of them": {429, "too_many_requests", nil, ErrStartAgain},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			client := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				asked++
				assert.Equal(t, "kept", r.Context().Value(key{}))
				end, ok := r.Context().Deadline()
				assert.True(t, ok)
				assert.WithinDuration(t, time.Now().Add(time.Minute), end, 10*time.Second)
				if tt.err != nil {
					return nil, tt.err
				}
				h := http.Header{"Location": {"https://provider.example/elsewhere"}}
				return &http.Response{StatusCode: tt.status, Header: h, Body: io.NopCloser(strings.NewReader(tt.body)), Request: r}, nil
			})}
			f := &Flow{Config: asking{newShops()}, Sealer: newSealer(t), ExchangeTimeout: time.Minute}
			f.RequestContext = func(ctx context.Context) context.Context {
				return context.WithValue(ctx, oauth2.HTTPClient, client)
			}
			r := httptest.NewRequest("GET", "http://localhost/connect", nil)
			r = r.WithContext(context.WithValue(r.Context(), key{}, "kept"))
			w := httptest.NewRecorder()
			s, err := f.Begin(w, r, "k")
			assert.Equal(t, 1, asked)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
				checkError(t, err)
				assert.Empty(t, w.Result().Cookies())
				return
			}
			require.NoError(t, err)
			u, err := url.Parse(s.URL)
			require.NoError(t, err)
			assert.Equal(t, url.Values{"state": {s.State}}, u.Query())
		})
	}
}

func TestBeginWithNilRequestContext(t *testing.T) {
	f := &Flow{Config: asking{newShops()}, Sealer: newSealer(t)}
	f.RequestContext = func(context.Context) context.Context { return nil }
	_, err := f.Begin(httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/connect", nil), "k")
	assert.EqualError(t, err, "pkce: Flow.RequestContext returned nil")
}
