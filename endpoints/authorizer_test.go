package endpoints_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/pkce"
)

var _ pkce.Authorizer = (*endpoints.Config)(nil)

func TestConfigTellsWhereCallbacksArriveAndWhatIssuerTheyName(t *testing.T) {
	p := rfc
	p.Issuer, p.Callback.Iss = "https://auth.example", true
	conf := p.Config(oauth2.Config{ClientID: clientID, RedirectURL: callback})
	issuer, inCallbacks := conf.Issuer()
	assert.Equal(t, "https://auth.example", issuer)
	assert.True(t, inCallbacks)
	assert.Equal(t, callback, conf.RedirectURL())

	issuer, inCallbacks = p.Config(oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: "https://other.example/token"}}).Issuer()
	assert.Empty(t, issuer, "of another server nothing is known")
	assert.False(t, inCallbacks)
}

// The user may have typed the name of a shop, and anyone can write a callback: neither is
// the operator's to change. A variable that the program forgot is.
func TestAValueThatIsntAcceptedIsNoMisconfiguration(t *testing.T) {
	p := waysBase()
	p.Endpoint.TokenURL, p.Endpoint.AuthURL = "https://{shop}/token", "https://{shop}/authorize"
	p.Vars, p.Callback.Keep = map[string][]string{"shop": {"*.myshop.example"}}, []string{"shop"}
	conf := p.Config(oauth2.Config{ClientID: "id", RedirectURL: callback})
	shop := func(name string) oauth2.AuthCodeOption { return oauth2.SetAuthURLParam("shop", name) }
	ctx := roundTripper(func(*http.Request) (*http.Response, error) { panic("sent") }).context()

	_, err := new(pkce.Session).Authorize(ctx, conf, shop("evil.example"))
	assert.ErrorIs(t, err, pkce.ErrStartAgain)
	assert.ErrorContains(t, err, "the value of the variable shop isn't accepted: it takes *.myshop.example")
	_, err = new(pkce.Session).Authorize(ctx, conf)
	assert.ErrorIs(t, err, pkce.ErrMisconfigured)

	for _, evil := range []string{"evil.example", "tea.myshop.example\n"} {
		s := pkce.Session{State: "s", Expiry: time.Now().Add(time.Hour)}
		_, err = s.Exchange(ctx, conf, url.Values{"state": {s.State}, "code": {"c0de"}, "shop": {evil}})
		assert.ErrorIs(t, err, pkce.ErrStartAgain)
		assert.False(t, errors.Is(err, pkce.ErrMisconfigured))
	}
	p.Consent.Params = endpoints.Params{"shop": {"{shop}"}}
	p.Endpoint.AuthURL = "https://a.example/authorize"
	_, err = new(pkce.Session).Authorize(ctx, p.Config(oauth2.Config{ClientID: "id"}), shop("evil.example"))
	require.ErrorIs(t, err, pkce.ErrStartAgain)
}
