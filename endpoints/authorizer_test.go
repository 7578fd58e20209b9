package endpoints_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
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
