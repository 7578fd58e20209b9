package clients

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/aws/smithy-go/auth/bearer"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/internal/clienttest"
	"github.com/oauth2keep/oauth2keep/tokensource"
)

// smithyTokens is a connection as what clients made by Smithy take, such as those of the SDK
// of AWS in Config.BearerAuthTokenProvider.
func smithyTokens(source *tokensource.Source) bearer.TokenProvider {
	return bearer.TokenProviderFunc(func(ctx context.Context) (bearer.Token, error) {
		t, err := source.TokenContext(ctx)
		if err != nil {
			return bearer.Token{}, err
		}
		return bearer.Token{Value: t.AccessToken, CanExpire: !t.Expiry.IsZero(), Expires: t.Expiry}, nil
	})
}

// smithyCall makes calls as clients made by Smithy do.
func smithyCall(t *testing.T, tokens bearer.TokenProvider, client *http.Client, at string) func(context.Context) error {
	u, err := url.Parse(at)
	require.NoError(t, err)
	return func(ctx context.Context) error {
		stack := middleware.NewStack("call", smithyhttp.NewStackRequest)
		_ = stack.Build.Add(middleware.BuildMiddlewareFunc("address", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
			in.Request.(*smithyhttp.Request).URL = u
			return next.HandleBuild(ctx, in)
		}), middleware.After)
		if err := bearer.AddAuthenticationMiddleware(stack, bearer.NewSignHTTPSMessage(), tokens); err != nil {
			return err
		}
		_ = stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("status", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if resp, ok := out.RawResponse.(*smithyhttp.Response); ok && err == nil {
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					err = refusal(resp.StatusCode)
				}
			}
			return out, metadata, err
		}), middleware.After)
		_, _, err := middleware.DecorateHandler(smithyhttp.NewClientHandlerWithOptions(client), stack).Handle(ctx, nil)
		return err
	}
}

func TestSmithyWithHTTPClient(t *testing.T) {
	if testing.Short() {
		t.Skip("has the same client as another test; run without -short")
	}
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			return smithyCall(t, smithyTokens(p.Manager.Source(connection)), p.Manager.Client(connection), url)
		},
	})
}

func TestSmithyWithTokens(t *testing.T) {
	clienttest.Test(t, clienttest.Client{
		New: func(t *testing.T, p *clienttest.Provider, connection, url string) func(context.Context) error {
			source := p.Manager.Source(connection)
			tokens := smithyTokens(source)
			call := smithyCall(t, tokens, &http.Client{Transport: p.Manager.Base}, url)
			return func(ctx context.Context) error {
				token, err := tokens.RetrieveBearerToken(ctx)
				if err != nil {
					return err
				}
				err = call(ctx)
				if err == refusal(http.StatusUnauthorized) {
					source.Reject(&oauth2.Token{AccessToken: token.Value})
				}
				return err
			}
		},
		Once: true, Careless: true,
	})
}
