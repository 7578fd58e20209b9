package endpointstest_test

import (
	"context"
	"fmt"
	"log"

	"golang.org/x/oauth2"

	"github.com/oauth2keep/oauth2keep/endpoints"
	"github.com/oauth2keep/oauth2keep/endpoints/endpointstest"
)

func Example() {
	ctx := context.Background()
	server, err := endpointstest.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	client := server.Config(endpoints.TaxRock, "http://localhost:8080/callback")
	provider := server.Provider(endpoints.TaxRock)
	config := provider.Config(client)

	verifier := oauth2.GenerateVerifier()
	consentPage := config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier))
	callback, err := endpointstest.Approve(ctx, nil, consentPage)
	if err != nil {
		log.Fatal(err)
	}
	token, err := config.Exchange(ctx, callback.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		log.Fatal(err)
	}
	resp, err := config.Client(ctx, token).Get(provider.APIURLs[0] + "/client-accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
