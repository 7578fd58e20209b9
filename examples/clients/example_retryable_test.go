package clients_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/oauth2keep/oauth2keep/tokensource"
)

// A client that retries shouldn't do so when only the user can help.
func Example_retryable() {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient = newManager().Client("customer-42")
	client.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if errors.Is(err, tokensource.ErrLoginRequired) {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}
	_, err := client.Get("https://api.ledger.example/orders")
	fmt.Println(errors.Is(err, tokensource.ErrLoginRequired))
	// Output: true
}
