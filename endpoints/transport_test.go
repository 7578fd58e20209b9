package endpoints_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// adapter returns the transport that adapts p's token requests, over base.
func adapter(p endpoints.Provider, base http.RoundTripper) http.RoundTripper {
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: base})
	return p.Context(ctx).Value(oauth2.HTTPClient).(*http.Client).Transport
}

// tokenRequest is a request as x/oauth2 makes it.
func tokenRequest(t testing.TB, url, form string) *http.Request {
	r, err := http.NewRequest("POST", url, strings.NewReader(form))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestOnlyTokenRequestsAreTouched(t *testing.T) {
	p := rfc
	p.RefreshURL = "https://auth.example/refresh"
	p.Style.Body = endpoints.JSONBody
	form := "application/x-www-form-urlencoded"
	for _, test := range []struct {
		method, url, contentType string
		touched                  bool
	}{
		{"POST", "https://auth.example/token", form, true},
		{"POST", "https://auth.example/token", form + "; charset=utf-8", true},
		{"POST", "https://auth.example/refresh", form, true},
		{"GET", "https://auth.example/token", form, false},
		{"PUT", "https://auth.example/token", form, false},
		{"POST", "https://auth.example/token", "application/json", false}, // an SDK's own exchange
		{"POST", "https://auth.example/token", "", false},
		{"POST", "https://auth.example/token?x=1", form, false},
		{"POST", "https://auth.example/token/", form, false},
		{"POST", "http://auth.example/token", form, false},
		{"POST", "https://auth.example/revoke", form, false}, // the API's own call: Revoke didn't make it
		{"POST", "https://api.example/v1/token", form, false},
		{"GET", "https://api.example/v1", "", false},
	} {
		t.Run(test.method+" "+test.url+" "+test.contentType, func(t *testing.T) {
			r := tokenRequest(t, test.url, "grant_type=authorization_code&code=c0de")
			r.Method = test.method
			r.Header.Set("Content-Type", test.contentType)
			header, body := r.Header.Clone(), r.Body
			answered := &http.Response{StatusCode: 299, Body: io.NopCloser(strings.NewReader("not touched"))}
			var sent *http.Request
			resp, err := adapter(p, roundTripper(func(r *http.Request) (*http.Response, error) {
				sent = r
				return answered, nil
			})).RoundTrip(r)
			require.NoError(t, err)
			if test.touched {
				assert.NotSame(t, r, sent)
				assert.NotSame(t, answered, resp)
				return
			}
			assert.Same(t, r, sent, "the caller's request")
			assert.Same(t, answered, resp, "the server's response")
			assert.Equal(t, header, r.Header)
			assert.Equal(t, body, r.Body)
		})
	}
}

func TestAPITrafficPassesByteForByte(t *testing.T) {
	versions := map[string]string{"Provider.Config": "Finch-Api-Version: 2020-09-17\n"} // a plain Config knows only the token
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			net := newInternet(t, answer(200, "text/plain", "the API's answer"))
			ctx, conf := way.use(net.context(), endpoints.Finch, oauth2.Config{ClientID: clientID})
			client := conf.Client(ctx, &oauth2.Token{AccessToken: "access-token"})
			resp, err := client.Post("https://api.tryfinch.com/employer/directory?a=1&a=2", "application/x-www-form-urlencoded", strings.NewReader("grant_type=none&x=%zz"))
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "the API's answer", string(body))
			assert.Equal(t, `POST /employer/directory?a=1&a=2 HTTP/1.1
Host: api.tryfinch.com
Accept-Encoding: gzip
Authorization: Bearer access-token
Content-Length: 21
Content-Type: application/x-www-form-urlencoded
`+versions[way.name]+`User-Agent: Go-http-client/1.1

grant_type=none&x=%zz`, net.only(t))
		})
	}
}

func TestContextTwiceAdaptsOnce(t *testing.T) {
	logged := 0
	for _, test := range []struct {
		name string
		wrap func(context.Context) context.Context
	}{
		{"nothing in between", func(ctx context.Context) context.Context { return ctx }},
		{"a transport of the caller's in between", func(ctx context.Context) context.Context {
			inner := ctx.Value(oauth2.HTTPClient).(*http.Client)
			return context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				logged++
				return inner.Transport.RoundTrip(r.Clone(r.Context()))
			})})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			net := newInternet(t, answerJSON(200, `{"code":0,"data":{"access_token":"issued-token"}}`))
			p := endpoints.Finch
			p.Style.Body = endpoints.FormBody // so that it could be taken for one that isn't adapted yet
			p.Answer.TokenIn = "data"
			p.Request = func(r *endpoints.Request) error {
				r.Params.Add("adapted", "1")
				return nil
			}
			ctx := p.Context(test.wrap(p.Context(net.context())))
			_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(ctx, "c0de")
			require.NoError(t, err)
			assert.Equal(t, `POST /auth/token HTTP/1.1
Host: api.tryfinch.com
Accept: application/json
Accept-Encoding: gzip
Content-Length: 32
Content-Type: application/x-www-form-urlencoded
Finch-Api-Version: 2020-09-17
User-Agent: Go-http-client/1.1

adapted=1&client_id=id&code=c0de`, net.only(t))
		})
	}
	assert.Equal(t, 1, logged, "requests through the transport in between")
}

func TestTheConfigsOwnProviderWinsOverTheContexts(t *testing.T) {
	net := newInternet(t, answerJSON(200, `{"access_token":"issued-token"}`))
	mine := endpoints.Finch
	mine.Style.Header = map[string]string{"Finch-API-Version": "2030-01-01"}
	_, err := mine.Config(oauth2.Config{ClientID: "id"}).Exchange(endpoints.Finch.Context(net.context()), "c0de")
	require.NoError(t, err)
	assert.Contains(t, net.only(t), "\nFinch-Api-Version: 2030-01-01\n")
}

// closeRecorder is a body that tells whether it was closed.
type closeRecorder struct {
	io.Reader
	closed bool
}

func (c *closeRecorder) Close() error { c.closed = true; return nil }

func TestTheCallersRequestIsNotChanged(t *testing.T) {
	r := tokenRequest(t, endpoints.TaxRock.Endpoint.TokenURL, "grant_type=refresh_token&refresh_token=old")
	r.Header.Set("X-Trace", "1")
	body := &closeRecorder{Reader: strings.NewReader("grant_type=refresh_token&refresh_token=old")}
	r.Body = body
	before := r.Clone(r.Context())
	getBody := r.GetBody

	var sent *http.Request
	_, err := adapter(endpoints.TaxRock, roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = r
		sent.Header.Set("X-Trace", "2")
		return nil, errors.New("no network")
	})).RoundTrip(r)
	require.EqualError(t, err, "no network")

	assert.Equal(t, before.Method, r.Method)
	assert.Equal(t, before.URL.String(), r.URL.String())
	assert.Equal(t, before.Host, r.Host)
	assert.Equal(t, before.Header, r.Header)
	assert.Equal(t, before.ContentLength, r.ContentLength)
	assert.Equal(t, io.ReadCloser(body), r.Body)
	assert.True(t, body.closed, "the original body is closed")
	again, err := getBody()
	require.NoError(t, err)
	assert.Equal(t, "grant_type=refresh_token&refresh_token=old", readAll(t, again))
}

func TestBodyLengthAndGetBodyAreAllAdapted(t *testing.T) {
	const form, json = "client_id=id&grant_type=refresh_token&refresh_token=old", `{"client_id":"id","grant_type":"refresh_token","refresh_token":"old"}`
	hook := func(r *endpoints.Request) error {
		r.HTTP.Body = io.NopCloser(strings.NewReader("signed body"))
		return nil
	}
	for _, test := range []struct {
		name  string
		style endpoints.AuthStyle
		hook  func(*endpoints.Request) error
		want  string
	}{
		{"form", endpoints.AuthStyle{}, nil, form},
		{"JSON", endpoints.AuthStyle{Body: endpoints.JSONBody}, nil, json},
		{"query", endpoints.AuthStyle{Body: endpoints.QueryBody}, nil, ""},
		{"hook", endpoints.AuthStyle{}, hook, "signed body"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := rfc
			p.Style, p.Request = test.style, test.hook
			_, err := adapter(p, roundTripper(func(r *http.Request) (*http.Response, error) {
				assert.Equal(t, int64(len(test.want)), r.ContentLength)
				for range 2 {
					again, err := r.GetBody()
					require.NoError(t, err)
					assert.Equal(t, test.want, readAll(t, again), "GetBody")
				}
				assert.Equal(t, test.want, readAll(t, r.Body), "Body")
				return nil, errors.New("no network")
			})).RoundTrip(tokenRequest(t, rfc.Endpoint.TokenURL, form))
			require.EqualError(t, err, "no network")
		})
	}
}

func TestRedirectsOfATokenRequestAreNotFollowed(t *testing.T) {
	hook := func(r *endpoints.Request) error {
		r.HTTP.Body = io.NopCloser(strings.NewReader(r.Params.Encode()))
		return nil
	}
	styles := map[string]endpoints.AuthStyle{
		"form":  {},
		"JSON":  {Body: endpoints.JSONBody},
		"query": {Body: endpoints.QueryBody},
		"GET":   {Body: endpoints.QueryBody, Method: "GET"},
		"hook":  {},
	}
	bodies := map[string]string{"no": "", "an HTML": "<a href=x>Moved</a>", "a JSON": `{"access_token":"issued-token"}`}
	for style, s := range styles {
		for status, text := range map[int]string{
			301: "301 Moved Permanently", 302: "302 Found", 303: "303 See Other", 307: "307 Temporary Redirect", 308: "308 Permanent Redirect",
		} {
			for name, body := range bodies {
				t.Run(style+" "+text+" with "+name+" body", func(t *testing.T) {
					net := newInternet(t, func(w http.ResponseWriter, r *http.Request) {
						w.Header().Set("Location", "https://elsewhere.example/token")
						w.WriteHeader(status)
						io.WriteString(w, body)
					})
					p := rfc
					if p.Style = s; style == "hook" {
						p.Request = hook
					}
					conf := p.Config(oauth2.Config{ClientID: clientID, ClientSecret: clientSecret})
					_, err := conf.Exchange(net.context(), code)
					net.only(t)
					var retrieve *oauth2.RetrieveError
					require.ErrorAs(t, err, &retrieve)
					assert.Equal(t, status, retrieve.Response.StatusCode)
					assert.Equal(t, "unreadable_response", retrieve.ErrorCode)
					assert.Contains(t, retrieve.ErrorDescription, "the answer can't be used: it is a redirect, which is not followed because "+
						"the request holds secrets and leads to the host elsewhere.example (HTTP status "+text+", ")
				})
			}
		}
	}
}

// A GET may be repeated by net/http on a connection that it had kept open. The
// code in a GET to a token endpoint would be spent twice.
func TestTokenRequestIsNotRepeatedAfterALostAnswer(t *testing.T) {
	method := func(name string) func(*endpoints.Request) error {
		return func(r *endpoints.Request) error { r.HTTP.Method = name; return nil }
	}
	for name, way := range map[string]struct {
		style endpoints.AuthStyle
		hook  func(*endpoints.Request) error
	}{
		"GET":                     {style: endpoints.AuthStyle{Body: endpoints.QueryBody, Method: "GET"}},
		"query":                   {style: endpoints.AuthStyle{Body: endpoints.QueryBody}},
		"JSON":                    {style: endpoints.AuthStyle{Body: endpoints.JSONBody}},
		"a hook's GET":            {hook: method("GET")},
		"a hook's method of none": {hook: method("")},
		"a hook's OPTIONS":        {hook: method("OPTIONS")},
		"a hook's body in a GET": {style: endpoints.AuthStyle{Method: "GET"}, hook: func(r *endpoints.Request) error {
			r.HTTP.Body = io.NopCloser(strings.NewReader(r.Params.Encode()))
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var lose atomic.Bool
			net := newInternet(t, func(w http.ResponseWriter, r *http.Request) {
				if lose.Load() {
					conn, _, err := w.(http.Hijacker).Hijack()
					if assert.NoError(t, err) {
						conn.Close()
					}
					return
				}
				io.WriteString(w, `{"access_token":"issued-token"}`)
			})
			p := rfc
			p.Style, p.Request = way.style, way.hook
			conf := p.Config(oauth2.Config{ClientID: clientID})
			_, err := conf.Exchange(net.context(), "first")
			require.NoError(t, err)
			lose.Store(true)
			_, err = conf.Exchange(net.context(), "second")
			require.Error(t, err)
			assert.Equal(t, endpoints.KindProviderTrouble, endpoints.KindOf(err))
			assert.Len(t, net.requests(), 2)
		})
	}
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	body, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(body)
}

func TestNoMoreThanOneMiBIsRead(t *testing.T) {
	const limit = 1 << 20
	filler := func(n int) string {
		const start, end = `{"access_token":"issued-token","filler":"`, `"}`
		return start + strings.Repeat("x", n-len(start)-len(end)) + end
	}
	for _, test := range []struct {
		name   string
		status int
		size   int
		kind   endpoints.ErrorKind
	}{
		{"1 MiB is read", 200, limit, endpoints.KindUnknown},
		{"a success that is larger", 200, limit + 1, endpoints.KindUnreadable},
		{"an error that is larger", 400, limit + 1, endpoints.KindUnreadable},
		{"a page of trouble that is larger", 503, limit + 1, endpoints.KindProviderTrouble},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := roundTripper(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: test.status, Body: io.NopCloser(strings.NewReader(filler(test.size)))}, nil
			})
			_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), "c0de")
			assert.Equal(t, test.kind, endpoints.KindOf(err))
			if test.kind == endpoints.KindUnknown {
				require.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, "the answer can't be used: it is larger than 1048576 bytes")
		})
	}
}

// endless is a body without an end, until somebody has read far too much of it.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read += len(p); e.read > 8<<20 {
		return 0, io.EOF
	}
	return copy(p, strings.Repeat(" ", len(p))), nil
}

func TestAnAnswerWithoutAnEndIsNotRead(t *testing.T) {
	body := new(endless)
	base := roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(body)}, nil
	})
	_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), "c0de")
	assert.ErrorContains(t, err, "it is larger than 1048576 bytes")
	assert.Less(t, body.read, 2<<20)
}

func TestRequestThatIsNoFormIsNotSent(t *testing.T) {
	base := roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") })
	for body, want := range map[string]string{
		"grant_type=%zz": "endpoints: RFC: the token request is not a form",
		"grant_type=" + strings.Repeat("x", 1<<20+1): "endpoints: RFC: can't read the token request: it is larger than 1048576 bytes",
	} {
		_, err := adapter(rfc, base).RoundTrip(tokenRequest(t, rfc.Endpoint.TokenURL, body))
		assert.EqualError(t, err, want)
	}
	broken := tokenRequest(t, rfc.Endpoint.TokenURL, "")
	broken.Body = io.NopCloser(io.MultiReader(strings.NewReader("grant_"), failingReader{}))
	_, err := adapter(rfc, base).RoundTrip(broken)
	assert.EqualError(t, err, "endpoints: RFC: can't read the token request: read failed")
}

func TestBodyOfAHookThatCantBeReadIsNotSent(t *testing.T) {
	p := rfc
	p.Request = func(r *endpoints.Request) error {
		r.HTTP.Body = io.NopCloser(failingReader{})
		return nil
	}
	_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(context.Background(), "c0de")
	assert.ErrorContains(t, err, "endpoints: RFC: can't read the body that Request has set: read failed")
	assert.Equal(t, endpoints.KindUnknown, endpoints.KindOf(err))
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("read failed") }

func TestAnswerThatBreaksOffIsTheNetworksError(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(io.MultiReader(strings.NewReader(`{"access_`), failingReader{}))}, nil
	})
	_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), "c0de")
	assert.ErrorContains(t, err, "endpoints: RFC: can't read the token response: read failed")
	assert.Equal(t, endpoints.KindProviderTrouble, endpoints.KindOf(err))
}

func TestAnswerWithoutABodyIsEmpty(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200}, nil })
	_, err := adapter(rfc, base).RoundTrip(tokenRequest(t, rfc.Endpoint.TokenURL, "grant_type=authorization_code"))
	require.NoError(t, err)
	nobody := tokenRequest(t, rfc.Endpoint.TokenURL, "")
	nobody.Body = nil
	resp, err := adapter(rfc, base).RoundTrip(nobody)
	require.NoError(t, err)
	assert.Equal(t, `{"error":"unreadable_response","error_description":"the answer can't be used: it is empty (HTTP status 200 OK, 0 bytes of unknown type)"}`,
		readAll(t, resp.Body))
}

func TestBodyOfTheAnswerIsClosed(t *testing.T) {
	body := &closeRecorder{Reader: bytes.NewReader([]byte(`{"access_token":"issued-token"}`))}
	base := roundTripper(func(r *http.Request) (*http.Response, error) { return &http.Response{StatusCode: 200, Body: body}, nil })
	_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), "c0de")
	require.NoError(t, err)
	assert.True(t, body.closed)
}
