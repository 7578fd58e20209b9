package endpoints_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// shopee signs a request and sends the shop's id as a number.
func shopee(r *endpoints.Request) error {
	shop, err := strconv.ParseInt(r.Value("shop_id"), 10, 64)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"code": r.Value("code"), "refresh_token": r.Value("refresh_token"), "shop_id": shop})
	mac := hmac.New(sha256.New, []byte(r.Value("client_secret")))
	mac.Write(body)
	r.HTTP.URL.RawQuery = "sign=" + hex.EncodeToString(mac.Sum(nil))[:8]
	r.HTTP.Header.Set("Content-Type", "application/json")
	r.HTTP.Body = io.NopCloser(strings.NewReader(string(body)))
	return err
}

func TestARequestIsWhatTheHookMakesOfIt(t *testing.T) {
	p := waysBase()
	p.Callback.Keep, p.Request = []string{"shop_id"}, shopee
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: "s3cret"})
	net := newInternet(t, answerJSON(200, `{"access_token":"a1","refresh_token":"r1","expires_in":1}`))
	token, err := conf.Exchange(net.context(), "c0de", oauth2.SetAuthURLParam("shop_id", "123"))
	require.NoError(t, err)
	token.Expiry = time.Unix(1, 0)
	_, err = conf.TokenSource(net.context(), token).Token()
	require.NoError(t, err)
	requests := net.requests()
	assert.Equal(t, "POST a.example/token?sign=3f551d6c\n(JSON)\n"+`{"code":"c0de","refresh_token":"","shop_id":123}`, essence(requests[0]))
	assert.Equal(t, "POST a.example/token?sign=fcb669f1\n(JSON)\n"+`{"code":"","refresh_token":"r1","shop_id":123}`, essence(requests[1]))

	_, err = conf.Exchange(net.context(), "c0de")
	assert.ErrorContains(t, err, "endpoints: x: Request: strconv.ParseInt")
	assert.Len(t, net.requests(), 2, "nothing was sent")
}

// A hook is called with every answer, and can say what it is.
func TestAnAnswerIsWhatTheHookMakesOfIt(t *testing.T) {
	var grants []string
	p := waysBase()
	p.Response = func(r *endpoints.Response) error {
		grants = append(grants, r.Grant+" "+strconv.Itoa(r.Status)+" "+r.Header.Get("X-Verdict")+" "+string(r.Body))
		switch verdict := r.Header.Get("X-Verdict"); verdict {
		case "":
		case "token":
			r.Status, r.Members = 200, map[string]any{"access_token": "a1"}
		case "status":
			r.Status = 503
		case "nonsense":
			r.Kind = "nonsense"
		case "wrong":
			return errors.New("wrong")
		default:
			r.Kind = endpoints.ErrorKind(verdict)
		}
		return nil
	}
	conf := p.Config(oauth2.Config{ClientID: "id"})
	for _, test := range []struct {
		status              int
		verdict, body, want string
	}{
		{200, "", `{"access_token":"a0"}`, "a0 r0 for ever"},
		{200, "token", `<xml/>`, "a1 r0 for ever"},
		{500, "token", ``, "a1 r0 for ever"},
		{302, "token", ``, "a1 r0 for ever"},
		{302, "", ``, "client_rejected unreadable_response"},
		{200, "status", `{"access_token":"a0"}`, "provider_trouble server_error"},
		{200, "login_required", `{"access_token":"a0"}`, "login_required invalid_grant"},
		{401, "rate_limited", ``, "rate_limited too_many_requests"},
		{302, "client_rejected", ``, "client_rejected invalid_client"},
		{200, "nonsense", `{"access_token":"a0"}`, "unreadable unreadable_response"},
		{200, "wrong", `{"access_token":"a0"}`, "unreadable unreadable_response"},
	} {
		grants = nil
		ctx := answering(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Verdict", test.verdict)
			answer(test.status, "", test.body)(w, r)
		})).context()
		token, err := conf.TokenSource(ctx, &oauth2.Token{AccessToken: "a", RefreshToken: "r0", Expiry: time.Unix(1, 0)}).Token()
		assert.Equal(t, test.want, outcome(token, err), "%d %s", test.status, test.verdict)
		assert.Equal(t, []string{"refresh_token " + strconv.Itoa(test.status) + " " + test.verdict + " " + test.body}, grants)
	}
	grants = nil
	require.NoError(t, conf.Revoke(answering(answer(204, "", "")).context(), &oauth2.Token{AccessToken: "a0"}))
	assert.Equal(t, []string{"revoke 204  "}, grants)
	assert.Empty(t, new(endpoints.Request).Value("x"))
	assert.Empty(t, new(endpoints.Response).Value("x"))
}

func TestAHookHasNoRequestRepeated(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		p := waysBase()
		p.Request = func(r *endpoints.Request) error { r.HTTP.Header.Set(name, "1"); return nil }
		net := newInternet(t, answerJSON(200, `{"access_token":"a1"}`))
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(net.context(), "c0de")
		assert.ErrorContains(t, err, "endpoints: x: Request: the header "+name+" would have net/http send the request again")
		assert.Empty(t, net.requests())
	}
}
