package clients_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// credential is a connection as an azcore.TokenCredential.
type credential struct{ *tokensource.Source }

func (c credential) GetToken(ctx context.Context, _ policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := c.TokenContext(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return azcore.AccessToken{Token: t.AccessToken, ExpiresOn: t.Expiry}, nil
}

// A client of the SDK of Azure wants a credential. That a refused call is repeated, and
// that the token goes to the API alone, is up to the transport.
func Example_azure() {
	manager := newManager()
	bearer := runtime.NewBearerTokenPolicy(credential{manager.Source("customer-42")}, []string{"scope"}, nil) // as a client does
	pipeline := runtime.NewPipeline("ledger", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}},
		&azcore.ClientOptions{Transport: manager.Client("customer-42")})

	r, err := runtime.NewRequest(context.Background(), "GET", "https://api.ledger.example/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = pipeline.Do(r)
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	// Output: true
}
