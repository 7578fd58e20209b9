package endpoints_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// secrets are what a hostile server repeats wherever it can. They have characters
// that are written differently in JSON, HTML, forms and URLs.
var secrets = map[string]string{
	"client secret": `cl1ent-s3cret+/&="<é> x`,
	"code":          `c0de-c0de+/&="<é> x`,
	"verifier":      `ver1fier-ver1fier-ver1fier-ver1fier-ver1fier`,
	"refresh token": `v1.refre5h+/&="<é> x`,
	"access token":  `acce55-token+/&="<é> x`,
	"API key":       `ap1-key-ap1-key`,
	"assertion":     `a55ertion-a55ertion`,
	"cookie":        `c00kie-c00kie`,
}

// lowered are the secrets in lower case, by name.
var lowered = func() map[string]string {
	all := make(map[string]string)
	for name, secret := range secrets {
		all[name] = strings.ToLower(secret)
	}
	return all
}()

// spellings are the ways in which a secret may be written.
func spellings(secret string) []string {
	quoted, _ := json.Marshal(secret)
	lower := strings.NewReplacer("%2B", "%2b", "%2F", "%2f", "%3D", "%3d", "%3C", "%3c", "%3E", "%3e", "%C3%A9", "%c3%a9")
	all := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), html.EscapeString(secret),
		lower.Replace(url.QueryEscape(secret)), strings.ToUpper(secret), strings.ToLower(secret),
		url.QueryEscape(url.QueryEscape(secret)), html.EscapeString(html.EscapeString(secret)),
		strings.Trim(string(quoted), `"`), strings.ReplaceAll(url.PathEscape(secret), "-", "%2D"),
		strings.ReplaceAll(secret, "-", "&#45;"),
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// secretIn returns the name of a secret that stands in what is printed, however it
// is spelled.
func secretIn(printed string) string {
	for range 4 { // undo what an escape of an escape hides
		lower := strings.ToLower(printed)
		for name, secret := range lowered {
			if strings.Contains(lower, secret) {
				return name
			}
		}
		plain := html.UnescapeString(printed)
		if u, err := url.PathUnescape(plain); err == nil {
			plain = u
		}
		if plain == printed {
			break
		}
		printed = plain
	}
	return ""
}

func assertNoSecrets(t *testing.T, where, printed string) {
	t.Helper()
	if name := secretIn(printed); name != "" {
		t.Errorf("%s holds the %s", where, name)
	}
}

// assertErrorHoldsNoSecrets looks into every corner of an error.
func assertErrorHoldsNoSecrets(t *testing.T, err error) {
	t.Helper()
	require.Error(t, err)
	corners := make(map[string]string)
	for _, format := range []string{"%s", "%v", "%+v", "%#v", "%q"} {
		corners["the error printed with "+format] = fmt.Sprintf(format, err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "err", err)
	corners["the log"] = log.String()

	var retrieve *oauth2.RetrieveError
	if errors.As(err, &retrieve) {
		resp := retrieve.Response
		require.NotNil(t, resp)
		r := resp.Request
		require.NotNil(t, r)
		assert.True(t, r.Body == nil && r.GetBody == nil && r.Response == nil && r.Form == nil, "the request is bare")
		corners["RetrieveError.Body"] = string(retrieve.Body)
		corners["a field of RetrieveError"] = retrieve.ErrorCode + "\n" + retrieve.ErrorDescription + "\n" + retrieve.ErrorURI
		corners["RetrieveError.Response"] = fmt.Sprint(resp.Status, resp.Header, resp.Trailer)
		corners["its Request"] = fmt.Sprint(r.Method, r.URL, r.Host, r.Header, r.RequestURI, r.RemoteAddr)
		corners["the context of its Request"] = fmt.Sprintf("%+v", r.Context())
	}
	if secretIn(strings.Join(slices.Collect(maps.Values(corners)), "\n")) != "" {
		for where, printed := range corners {
			assertNoSecrets(t, where, printed)
		}
		assert.True(t, t.Failed(), "the corners together hold a secret, each by itself none")
	}
}

// walk calls visit with every string and byte slice that v leads to, by fields,
// elements and pointers, exported or not.
func walk(v reflect.Value, seen map[any]bool, visit func(string)) {
	switch v.Kind() {
	case reflect.String:
		visit(v.String())
	case reflect.Pointer, reflect.Map:
		if v.IsNil() || seen[[2]any{v.Type(), v.Pointer()}] {
			return
		}
		seen[[2]any{v.Type(), v.Pointer()}] = true
	case reflect.Interface:
		if v.IsNil() {
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		walk(v.Elem(), seen, visit)
	case reflect.Struct:
		for i := range v.NumField() {
			walk(v.Field(i), seen, visit)
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			walk(entries.Key(), seen, visit)
			walk(entries.Value(), seen, visit)
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if v.Kind() == reflect.Slice {
				visit(string(v.Bytes()))
				return
			}
			var b []byte
			for i := range v.Len() {
				b = append(b, byte(v.Index(i).Uint()))
			}
			visit(string(b))
			return
		}
		for i := range v.Len() {
			walk(v.Index(i), seen, visit)
		}
	}
}

// assertLeadsToNoSecret follows everything that err holds, and calls what its request
// can be asked.
func assertLeadsToNoSecret(t *testing.T, err error) {
	t.Helper()
	strings := 0
	walk(reflect.ValueOf(&err), map[any]bool{}, func(s string) {
		strings++
		assertNoSecrets(t, "what the error leads to", s)
	})
	assert.NotZero(t, strings)
}

// Whatever the way, the request and the answer, nothing in the error leads to what was
// sent: not its response's request, that one's body and context, nor a cause.
func TestNoErrorLeadsToASecret(t *testing.T) {
	token := &oauth2.Token{AccessToken: secrets["access token"], RefreshToken: secrets["refresh token"]}
	quoting := roundTripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: fmt.Errorf("%s %v %w", body, r.Header, io.ErrUnexpectedEOF)}
	})
	failures := 0
	check := func(what string, err error) {
		if err == nil {
			return // a revocation that was done already
		}
		failures++
		if assertLeadsToNoSecret(t, err); t.Failed() {
			t.Fatalf("%s: %T", what, err)
		}
	}
	for style, p := range hostileProviders() {
		for _, way := range ways {
			use := func(base roundTripper) map[string]func() error {
				ctx, conf := way.use(base.context(), p, oauth2.Config{ClientID: "id", ClientSecret: secrets["client secret"]})
				expired := *token
				expired.Expiry = time.Unix(1, 0)
				requests := map[string]func() error{
					"exchange": func() error {
						_, err := conf.Exchange(ctx, secrets["code"], oauth2.VerifierOption(secrets["verifier"]))
						return err
					},
					"refresh": func() error {
						_, err := conf.TokenSource(ctx, &expired).Token()
						return err
					},
				}
				if c, ok := conf.(*endpoints.Config); ok {
					requests["revoke"] = func() error { return c.Revoke(ctx, token) }
				}
				return requests
			}
			for request, send := range use(quoting) {
				err := send()
				assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
				check(style+", "+way.name+", "+request+" quoted", err)
			}
			for request := range use(quoting) {
				names := slices.DeleteFunc(sent(p, request), func(name string) bool { return name == "cookie" }) // there is no jar
				if way.name == "Provider.Config" {                                                               // which knows more than it sends
					names = append(names, "client secret")
					if request != "exchange" {
						names = append(names, "access token", "refresh token")
					}
				}
				if !*soak && (testing.Short() || !slices.Contains(various, style)) {
					names = names[:1] // what comes back is cleaned of all of them alike, however they were sent
				}
				for _, secret := range names {
					for answer, h := range hostileAnswersTo(style, request, secrets[secret]) {
						check(style+", "+way.name+", "+request+", "+answer+" has the "+secret, use(answering(h))[request]())
					}
				}
			}
		}
	}
	least := 300
	if testing.Short() {
		least = 40
	}
	assert.Greater(t, failures/len(hostileProviders()), least)
}

// A hostile server repeats each secret, in each spelling, in each corner of its
// answer. None may reach an error.
func TestNoErrorHoldsASecretThatTheServerRepeats(t *testing.T) {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	jar.SetCookies(&url.URL{Scheme: "https", Host: "auth.example"}, []*http.Cookie{{Name: "session", Value: secrets["cookie"]}})
	requests := map[string]func(context.Context, *endpoints.Config) error{
		"exchange": func(ctx context.Context, conf *endpoints.Config) error {
			_, err := conf.Exchange(ctx, secrets["code"], oauth2.VerifierOption(secrets["verifier"]))
			return err
		},
		"refresh": func(ctx context.Context, conf *endpoints.Config) error {
			_, err := refresh(ctx, conf, secrets["refresh token"])
			return err
		},
		"revoke": func(ctx context.Context, conf *endpoints.Config) error {
			return conf.Revoke(ctx, &oauth2.Token{AccessToken: secrets["access token"], RefreshToken: secrets["refresh token"]})
		},
	}
	failures := make(map[string]int)
	for style, p := range hostileProviders() {
		conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: secrets["client secret"]})
		for request, send := range requests {
			if style == "bearer" && request != "revoke" {
				continue // they are those of a form
			}
			for _, name := range sent(p, request) {
				spelled := []string{secrets[name]}
				if *soak || style == "form" && request == "exchange" || style == "bearer" { // what else is sent makes no difference to what comes back
					if !testing.Short() || name == "code" {
						spelled = spellings(secrets[name])
					}
				}
				for _, s := range spelled {
					for answer, h := range hostileAnswersTo(style, request, s) {
						client := &http.Client{Transport: answering(h), Jar: jar}
						err := send(context.WithValue(context.Background(), oauth2.HTTPClient, client), conf)
						if err == nil && answer != "nothing" { // a revocation succeeded
							continue
						}
						failures[request]++
						if assertErrorHoldsNoSecrets(t, err); t.Failed() {
							t.Fatalf("%s, %s: the answer %q repeats the %s as %q", style, request, answer, name, s)
						}
					}
				}
			}
		}
	}
	least := 75
	if testing.Short() {
		least = 12
	}
	for request := range requests {
		assert.Greater(t, failures[request]/len(hostileProviders()), least, request)
	}
}

// sent are the secrets that a request of p's sends, and so can come back.
func sent(p endpoints.Provider, request string) []string {
	names := []string{"API key", "cookie"}
	if p.Request != nil {
		names = append(names, "assertion")
	}
	switch {
	case request == "exchange":
		return append(names, "client secret", "code", "verifier")
	case request == "refresh":
		return append(names, "client secret", "refresh token")
	case p.Revoke.Auth == endpoints.AccessTokenAuth:
		return append(names, "access token")
	}
	return append(names, "client secret", "refresh token")
}

// What came in the answer itself is as secret as what was sent.
func TestNoErrorHoldsATokenOfTheAnswer(t *testing.T) {
	for _, name := range []string{"access token", "refresh token"} {
		for _, s := range spellings(secrets[name]) {
			token, _ := json.Marshal(secrets[name])
			spelled, _ := json.Marshal("It is " + s + " now.")
			for _, body := range []string{
				`{"access_token":%s,"error":"invalid_grant","error_description":%s}`,
				`{"data":[{"refreshToken":%s}],"name":"invalid_grant","message":%s}`,
				`{"id_token":%s,"code":%s}`,
				`{"access_token":7,"id_token":%s,"message":%s}`,
			} {
				_, err := exchange(t, endpoints.Answer{}, answerJSON(200, fmt.Sprintf(body, token, spelled)))
				assertErrorHoldsNoSecrets(t, err)
			}
		}
		p := rfc
		p.Response = func(r *endpoints.Response) error { return fmt.Errorf("can't use %v", r.Members) }
		token, _ := json.Marshal(secrets[name])
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(answering(answerJSON(200, `{"token":`+string(token)+`}`)).context(), "c0de")
		assert.Contains(t, err.Error(), "Response: can't use map[token:[redacted]]")
		assertErrorHoldsNoSecrets(t, err)
	}
}

// Looking for a great many tokens in a long text could take minutes.
func TestAnAnswerFullOfTokensIsNotRepeated(t *testing.T) {
	if testing.Short() {
		t.Skip("looks for forty thousand tokens; run without -short")
	}
	body := []byte(`{"error":"invalid_grant","error_description":"` + strings.Repeat("x", 4000) + `"`)
	for i := range 40_000 {
		body = fmt.Appendf(body, `,"token%d":"abcd%d"`, i, i)
	}
	_, err := exchange(t, endpoints.Answer{}, answerJSON(400, string(body)+"}"))
	assert.EqualError(t, err, `oauth2: "invalid_grant" "[redacted]"`)
}

// net/http quotes a server that doesn't speak HTTP.
func TestNoErrorOfTheNetworkHoldsASecret(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.CopyN(io.Discard, conn, 1)
			io.WriteString(conn, secrets["verifier"]+"\r\n")
			conn.Close()
		}
	}()
	p := rfc
	p.Endpoint.TokenURL = "http://" + listener.Addr().String()
	conf := p.Config(oauth2.Config{ClientID: "id"})
	_, err = conf.Exchange(context.Background(), "c0de", oauth2.VerifierOption(secrets["verifier"]))
	assertErrorHoldsNoSecrets(t, err)
	assert.ErrorContains(t, err, `malformed HTTP response "[redacted]"`)
	assert.Equal(t, endpoints.KindProviderTrouble, endpoints.KindOf(err))

	p.Style = endpoints.AuthStyle{Body: endpoints.QueryBody, Method: "GET"}
	lost := errors.New("lost")
	quoting := roundTripper(func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: lost}
	})
	for _, secret := range []string{secrets["code"], strings.Repeat(secrets["verifier"], 1000)} {
		_, err = p.Config(oauth2.Config{ClientID: "id"}).Exchange(quoting.context(), secret)
		assertErrorHoldsNoSecrets(t, err)
		assert.ErrorContains(t, err, "[redacted]")
		assert.ErrorIs(t, err, lost)
	}
}

func TestNoErrorOfAHookHoldsASecret(t *testing.T) {
	wrong := errors.New("wrong")
	p := rfc
	p.Request = func(r *endpoints.Request) error { return fmt.Errorf("%w: %v", wrong, r.Params) }
	_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(context.Background(), secrets["verifier"])
	assertErrorHoldsNoSecrets(t, err)
	assert.ErrorContains(t, err, "endpoints: RFC: Request: wrong: map[client_id:[id] code:[[redacted]] grant_type:[authorization_code]]")
	assert.ErrorIs(t, err, wrong)
}

func TestPrintingAConfigShowsNoSecret(t *testing.T) {
	p := hostileProviders()["hook"]
	p.Exchange.Params = endpoints.Params{"password": {secrets["assertion"]}}
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: secrets["client secret"]})
	type holder struct {
		Exported   *endpoints.Config
		unexported *endpoints.Config
		value      endpoints.Config
	}
	var log bytes.Buffer
	for _, v := range []any{conf, *conf, holder{conf, conf, *conf}, &holder{conf, conf, *conf}, []any{conf}, map[string]any{"conf": *conf}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			assertNoSecrets(t, format, fmt.Sprintf(format, v))
		}
		slog.New(slog.NewTextHandler(&log, nil)).Info("conf", "conf", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("conf", "conf", v)
		encoded, err := json.Marshal(v)
		require.NoError(t, err)
		assertNoSecrets(t, "JSON", string(encoded))
	}
	assertNoSecrets(t, "the log", log.String())
	var said strings.Builder // testify prints what lies behind pointers
	assert.Equal(errorfFunc(func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }), *conf, endpoints.Config{})
	assert.Contains(t, said.String(), "Not equal")
	assertNoSecrets(t, "the difference", said.String())
	assert.Equal(t, "endpoints.Config(RFC, id)", fmt.Sprint(conf))
}

type errorfFunc func(format string, args ...any)

func (f errorfFunc) Errorf(format string, args ...any) { f(format, args...) }
