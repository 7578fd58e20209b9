package clients

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// azureCredential is a connection as what the SDK of Azure takes.
type azureCredential struct{ *tokensource.Source }

func (c azureCredential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := c.TokenContext(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: t.AccessToken, ExpiresOn: t.Expiry}, nil
}

// azureCall makes calls as the clients of the SDK do.
func azureCall(bearer policy.Policy, client *http.Client, url string) func(context.Context) error {
	pipeline := runtime.NewPipeline("example", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &policy.ClientOptions{Transport: client})
	return func(ctx context.Context) error {
		r, err := runtime.NewRequest(ctx, http.MethodGet, url)
		if err != nil {
			return err
		}
		resp, err := pipeline.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if !runtime.HasStatusCode(resp, http.StatusOK) {
			return fmt.Errorf("the API answers %s", resp.Status)
		}
		return nil
	}
}

// TestAzureWithTransport: a client wants a credential, and gets one; that a refused call is
// repeated, and where the token may go, is up to Manager.Client.
func TestAzureWithTransport(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(_ *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			credential := azureCredential{p.Manager.Source(connection)}
			return azureCall(runtime.NewBearerTokenPolicy(credential, []string{"scope"}, nil), p.Manager.Client(connection), url)
		},
	})
}

// TestAzureWithCredential: a policy of one's own can tell of a refusal.
func TestAzureWithCredential(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	clienttest.Test(t, clienttest.Client{
		New: func(_ *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			source := p.Manager.Source(connection)
			refused := func(r *policy.Request, _ *http.Response, authenticate func(policy.TokenRequestOptions) error) error {
				source.Reject(&oauth2.Token{AccessToken: strings.TrimPrefix(r.Raw().Header.Get("Authorization"), "Bearer ")})
				return authenticate(policy.TokenRequestOptions{})
			}
			bearer := runtime.NewBearerTokenPolicy(azureCredential{source}, []string{"scope"},
				&policy.BearerTokenOptions{AuthorizationHandler: policy.AuthorizationHandler{OnChallenge: refused}})
			return azureCall(bearer, &http.Client{Transport: p.Manager.Base}, url)
		},
		Careless: true,
	})
}

// TestAzureDoesNotRepeatALogin: no attempt but the first waits for the user.
func TestAzureDoesNotRepeatALogin(t *testing.T) {
	clienttest.Run(t, nil, func(t *testing.T, w *clienttest.World) {
		credential := azureCredential{w.Here.Manager.Source("nobody")}
		call := azureCall(runtime.NewBearerTokenPolicy(credential, nil, nil), w.Here.Manager.Client("nobody"), w.Here.API.URL)
		took, err := elapsed(func() error { return call(t.Context()) })
		require.ErrorIs(t, err, tokensource.ErrLoginRequired)
		require.Zero(t, took)
	})
}
