package tokensource

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/storage"
)

// carrier is an error of a type that this package doesn't know.
type carrier struct {
	Secret string
	secret []byte
	more   map[string]any
	cause  error
	self   *carrier
}

func newCarrier(cause error) *carrier {
	c := &carrier{Secret: "s3cr3t-exported", secret: []byte("s3cr3t-bytes"), more: map[string]any{"a": []any{"s3cr3t-deep"}}, cause: cause}
	c.self = c
	return c
}

func (c *carrier) Error() string { return "failed with s3cr3t-text" }
func (c *carrier) Unwrap() error { return c.cause }

// boastful is one that says that it was not sent.
type boastful struct{ *carrier }

func (boastful) NotSent() bool { return true }

// temporary is one that passes for an error of the network.
type temporary struct{ *carrier }

func (temporary) Timeout() bool   { return true }
func (temporary) Temporary() bool { return true }

type secretKey struct{}

// secretRequest is a request with secrets everywhere.
func secretRequest() *http.Request {
	ctx := context.WithValue(context.Background(), secretKey{}, newCarrier(nil))
	r, err := http.NewRequestWithContext(ctx, "POST", "https://user:s3cr3t-password@provider.test/token?code=s3cr3t-code", bytes.NewReader([]byte("refresh_token=s3cr3t-refresh&client_secret=s3cr3t-client")))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", "Basic s3cr3t-basic")
	r.AddCookie(&http.Cookie{Name: "session", Value: "s3cr3t-cookie"})
	return r
}

// secretAnswer is an error answer with secrets everywhere but in its code.
func secretAnswer(status int, code string) *oauth2.RetrieveError {
	return &oauth2.RetrieveError{
		Response: &http.Response{
			Status: "400 s3cr3t-status", StatusCode: status, Request: secretRequest(),
			Header:  http.Header{"Retry-After": {"s3cr3t-after"}, "S3cr3t-Name": {"s3cr3t-header"}, "Content-Type": {"text/s3cr3t"}},
			Trailer: http.Header{"X": {"s3cr3t-trailer"}},
			Body:    io.NopCloser(bytes.NewReader([]byte("s3cr3t-body"))),
		},
		Body: []byte(`{"error":"` + code + `","refresh_token":"s3cr3t-refresh"}`), ErrorCode: code,
		ErrorDescription: "the token s3cr3t-refresh is unknown", ErrorURI: "https://provider.test/s3cr3t-uri",
	}
}

// secretErrors are what a Refresher may return.
func secretErrors() map[string]error {
	dial := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.UnixAddr{Name: "s3cr3t-address"}, Err: newCarrier(nil)}
	all := map[string]error{
		"a code that is a secret": secretAnswer(400, "s3cr3t-refresh"),
		"a code with a secret":    secretAnswer(400, "invalid_grant: s3cr3t-refresh"),
		"a description of a code": secretAnswer(401, "invalid_client"),
		"no response":             &oauth2.RetrieveError{ErrorCode: "s3cr3t-code", Body: []byte("s3cr3t-body")},
		"no error at all":         &oauth2.RetrieveError{Response: &http.Response{Request: secretRequest()}},
		"a URL":                   &url.Error{Op: "Post", URL: "https://u:s3cr3t-password@provider.test?code=s3cr3t-code", Err: newCarrier(nil)},
		"no name":                 &net.DNSError{Name: "s3cr3t.provider.test", Server: "s3cr3t-server", Err: "s3cr3t"},
		"a dial":                  dial,
		"a type of its own":       newCarrier(io.ErrUnexpectedEOF),
		"one of the network's":    temporary{newCarrier(nil)},
		"one that says unsent":    boastful{newCarrier(nil)},
		"an Error of ours":        &Error{Connection: "s3cr3t", Reason: "s3cr3t-reason", Code: "s3cr3t-code", detail: "s3cr3t", causes: []error{newCarrier(nil)}},
		"ErrLoginRequired":        fmt.Errorf("s3cr3t: %w", ErrLoginRequired),
		"unsupported":             fmt.Errorf("s3cr3t: %w", errors.ErrUnsupported),
		"deadline":                fmt.Errorf("s3cr3t: %w", context.DeadlineExceeded),
		"cancelled":               fmt.Errorf("s3cr3t: %w", context.Canceled),
		"several":                 errors.Join(newCarrier(nil), secretAnswer(503, "s3cr3t-code"), dial),
	}
	statuses, codes := []int{0, 200, 302, 400, 401, 403, 404, 429, 500, 502, 503}, []string{"s3cr3t-code", "invalid_grant", "", "invalid_client", "rate_limited"}
	if testing.Short() {
		statuses, codes = statuses[:1], codes[:1]
	}
	for _, status := range statuses {
		for _, code := range codes {
			all[fmt.Sprint(status, " ", code)] = secretAnswer(status, code)
		}
	}
	for name, err := range maps.Clone(all) {
		if testing.Short() && name != "several" {
			continue
		}
		all[name+", wrapped"] = fmt.Errorf("refreshing with s3cr3t-refresh: %w", err)
		all[name+", joined"] = errors.Join(newCarrier(nil), err)
		all[name+", behind one"] = newCarrier(&url.Error{Op: "s3cr3t", URL: "https://x?s3cr3t", Err: err})
	}
	return all
}

// leaky is a Refresher, Revoker and API that tells all it knows.
type leaky struct {
	err          error // that it returns; a panic with a secret if nil
	ClientSecret string
}

func (leaky) Registration() (issuer, clientID string) { return testIssuer, testClient }
func (leaky) APIURLs(*oauth2.Token) ([]string, error) { return []string{apiURL}, nil }

func (leaky) APIHeader(t *oauth2.Token) http.Header { return http.Header{"X-Token": {t.AccessToken}} }

func (leaky) TokenRejected(*http.Response) (string, bool) {
	return "s3cr3t-access", true
}

func (l leaky) fail() error {
	if l.err == nil {
		panic(newCarrier(nil))
	}
	return l.err
}

func (l leaky) TokenSource(context.Context, *oauth2.Token) oauth2.TokenSource {
	return tokenFunc(func() (*oauth2.Token, error) { return nil, l.fail() })
}

func (l leaky) Revoke(context.Context, *oauth2.Token) error { return l.fail() }

// secretLogin is a login with secrets everywhere.
func secretLogin(life time.Duration) *oauth2.Token {
	t := &oauth2.Token{AccessToken: "s3cr3t-access", RefreshToken: "s3cr3t-refresh", TokenType: "s3cr3t-type", Expiry: time.Now().Add(life)}
	return t.WithExtra(map[string]any{"id_token": "s3cr3t-id", "deep": []any{"s3cr3t-deep"}})
}

// assertLeadsToNoSecret makes every call of m, whose connection "k" is due, and checks what
// they return and what is told.
func assertLeadsToNoSecret(t *testing.T, m *Manager, what string) {
	var events []Event
	m.OnEvent = func(_ context.Context, e Event) { events = append(events, e) }
	w := newWalker()
	check := func(v any, how string) { w.assertNoSecret(t, v, what+": "+how) }
	_, err := m.Source("k").Token()
	assert.Error(t, err, what)
	check(err, "Token")
	_, err = m.Source("k").Token() // as it is remembered
	check(err, "Token again")
	resp, err := m.Client("k").Get(apiURL)
	if err == nil {
		resp.Body.Close()
	}
	check(err, "Client")
	for st, err := range m.Connections(t.Context()) {
		check(st, "Connections")
		check(err, "Connections, error")
	}
	st, err := m.Status(t.Context(), "k")
	check(st, "Status")
	check(err, "Status, error")
	check(m.Disconnect(t.Context(), "k"), "Disconnect")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond) // a sweep, and no second one
	check(m.Run(ctx), "Run")
	cancel()
	bad := secretLogin(time.Hour)
	bad.AccessToken += "\xff"
	check(m.Save(t.Context(), "k", bad), "Save of what isn't UTF-8")
	check(m.Save(t.Context(), "k", secretLogin(time.Hour).WithExtra(map[string]any{"s3cr3t": func() {}})), "Save of what isn't JSON")
	require.NoError(t, m.Flush(t.Context()))
	for _, e := range events {
		check(e, "event "+string(e.Kind))
		check(e.Err, "error of event "+string(e.Kind))
	}
}

func TestNothingLeadsToASecretWhateverTheRefresherReturns(t *testing.T) {
	t.Parallel() // beside TestProcesses, which waits
	causes := secretErrors()
	causes["a panic"] = nil
	for name, cause := range causes {
		onSwap(t, func(f *fixture) {
			m := f.process()
			m.Config = leaky{cause, "s3cr3t-client"}
			m.Base = roundTripper(func(*http.Request) (*http.Response, error) {
				return nil, errors.New("the API isn't asked")
			})
			require.NoError(f, m.Save(f.Context(), "k", secretLogin(time.Minute)))
			time.Sleep(time.Hour)
			assertLeadsToNoSecret(f.T, m, name)
			assertNoSecret(f, f.stored().Failure, name+": what is stored")
			other := f.process()
			other.Config = m.Config
			_, err := other.Source("k").Token()
			assertNoSecret(f, err, name+": another process")
		})
	}
}

func TestCodeOfTheAPIThatIsTheTokenIsNotRepeated(t *testing.T) {
	onSwap(t, func(f *fixture) {
		m := f.process()
		m.Config = leaky{newCarrier(nil), "s3cr3t-client"}
		m.Base = roundTripper(func(*http.Request) (*http.Response, error) { return reply(401, ""), nil })
		login := secretLogin(time.Hour)
		login.RefreshToken = ""
		require.NoError(f, m.Save(f.Context(), "k", login))
		resp, err := m.Client("k").Get(apiURL)
		require.NoError(f, err)
		resp.Body.Close()
		assert.Equal(f, ReasonRejected, f.status(m).Reason)
		assertLeadsToNoSecret(f.T, m, "refused")
		assertNoSecret(f, f.stored().Failure, "what is stored")
		assertNoSecret(f, f.lastEvent(EventLoginRequired), "event")
	})
}

// TestWalkFindsWhatIsPlanted checks the walk itself.
func TestWalkFindsWhatIsPlanted(t *testing.T) {
	for name, v := range map[string]any{
		"a string": planted, "in base64": base64.StdEncoding.EncodeToString([]byte(planted + "-access")), "bytes": []byte(planted), "a key": map[string]int{planted: 1},
		"a field":   struct{ a any }{&struct{ b []string }{[]string{planted}}},
		"a context": context.WithValue(t.Context(), secretKey{}, planted),
		"a body":    secretRequest().Body,
		"GetBody":   struct{ f func() (io.ReadCloser, error) }{secretRequest().GetBody},
	} {
		w := newWalker()
		w.value(reflect.ValueOf(v), "value")
		assert.NotEmpty(t, w.found, name)
	}
	for name, err := range secretErrors() {
		w := newWalker()
		w.value(reflect.ValueOf(err), "value")
		assert.NotEmpty(t, w.found, name)
	}
}

func TestNothingLeadsToASecretOfARecordThatCannotBeRead(t *testing.T) {
	keys, err := storage.NewKeyset(storage.NewKey())
	require.NoError(t, err)
	for name, data := range map[string]string{
		"damaged": `{"format":1,"id":"x","refresh_token":"s3cr3t-refresh`, "of another type": `{"format":1,"id":["s3cr3t"]}`,
		"of a later format": `{"format":99,"refresh_token":"s3cr3t-refresh"}`, "no JSON": "s3cr3t", "sealed with another key": "",
	} {
		onSwap(t, func(f *fixture) {
			m := f.connected()
			s := encrypted(f.raw.Store)
			if data == "" {
				s = storage.Encrypt(f.raw.Store, keys)
			}
			_, v, err := f.raw.Store.Get(f.Context(), "k")
			require.NoError(f, err)
			_, err = s.Put(f.Context(), "k", []byte(data+" "), v)
			require.NoError(f, err)
			time.Sleep(2 * time.Hour)
			assertLeadsToNoSecret(f.T, m, name)
			_, err = m.Source("k").Stored(f.Context())
			require.Error(f, err)
			assertNoSecret(f, err, name+": Stored")
			require.NoError(f, m.Forget(f.Context(), "k"))
		})
	}
}
