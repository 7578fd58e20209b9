package clients_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/smithy-go/auth/bearer"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// A bearer.TokenProvider is what the SDK of AWS has in Config.BearerAuthTokenProvider.
// Config.HTTPClient is manager.Client("customer-42").
func Example_smithy() {
	source := newManager().Source("customer-42")
	var tokens bearer.TokenProvider = bearer.TokenProviderFunc(func(ctx context.Context) (bearer.Token, error) {
		t, err := source.TokenContext(ctx)
		if err != nil {
			return bearer.Token{}, err
		}
		return bearer.Token{Value: t.AccessToken, CanExpire: !t.Expiry.IsZero(), Expires: t.Expiry}, nil
	})
	_, err := tokens.RetrieveBearerToken(context.Background())
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	// Output: true
}
