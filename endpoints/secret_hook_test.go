package endpoints_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
)

// A token is one by the definition's name for it too, and in what only a hook can read.
func TestNoErrorHoldsATokenThatOnlyTheDefinitionKnows(t *testing.T) {
	const issued = "issued-token-0123456789"
	p := rfc
	p.Answer.Names = map[string]string{"access_token": "data.key"}
	xml := answer(200, "text/xml", "<answer><key>"+issued+"</key></answer>")
	for name, test := range map[string]struct {
		hook   func(r *endpoints.Response) error
		answer http.HandlerFunc
		want   string
	}{
		"renamed":        {nil, answerJSON(400, `{"data":{"key":"`+issued+`"},"message":"`+issued+` is too old"}`), "[redacted] is too old"},
		"a form":         {nil, answer(400, "text/plain", "data.key="+issued+"&error_description="+issued), "[redacted]"},
		"a hook's error": {func(r *endpoints.Response) error { return fmt.Errorf("can't read %s", r.Body) }, xml, "Response: can't read <answer><key>[redacted]</key></answer>"},
		"a hook's members": {func(r *endpoints.Response) error {
			r.Members = map[string]any{"api_token": issued, "error": "invalid_grant", "message": issued + " is spent"}
			return nil
		}, xml, "[redacted] is spent"},
	} {
		p.Response = test.hook
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(answering(test.answer).context(), "c0de")
		require.Error(t, err, name)
		assert.NotContains(t, fmt.Sprintf("%+v", err), issued, name)
		assert.Contains(t, err.Error(), test.want, name)
	}
}

// A key of the application's is in a URL, or a variable has it.
func TestNoErrorHoldsAKeyThatTheDefinitionSends(t *testing.T) {
	const in = "https://a.example/token?api_key="
	key := secrets["API key"]
	for name, change := range map[string]func(p *endpoints.Provider){
		"in a URL":              func(p *endpoints.Provider) { p.Endpoint.TokenURL, p.RevokeURL = in+key, in+key },
		"by a variable of URLs": func(p *endpoints.Provider) { p.Endpoint.TokenURL, p.RevokeURL = in+"{api_key}", in+"{api_key}" },
		"by a variable":         func(p *endpoints.Provider) { p.Style.Params = endpoints.Params{"k": {"{api_key}"}} },
	} {
		t.Run(name, func(t *testing.T) {
			p := waysBase()
			p.Vars = map[string][]string{"api_key": {key}}
			if change(&p); name == "in a URL" {
				p.Vars = nil
			}
			require.NoError(t, p.Validate())
			conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: secrets["client secret"]})
			bases := []roundTripper{func(r *http.Request) (*http.Response, error) { return nil, errors.New("down: " + r.URL.String()) }}
			for _, h := range hostileAnswersTo("key", "all", key) {
				bases = append(bases, answering(h))
			}
			for _, base := range bases {
				_, exchangeErr := conf.Exchange(base.context(), secrets["code"])
				_, refreshErr := refresh(base.context(), conf, secrets["refresh token"])
				for _, err := range []error{exchangeErr, refreshErr, conf.Revoke(base.context(), &oauth2.Token{AccessToken: "a", RefreshToken: "r"})} {
					if err != nil {
						assertErrorHoldsNoSecrets(t, err)
					}
				}
			}
		})
	}
}

// Nothing is sent then, and the error says what is wrong with a variable.
func TestNoErrorAboutAVariableHoldsAKey(t *testing.T) {
	key := secrets["API key"]
	p := waysBase()
	p.Vars = map[string][]string{"shop": {"", "*"}, "api_key": {key}}
	p.Style.Params = endpoints.Params{"k": {"{api_key}"}}
	p.Endpoint.TokenURL = "https://a.example/{shop}/token?api_key=" + key
	require.NoError(t, p.Validate())
	ctx := answering(answerText(good)).context()
	conf := p.Config(oauth2.Config{ClientID: "id", ClientSecret: secrets["client secret"]})
	_, missing := conf.Exchange(ctx, secrets["code"])
	assert.ErrorContains(t, missing, "the variable shop, which is in https://a.example/{shop}/token, has no value")
	assertErrorHoldsNoSecrets(t, missing)
	shop, other := oauth2.SetAuthURLParam("shop", "a"), oauth2.SetAuthURLParam("api_key", "other")
	_, wrong := conf.Exchange(ctx, secrets["code"], shop, other)
	assert.ErrorContains(t, wrong, "the value of the variable api_key isn't accepted")
	assertErrorHoldsNoSecrets(t, wrong)
}

// A connection's error may repeat what was read from it.
func TestSecretInTheErrorOfAnAnswerThatBreaksOff(t *testing.T) {
	base := roundTripper(func(*http.Request) (*http.Response, error) {
		cut := iotest.ErrReader(fmt.Errorf("cut off after %s: %w", secrets["code"], io.ErrUnexpectedEOF))
		return &http.Response{StatusCode: 200, Body: io.NopCloser(cut)}, nil
	})
	_, err := rfc.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), secrets["code"])
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	assertNoSecrets(t, "the error", fmt.Sprintf("%v %+v %#v", err, err, err))
}

// What HTTP Basic makes of a secret is one, too, and so is the secret in it, which only a hook
// knows.
func TestSecretInBasicCredentials(t *testing.T) {
	p := rfc
	p.Request = func(r *endpoints.Request) error {
		r.HTTP.SetBasicAuth("id", secrets["API key"])
		return nil
	}
	credentials := base64.StdEncoding.EncodeToString([]byte("id:" + secrets["API key"]))
	for _, repeated := range []string{credentials, secrets["API key"]} {
		base := roundTripper(func(r *http.Request) (*http.Response, error) {
			require.Equal(t, "Basic "+credentials, r.Header.Get("Authorization"))
			body := `{"error":"invalid_client","error_description":"unknown: ` + repeated + `"}`
			return &http.Response{StatusCode: 401, Body: io.NopCloser(strings.NewReader(body))}, nil
		})
		_, err := p.Config(oauth2.Config{ClientID: "id"}).Exchange(base.context(), "c0de")
		require.ErrorContains(t, err, "unknown: [redacted]")
		assert.NotContains(t, err.Error(), repeated)
	}
}
